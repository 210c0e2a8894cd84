"""Wrong envelopes, decoders and witnesses, made by hand, are caught by the very trials that ours pass."""

import dataclasses

import numpy as np
import pytest
import torch
from theory_attacks import escape, misprediction, missed_ends, outside_class, size, unlike_evidence
from theory_members import MAKERS, random_case
from torch import nn

from snellen.base import UsageError
from snellen.theory import Decoded, Envelope, ReLUNetwork, SpikeNet, decode, envelope, witnesses

TRIALS = range(40)


def narrowed(function_class, evidence, x):
    bounds = envelope(function_class, evidence, x)
    return Envelope(bounds.lo + 0.02 * bounds.width, bounds.up - 0.02 * bounds.width, bounds.gap)


def swapped_cones(function_class, evidence, x):
    """Cones from the wrong apexes."""
    return envelope(function_class, dataclasses.replace(evidence, x_min=evidence.x_max, x_max=evidence.x_min), x)


def smaller_bound(function_class, evidence, x):
    """A cone with L / 2 around x_min."""
    apart = np.linalg.norm(x - evidence.x_min, axis=1)
    bounds = envelope(function_class, evidence, x)
    cone = evidence.value_min + function_class.bound / 2 * apart
    return Envelope(bounds.lo, np.minimum(bounds.up, cone), bounds.gap)


def wrong_norm(function_class, evidence, x):
    """||.||_inf where ||.||_2 was meant."""
    apart = np.abs(x - evidence.x_min).max(1)
    bounds = envelope(function_class, evidence, x)
    return Envelope(bounds.lo, np.minimum(bounds.up, evidence.value_min + function_class.bound * apart), bounds.gap)


def gauge_of_the_mirror(function_class, evidence, x):
    """rho measured from x_max."""
    rho = evidence.domain.gauge(x, evidence.x_max)
    return Envelope(np.full(len(x), evidence.value_min), evidence.value_min + evidence.spread * rho, 0 * rho)


def mean_share(function_class, evidence, x):
    """Affine, as if all weights were equal."""
    mean = (
        evidence.value_min
        + evidence.spread * np.abs(x - evidence.x_min).sum(1) / np.abs(evidence.x_max - evidence.x_min).sum()
    )
    return Envelope(mean, mean, 0 * mean)


def parabola_from_max(function_class, evidence, x):
    """f(x) >= b - L r^2 / 2 even where x_max is at a wall and its gradient is not 0."""
    bounds = envelope(function_class, evidence, x)
    low = evidence.value_max - function_class.bound / 2 * ((x - evidence.x_max) ** 2).sum(1)
    return Envelope(np.maximum(bounds.lo, low), bounds.up, bounds.gap)


def no_jumps(function_class, evidence, x):
    """Monotone, as if it were affine on the diagonal."""
    return mean_share(function_class, evidence, x)


def the_middle(function_class, evidence, x):
    """Quadratic, as if what the pictures leave open were the mean of the last two values."""
    bounds = envelope(function_class, evidence, x)
    middle = (bounds.lo + bounds.up) / 2
    return Envelope(middle, middle, bounds.gap)


def unprojected(function_class, evidence, x):
    """Quadratic, with [mu-, mu+] of the whole norm around the known part."""
    ball, bounds = evidence.domain, envelope(function_class, evidence, x)
    squares = ((x - ball.centre) ** 2).sum(1) / ball.radius**2
    ray = (evidence.x_max - ball.centre) / max(np.linalg.norm(evidence.x_max - ball.centre), 1e-9)
    known = evidence.value_max * ((x - ball.centre) @ ray / ball.radius) ** 2
    return Envelope(known + evidence.value_min * squares, known + 0.9 * evidence.value_max * squares, bounds.gap)


def wrong_power(function_class, evidence, x):
    """Cosine, as if it were linear."""
    ball = evidence.domain
    value = (x - ball.centre) @ (evidence.x_max - ball.centre) / ball.radius**2 * evidence.value_max
    return Envelope(value, value, 0 * value)


def even_fall(function_class, evidence, x):
    """Radial, as if every profile fell evenly."""
    away, most = (np.linalg.norm(p - evidence.x_max, axis=-1) for p in (x, evidence.x_min))
    value = evidence.value_max - evidence.spread * away / most
    return Envelope(value, value, 0 * value)


def one_patch(function_class, evidence, x):
    """Patches, as if only one of them had moved."""
    bounds, groups = envelope(function_class, evidence, x), function_class.groups
    limits = np.ones(function_class.count) * (np.inf if function_class.bound is None else function_class.bound)
    steps = [np.linalg.norm((x - evidence.x_min)[:, groups == j], axis=1) for j in range(len(limits))]
    with np.errstate(invalid="ignore"):
        most = np.nan_to_num(np.array(steps).T * limits, nan=0.0, posinf=np.inf).max(1)
    return Envelope(bounds.lo, np.minimum(bounds.up, evidence.value_min + most), bounds.gap)


