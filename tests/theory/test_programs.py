"""No random program beats the constant that is proved for it; a wrong rule is found by the same attack."""

import itertools
import math

import pytest
import torch
from theory_programs import attack, escapes, program

from snellen.theory import factors, graph, proofs
from snellen.theory.proofs import prove

FEW, MANY, BLOCK = 100, 10_000, 500


def assert_no_escape(seeds) -> int:
    """And how many were proved."""
    proved = 0
    for seed in seeds:
        found = attack(seed, prove)
        proved += found.proof is not None
        assert not escapes(found), (seed, found, program(seed).told)
        assert "\n" not in found.refusal
    return proved


def test_programs_stay_below_their_constants():
    assert assert_no_escape(range(FEW)) > FEW / 2


@pytest.mark.slow
@pytest.mark.parametrize("block", range(0, MANY, BLOCK))
def test_ten_thousand_programs_stay_below_their_constants(block):
    assert assert_no_escape(range(block, block + BLOCK)) > BLOCK / 2


def each_name_once(walk, call):
    """The entries of a list as a set."""
    return math.sqrt(sum(walk.known[n][0] ** 2 for n in set(call.moving)))


def no_spread(_walk, _call, _source):
    """What is broadcast counts once."""
    return 1.0


def all_first(walk, call):
    """alpha = 1, and nothing is broadcast."""
    return [(n, 1.0) for n in call.moving]


def everything_known(walk, call):
    """An operation that nobody knows stretches nothing."""
    node = call.node
    if node.target in (
        graph.aten._local_scalar_dense.default,
        *proofs._FACTORS,
        *factors.SUMS,
        *factors.JOINS,
        proofs.operator.getitem,
        graph.aten.copy.default,
    ):
        return STRETCH(walk, call)
    return max(walk.known[n][0] for n in call.moving), False


def plain(function, inputs):
    """Aliases are not followed: what is written in place goes by the name that it had."""
    return graph.make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)


STRETCH = proofs._Walk.stretch
ATEN = graph.aten


def set_rule(op, rule):
    """A rule in every table that has the operation."""

    def change(patch):
        for table in (proofs._FACTORS, proofs.CHANNELWISE, proofs.CURVES):
            if op in table:
                patch.setitem(table, op, rule)

    return change


def set_part(place, name, value):
    return lambda patch: patch.setattr(place, name, value)


def nothing_followed(patch):
    patch.setattr(graph, "_recorded", plain)
    patch.setattr(graph, "_written", lambda _: [])
    patch.setattr(proofs, "agree", lambda *_: None)


def mean_gain(call):
    return float((call.get(1, "", None).abs() * torch.rsqrt(call.get(4, "", None) + 1e-5)).mean())


def largest_entry(kernel, _size):
    return max(factors.matrix_norm(entry) for entry in kernel.weight.flatten(2).unbind(2))


def mean_singular_value(weight):
    return float(torch.linalg.svdvals(weight.double()).mean())


def free(_call):
    return 1.0


WALK = proofs._Walk
MUTANTS = {  # by name: a program that shows it, what that is about, and the change
    "entries of a list once": (85, "_list", set_part(WALK, "joined", each_name_once)),
    "broadcast once": (10, "_sum", set_part(WALK, "spread", no_spread)),
    "summands without their factors": (7, "_sum", set_part(WALK, "summands", all_first)),
    "unknown operations for nothing": (8, "_trap", set_part(WALK, "stretch", everything_known)),
    "no comparison": (11, "_trap", set_part(proofs, "agree", lambda *_: None)),
    "aliases not followed": (11, "_write", nothing_followed),
    "copies for nothing": (250, "_turn", lambda m: [set_rule(op, free)(m) for op in factors.ONE_SIGNED]),
    "max pooling for nothing": (174, "_pool", set_rule(ATEN.max_pool2d_with_indices.default, free)),
    "leaky slopes below one": (278, "_activation", set_rule(ATEN.leaky_relu.default, free)),
    "softplus with any threshold": (170, "_activation", set_rule(ATEN.softplus.default, free)),
    "wrong row of a layer": (279, "_conv", set_part(WALK, "along", lambda w, n, _: w.narrowed(n, torch.tensor([0])))),
    "kernels by their largest entry": (2, "_conv", set_part(factors, "convolution_norm", largest_entry)),
    "matrices by their mean": (14, "_dense", set_part(factors, "matrix_norm", mean_singular_value)),
    "norms by their mean gain": (120, "_norm", set_rule(ATEN.native_batch_norm.default, mean_gain)),
    "half of a tail": (1, "_sum", set_part(WALK, "tail", lambda w: 0.5 * w.known[w.traced.end][0])),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_wrong_rules_are_found(mutant, monkeypatch):
    first, maker, break_ = MUTANTS[mutant]
    break_(monkeypatch)
    seeds = (seed for seed in range(first, MANY) if maker in program(seed).told)
    assert any(escapes(attack(seed, prove)) for seed in itertools.islice(seeds, 200)), mutant
