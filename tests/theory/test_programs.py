"""No random program beats the constant that is proved for it; a wrong rule is found by the same attack."""

import math

import pytest
import torch
from theory_programs import attack, escapes, program

from snellen.theory import factors, proofs, tracing
from snellen.theory.proofs import prove

FEW, MANY, BLOCK = 120, 10_000, 500


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
    """A product with what else the image changes, as if that were fixed."""
    return [(n, 1.0) for n in call.moving]


def everything_known(walk, call):
    """An operation that nobody knows stretches nothing."""
    node = call.node
    if node.target in (
        tracing.aten._local_scalar_dense.default,
        *proofs._FACTORS,
        *factors.SUMS,
        *factors.JOINS,
        proofs.operator.getitem,
        tracing.aten.copy.default,
    ):
        return STRETCH(walk, call)
    return max(walk.known[n][0] for n in call.moving), False


def plain(function, inputs):
    """Aliases are not followed: what is written in place goes by the name that it had."""
    graph = tracing.make_fx(function, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)
    return graph


STRETCH = proofs._Walk.stretch
MUTANTS = {
    "entries of a list once": ("_list", lambda m: m.setattr(proofs._Walk, "joined", each_name_once)),
    "broadcast once": ("_sum", lambda m: m.setattr(proofs._Walk, "spread", no_spread)),
    "summands without their factors": ("_sum", lambda m: m.setattr(proofs._Walk, "summands", all_first)),
    "unknown operations for nothing": ("_trap", lambda m: m.setattr(proofs._Walk, "stretch", everything_known)),
    "no comparison": ("_trap", lambda m: m.setattr(proofs, "agree", lambda *_: None)),
    "aliases not followed": ("_write", lambda m: (m.setattr(tracing, "_recorded", plain), m.setattr(
        tracing, "_written", lambda _: []), m.setattr(proofs, "agree", lambda *_: None))),
    "copies for nothing": ("_turn", lambda m: m.setattr(proofs, "_FACTORS", {
        **proofs._FACTORS, **dict.fromkeys(factors.ONE_SIGNED, lambda _: 1.0)})),
    "max pooling for nothing": ("_pool", lambda m: m.setitem(
        proofs._FACTORS, tracing.aten.max_pool2d_with_indices.default, lambda _: 1.0)),
    "leaky slopes below one": ("_activation", lambda m: [m.setitem(d, tracing.aten.leaky_relu.default, lambda _: 1.0)
                                                          for d in (proofs._FACTORS, proofs.CURVES)]),
    "softplus with any threshold": ("_activation", lambda m: [m.setitem(d, tracing.aten.softplus.default, lambda _: 1.0)
                                                               for d in (proofs._FACTORS, proofs.CURVES)]),
    "wrong row of a layer": ("_conv", lambda m: m.setattr(
        proofs._Walk, "along", lambda w, n, s: w.narrowed(n, torch.tensor([0])))),
    "kernels by their largest entry": ("_conv", lambda m: m.setattr(
        factors, "convolution_norm", lambda k, _: max(factors.matrix_norm(e) for e in k.weight.flatten(2).unbind(2)))),
    "matrices by their mean singular value": ("_dense", lambda m: m.setattr(
        factors, "matrix_norm", lambda w: float(torch.linalg.svdvals(w.double()).mean()))),
    "norms by their mean gain": ("_norm", lambda m: [m.setitem(d, tracing.aten.native_batch_norm.default, lambda c: float(
        (c.get(1, "", None).abs() * torch.rsqrt(c.get(4, "", None) + 1e-5)).mean())) for d in (proofs._FACTORS, proofs.CHANNELWISE)]),
    "the first half of a tail": ("_sum", lambda m: m.setattr(proofs._Walk, "tail", lambda w: 0.5 * w.known[w.traced.end][0])),
}  # fmt: skip


@pytest.mark.parametrize("mutant", MUTANTS)
def test_wrong_rules_are_found(mutant, monkeypatch):
    maker, break_ = MUTANTS[mutant]
    break_(monkeypatch)
    assert any(escapes(attack(seed, prove)) for seed in range(MANY) if maker in program(seed).told), mutant
