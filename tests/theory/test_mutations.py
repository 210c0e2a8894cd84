"""Wrong envelopes, decoders and witnesses, made by hand, are caught by the very trials that ours pass."""

import dataclasses

import numpy as np
import pytest
import torch
from theory_attacks import escape, misprediction, outside_class, size, unlike_evidence
from theory_members import random_case
from torch import nn

from snellen.theory import Decoded, Envelope, Smooth, SpikeNet, decode, envelope, witnesses

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


ENVELOPES = [
    *((name, narrowed) for name in ("relu", "fitted", "lipschitz-l1", "lipschitz-l2", "lipschitz-linf", "monotone")),
    *((name, narrowed) for name in ("convex", "concave", "additive", "affine", "affine-along", "sparse-affine")),
    ("lipschitz-l2", swapped_cones),
    ("lipschitz-l2", smaller_bound),
    ("lipschitz-l2", wrong_norm),
    ("convex", gauge_of_the_mirror),
    ("affine", mean_share),
    ("monotone", no_jumps),
    ("smooth", parabola_from_max),
]


@pytest.mark.parametrize(("name", "mutant"), ENVELOPES)
def test_wrong_envelopes_are_caught(name, mutant):
    caught = False
    for seed in TRIALS:
        case = random_case(name, seed, dim=2 if name != "relu" else 1, exemplars=0)
        if np.ptp(np.append(case.evidence.values, [case.evidence.value_min, case.evidence.value_max])) < 1e-6:
            continue
        with np.errstate(invalid="ignore", divide="ignore"):
            caught = caught or extreme_members_escape(mutant, case, seed)
        if caught:
            return
    raise AssertionError(f"{mutant.__name__} passed as an envelope of {name}")


def extreme_members_escape(mutant, case, seed: int) -> bool:
    """The random member, and the two witnesses: as members of the class they must not leave it either."""
    if escape(mutant, case, seed, 6) > 1e-6:
        return True
    x = case.evidence.domain.sample(1, np.random.default_rng(seed))[0]
    if isinstance(case.function_class, Smooth):
        return False
    for witness in witnesses(case.function_class, case.evidence, x):
        bounds = mutant(case.function_class, case.evidence, x[None])
        if max(bounds.lo[0] - witness.value, witness.value - bounds.up[0]) > 1e-6 * size(case):
            return True
    return False


@pytest.mark.parametrize("name", ["lipschitz-l2", "affine", "convex"])
@pytest.mark.parametrize("shift", [-0.2, 0.2])
def test_a_biased_decoder_is_caught(name, shift):
    """A prediction off the middle, with the error of the middle, fails for a witness or a random member."""

    def biased(function_class, evidence, x):
        right = decode(function_class, evidence, x)
        return Decoded(right.prediction + shift * right.error, right.error)

    for seed in TRIALS:
        case = random_case(name, seed, dim=2, exemplars=0)
        if misprediction(biased, case, seed, 6) > 1e-6:
            return
        x = case.evidence.domain.sample(1, np.random.default_rng(seed))[0]
        wrong = biased(case.function_class, case.evidence, x[None])
        for witness in witnesses(case.function_class, case.evidence, x):
            if abs(wrong.prediction[0] - witness.value) > wrong.error[0] + 1e-6 * size(case):
                return
    raise AssertionError("a biased decoder passed")


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
        return self.height * torch.sin(40 * y.flatten(1)).prod(1, keepdim=True)


@pytest.mark.parametrize(
    "name",
    [
        "lipschitz-l1",
        "lipschitz-l2",
        "lipschitz-linf",
        "monotone",
        "convex",
        "concave",
        "affine",
        "additive",
        "constant",
        "relu",
    ],
)
def test_wrong_witnesses_are_caught(name):
    for seed in range(5):
        case = random_case(name, seed, dim=2, exemplars=1)
        x = case.evidence.domain.sample(1, np.random.default_rng(seed))[0]
        for witness in witnesses(case.function_class, case.evidence, x):
            faulty = Sum(witness.module, Ripple(0.05 * size(case)))
            assert unlike_evidence(faulty, case, seed) > 1e-4 or outside_class(faulty, case, seed) > 1e-4


def test_a_spike_in_the_wrong_place_is_caught():
    case = random_case("relu", 3, dim=2, exemplars=2)
    x = case.evidence.domain.sample(1, np.random.default_rng(0))[0]
    net = witnesses(case.function_class, case.evidence, x)[1].module
    assert isinstance(net, SpikeNet)
    assert unlike_evidence(net, case, 0) <= 1e-6
    with torch.no_grad():
        net.centres[1] += 0.05
    assert unlike_evidence(net, case, 0) > 1e-3


def test_a_cone_too_steep_is_caught():
    case = random_case("lipschitz-l2", 1, dim=2, exemplars=0)
    module = witnesses(case.function_class, case.evidence, case.evidence.domain.centre)[1].module
    assert outside_class(module, case, 0) <= 1e-9
    module.bound = module.bound * 2
    assert outside_class(module, case, 0) > 1e-3