def lifted(function_class, evidence, x):
    """Both bounds too high."""
    bounds = envelope(function_class, evidence, x)
    up = 0.02 * max(abs(n.value) for n in evidence.nodes())
    return Envelope(bounds.lo + up, bounds.up + up, bounds.gap)


def lowered(function_class, evidence, x):
    """Both bounds too low."""
    bounds = envelope(function_class, evidence, x)
    down = 0.02 * max(abs(n.value) for n in evidence.nodes())
    return Envelope(bounds.lo - down, bounds.up - down, bounds.gap)


EXACT_EVERYWHERE = ("constant", "cosine", "radial")
ENVELOPES = [
    *((name, narrowed) for name in MAKERS if name not in EXACT_EVERYWHERE),
    *((name, mutant) for name in MAKERS for mutant in (lifted, lowered)),
    ("lipschitz-l2", swapped_cones),
    ("lipschitz-l2", smaller_bound),
    ("lipschitz-l2", wrong_norm),
    ("convex", gauge_of_the_mirror),
    ("affine", mean_share),
    ("monotone", no_jumps),
    ("smooth", parabola_from_max),
    ("quadratic", the_middle),
    ("quadratic", unprojected),
    ("cosine", wrong_power),
    ("radial", even_fall),
    ("radial-unknown", even_fall),
    ("patch-lipschitz", one_patch),
]


def trials(name):
    """Random cases with a point to ask about and the witnesses there, where there are any."""
    for seed in TRIALS:
        case = random_case(name, seed, dim=2, exemplars=0)
        x = case.evidence.domain.sample(1, np.random.default_rng(seed))[0]
        try:
            pair = witnesses(case.function_class, case.evidence, x)
        except UsageError:
            assert name in ("smooth", "patch-lipschitz")
            continue
        yield seed, case, x, pair


@pytest.mark.parametrize(("name", "mutant"), ENVELOPES)
def test_wrong_envelopes_are_caught(name, mutant):
    """By the random member, or by the two witnesses: as members of the class they must not leave it either."""
    for seed, case, x, pair in trials(name):
        with np.errstate(invalid="ignore", divide="ignore"):
            bounds = mutant(case.function_class, case.evidence, x[None])
            if escape(mutant, case, seed, 6) > 1e-6:
                return
        if any(max(bounds.lo[0] - w.value, w.value - bounds.up[0]) > 1e-6 * size(case) for w in pair):
            return
    raise AssertionError(f"{mutant.__name__} passed as an envelope of {name}")


def off_the_middle(share):
    """A prediction off the middle, with the error of the middle."""

    def biased(function_class, evidence, x):
        right = decode(function_class, evidence, x)
        scale = max(abs(n.value) for n in evidence.nodes())
        return Decoded(right.prediction + share * (right.error + 0.1 * scale), right.error)

    return biased


def boastful(function_class, evidence, x):
    """The right prediction, with too small an error."""
    right = decode(function_class, evidence, x)
    return Decoded(right.prediction, 0.95 * right.error)


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize("mutant", [off_the_middle(-0.2), off_the_middle(0.2), boastful])
def test_wrong_decoders_are_caught(name, mutant):
    """For every class, by a random member or by a witness; an exact class has no error to understate."""
    if mutant is boastful and name in EXACT_EVERYWHERE:
        return
    for seed, case, x, pair in trials(name):
        wrong = mutant(case.function_class, case.evidence, x[None])
        if misprediction(mutant, case, seed, 6) > 1e-6:
            return
        if any(abs(wrong.prediction[0] - w.value) > wrong.error[0] + 1e-6 * size(case) for w in pair):
            return
    raise AssertionError(f"a wrong decoder of {name} passed")


class Sum(nn.Module):
    """A witness with a fault added to it."""

    def __init__(self, module: nn.Module, fault: nn.Module) -> None:
        super().__init__()
        self.module, self.fault = module, fault
        if hasattr(module, "slope"):
            self.slope = module.slope

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.module(y) + self.fault(y)


class Ripple(nn.Module):
    """A product of sines: small, but in none of the narrow classes."""

    def __init__(self, height: float) -> None:
        super().__init__()
        self.height = height

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return self.height * torch.sin(40 * y.flatten(1) + 1).prod(1, keepdim=True)


@pytest.mark.parametrize("name", MAKERS)
def test_rippled_witnesses_are_caught(name):
    """They leave the class, or their values at the evidence are wrong."""
    count = 0
    for seed, case, _, pair in trials(name):
        for witness in pair:
            faulty, count = Sum(witness.module, Ripple(0.05 * size(case))), count + 1
            assert unlike_evidence(witness.module, case, seed) <= 1e-5
            assert unlike_evidence(faulty, case, seed) > 1e-4 or outside_class(faulty, case, seed) > 1e-4
    assert count >= 20


@pytest.mark.parametrize("name", [name for name in MAKERS if name not in EXACT_EVERYWHERE])
def test_witnesses_that_miss_the_ends_are_caught(name):
    """The two witnesses exchanged, and one of them taken for both: members with the evidence, but not extreme."""
    for _, case, x, (low, high) in trials(name):
        if high.value - low.value > 1e-3 * size(case):
            assert min(missed_ends(pair, case, x) for pair in ((high, low), (low, low), (high, high))) > 1e-4
            return
    raise AssertionError(f"no case of {name} leaves room between its witnesses")


def test_a_network_that_does_not_fit_its_data_is_caught():
    for seed in range(10):
        case = random_case("fitted", seed, dim=2, exemplars=0)
        x = case.evidence.domain.sample(1, np.random.default_rng(seed))[0]
        fits, free = (witnesses(c, case.evidence, x)[1].module for c in (case.function_class, ReLUNetwork()))
        assert unlike_evidence(fits, case, seed) <= 1e-9
        assert unlike_evidence(free, case, seed) > 1e-3


@pytest.mark.parametrize("name", ["affine-along", "sparse-affine"])
def test_slopes_outside_the_class_are_caught_though_the_evidence_fits(name):
    """The slope is turned around the line between the two pictures."""
    for seed in range(20):
        case = random_case(name, seed, dim=3, exemplars=0)
        limit = getattr(case.function_class, "directions", np.zeros((getattr(case.function_class, "nonzero", 0), 3)))
        if len(limit) >= 3:
            continue
        low, high = case.evidence.x_min, case.evidence.x_max
        turned = np.cross(high - low, np.random.default_rng(seed).normal(size=3))
        module = witnesses(case.function_class, case.evidence, (low + high) / 2)[0].module
        assert outside_class(module, case, seed) <= 1e-6
        with torch.no_grad():
            module.slope += torch.tensor(0.3 * turned)
            module.offset -= float(0.3 * turned @ low)
        assert outside_class(module, case, seed) > 1e-3


def test_a_spike_in_the_wrong_place_is_caught():
    case = random_case("relu", 3, dim=2, exemplars=2)
    x = case.evidence.domain.sample(1, np.random.default_rng(0))[0]
    net = witnesses(case.function_class, case.evidence, x)[1].module
    assert isinstance(net, SpikeNet)
    assert unlike_evidence(net, case, 0) <= 1e-6
    with torch.no_grad():
        net.centres[1] += 0.05
    assert unlike_evidence(net, case, 0) > 1e-3


def test_a_narrow_cone_of_an_exemplar_is_caught(monkeypatch):
    from snellen.theory import quadratic

    right = quadratic.cone
    monkeypatch.setattr(quadratic, "cone", lambda found, known, j, angle: right(found, known, j, angle / 2))
    cases = [random_case("quadratic", seed, dim=3, exemplars=1) for seed in range(40)]
    assert max(escape(envelope, case, seed, 6) for seed, case in enumerate(cases)) > 1e-3


def test_an_exemplar_read_at_another_height_is_caught():
    """A witness through the exemplar's line at half its height has not the evidence."""
    for seed in range(40):
        case = random_case("quadratic", seed, dim=3, exemplars=1)
        x = case.evidence.domain.sample(1, np.random.default_rng(seed))[0]
        module = witnesses(case.function_class, case.evidence, x)[0].module
        assert unlike_evidence(module, case, seed) <= 1e-6
        with torch.no_grad():
            module.rest += 0.1 * size(case)
        assert unlike_evidence(module, case, seed) > 1e-3 or len(module.axes) == 3


def test_a_shared_function_of_other_weights_is_caught():
    for seed in range(20):
        case = random_case("patch-shared", seed, dim=3, exemplars=0)
        x = case.evidence.domain.sample(1, np.random.default_rng(seed))[0]
        module = witnesses(case.function_class, case.evidence, x)[1].module
        assert outside_class(module, case, seed) <= 1e-6
        module.weights[0] *= 1.5
        if case.evidence.spread > 0.1:
            assert max(outside_class(module, case, seed), unlike_evidence(module, case, seed)) > 1e-3


def test_a_cone_too_steep_is_caught():
    case = random_case("lipschitz-l2", 1, dim=2, exemplars=0)
    module = witnesses(case.function_class, case.evidence, case.evidence.domain.centre)[1].module
    assert outside_class(module, case, 0) <= 1e-9
    module.bound = module.bound * 2
    assert outside_class(module, case, 0) > 1e-3
