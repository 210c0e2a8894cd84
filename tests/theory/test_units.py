"""Units change nothing: envelopes commute with scaling and shifting of values and domain, over 24 orders of magnitude."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from theory_attacks import escape
from theory_members import MAKERS, Case, Units, asked, in_units, known, random_case, random_units

from snellen.theory import (
    Affine,
    Ball,
    Box,
    Convex,
    Evidence,
    InconsistentEvidenceError,
    Lipschitz,
    Smooth,
    SparseAffine,
    envelope,
    witnesses,
)
from snellen.theory.questions import answers

CUBE = Box.unit(2)


def reach(case: Case) -> float:
    """The range of the known values; their size for a constant."""
    values = known(case)[1]
    return float(np.ptp(values) or np.abs(values).max() or 1.0)


def member(name: str, seed: int, points: int) -> tuple[Case, np.ndarray]:
    """A member with evidence, and points to ask about."""
    rng = np.random.default_rng([seed, 11])
    evidence = {
        "dim": int(rng.integers(1, 4)),
        "exemplars": int(rng.integers(0, 5)),
        "gradients": bool(rng.integers(2)),
    }
    case = random_case(name, seed, **evidence)
    return case, asked(case, seed, points)


def trial(name: str, seed: int, points: int = 2) -> tuple[Case, np.ndarray, Case, Units]:
    """A member with evidence, points to ask about, the same in other units, and these."""
    case, x = member(name, seed, points)
    units = random_units(name, case, np.random.default_rng([seed, 12]))
    return case, x, in_units(case, units), units


def apart(case: Case, x: np.ndarray) -> np.ndarray:
    """Which points are evidence to the last bit, or in every coordinate clearly something else: rounding moves neither."""
    places, _ = known(case)
    widths = case.evidence.domain.widths
    near = np.abs(x[:, None] - places) < 1e-9 * widths
    return (~near | (x[:, None] == places)).all((1, 2))


def unlike(case: Case, x: np.ndarray, moved: Case, units: Units, size: float) -> float:
    """By how much, in shares of `size` and beyond the stated gaps, the two envelopes differ."""
    here = envelope(case.function_class, case.evidence, x)
    there = envelope(moved.function_class, moved.evidence, units.place(x))
    gap = np.where(np.isfinite(here.gap), here.gap, 0.0) + np.where(np.isfinite(there.gap), there.gap / units.unit, 0.0)
    worst = 0.0
    for one, other in ((here.lo, there.lo), (here.up, there.up)):
        with np.errstate(invalid="ignore"):
            off = np.abs((other - units.low) / units.unit - one) - gap
        worst = max(worst, float(np.where(np.isinf(one), np.where(one == other, 0.0, np.inf), off).max(initial=0.0)))
    return worst / size


@pytest.mark.parametrize("name", MAKERS)
def test_units_commute_with_envelopes(name):
    for seed in range(30):
        case, x, moved, units = trial(name, seed)
        assert unlike(case, x[apart(case, x)], moved, units, reach(case)) <= 1e-6, (name, seed)


@pytest.mark.parametrize("name", ["affine", "sparse-affine", "additive", "lipschitz-l2", "monotone", "constant"])
def test_units_commute_where_the_pictures_values_are_unknown(name):
    for seed in range(20):
        case, x, moved, units = trial(name, seed)
        pair = [
            Case(c.function_class, dataclasses.replace(c.evidence, value_min=None, value_max=None), c.f)
            for c in (case, moved)
        ]
        assert unlike(pair[0], x[apart(case, x)], pair[1], units, reach(case)) <= 1e-6, (name, seed)


def inside(name: str, seed: int) -> None:
    """The true value is in the envelope; every other time in other units."""
    case, x = member(name, seed, 1)
    if seed % 2:
        _, _, case, units = trial(name, seed, 1)
        x = units.place(x)
    bounds, truth = envelope(case.function_class, case.evidence, x), case.f(x)
    assert float(np.maximum(bounds.lo - truth, truth - bounds.up).max()) <= 1e-6 * reach(case), (name, seed)


@pytest.mark.parametrize("name", MAKERS)
def test_true_values_stay_inside_in_any_units(name):
    for seed in range(25):
        inside(name, seed)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("name", MAKERS)
def test_true_values_stay_inside_ten_thousand_times(name):
    """In a process of its own: the checks of every call's types, which are on in tests, take most of the time."""
    code = f"import test_units\nfor seed in range(10_000): test_units.inside({name!r}, seed)"
    done = subprocess.run([sys.executable, "-c", code], cwd=Path(__file__).parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


def test_programs_print_nothing(capfd):
    for name in ("affine", "affine-along", "sparse-affine", "additive", "convex", "concave"):
        for seed in range(8):
            case, x, moved, units = trial(name, seed)
            envelope(moved.function_class, moved.evidence, units.place(x))
    narrow = Box(np.zeros(3), np.array([1.0, 1e-9, 1e9]))
    evidence = Evidence(narrow, narrow.lower, narrow.upper, 0.0, 1e-6).with_points([[0.3, 5e-10, 2e8]], [5e-7])
    for kind in (Affine(), SparseAffine(1), SparseAffine(2), Convex()):
        envelope(kind, evidence, 0.3 * narrow.upper[None])
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("scale", [1e-12, 1e-9, 1e-6, 1.0, 1e6, 1e12])
def test_sparse_affine_at_any_scale(scale):
    """One pixel carries all of D and (.5, .2) -> 0.5 D says which: (.9, .5) has 0.9 D, (.2, .5, .9) what its place says."""
    cube = Box.unit(3)
    evidence = Evidence(cube, np.zeros(3), np.ones(3), 0.0, scale).with_points([[0.5, 0.5, 0.2]], [0.5 * scale])
    bounds = envelope(SparseAffine(1), evidence, np.array([[0.5, 0.5, 0.9], [0.1, 0.7, 0.9]]))
    np.testing.assert_allclose(bounds.lo, [0.5 * scale, 0.1 * scale], atol=1e-6 * scale)
    np.testing.assert_allclose(bounds.up, [0.5 * scale, 0.7 * scale], atol=1e-6 * scale)
    assert bounds.gap.max() == 0


def test_boxes_of_any_shape():
    flat = Box(np.zeros(2), np.array([1e-9, 1.0]))
    evidence = Evidence(flat, flat.lower, flat.upper, 0.0, 1.0).with_points([[3e-10, 0.9]], [0.5])
    for kind in (Affine(), SparseAffine(2), Convex()):
        assert envelope(kind, evidence, flat.centre[None]).width[0] < 1


@pytest.mark.parametrize("away", [0.0, 1e3, 1e4])
def test_contradictions_are_measured_by_the_values_range(away):
    """A thousandth more than L allows is a conflict at every height, and no two different values are one."""
    points = np.array([[0.0, 0.0], [1.0, 0.0]])
    given = Evidence(CUBE, points=points, values=np.array([away, away + 1e-3]))
    with pytest.raises(InconsistentEvidenceError, match="allows at most"):
        envelope(Lipschitz(1e-6), given, CUBE.centre[None])
    pictures = Evidence(CUBE, np.zeros(2), np.ones(2), away, away + 1e-3)
    assert not answers("exact", Lipschitz(1.0), pictures, CUBE.centre[None]).decided[0]
    twice = points[[0, 0]]
    with pytest.raises(InconsistentEvidenceError, match="two values"):
        Evidence(CUBE, points=twice, values=np.array([away, away + 1e-3]))


def test_noise_that_is_declared_is_no_contradiction():
    points = np.array([[0.0, 0.0], [1.0, 0.0]])
    noisy = Evidence(CUBE, points=points, values=np.array([1e4, 1e4 + 1e-3]), noise=2e-3)
    envelope(Lipschitz(1e-6), noisy, CUBE.centre[None])


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@pytest.mark.parametrize("away", [0.0, 1e5, 1e7])
def test_float32_points_are_worked_on_in_float64(norm, away):
    """The envelope at a float32 point is the one at the same point in float64."""
    rng = np.random.default_rng(0)
    domain = Box(np.full(3, away), np.full(3, away + 64.0))
    places = domain.sample(20, rng)
    slope = np.array([0.3, 0.2, 0.1])
    evidence = Evidence(domain, points=places, values=places @ slope)
    x = domain.sample(200, rng).astype(np.float32)
    single, double = (
        envelope(Lipschitz(1.0, norm), evidence, torch.tensor(x, dtype=k)) for k in (torch.float32, torch.float64)
    )
    np.testing.assert_allclose(single.lo, double.lo, atol=1e-5 if away == 0 else 0, rtol=0)
    np.testing.assert_allclose(single.up, double.up, atol=1e-5 if away == 0 else 0, rtol=0)
    truth = x.astype(np.float64) @ slope
    assert np.maximum(single.lo - truth, truth - single.up).max() <= 1e-6 * np.ptp(evidence.values)


def test_witnesses_at_any_scale():
    for name in ("lipschitz-l2", "monotone", "affine", "convex", "concave", "additive", "relu"):
        for seed in range(6):
            case, x, moved, units = trial(name, seed)
            if case.evidence.slopes() or (name == "additive" and isinstance(case.evidence.domain, Ball)):
                continue
            for witness in witnesses(moved.function_class, moved.evidence, units.place(x)[0]):
                assert witness.gap <= 1e-5 * reach(moved), (name, seed)


def test_a_smooth_function_at_a_small_scale():
    """Rooms of 1e-13 are no walls."""
    case = random_case("smooth", 3, dim=2, exemplars=0)
    units = Units(np.zeros(2), np.full(2, 1e-13), 0.0, 1e-13)
    moved = in_units(case, units)
    assert isinstance(moved.function_class, Smooth)
    assert escape(lambda *a: envelope(*a), moved, 0) <= 1e-6
    assert unlike(case, asked(case, 0, 6), moved, units, reach(case)) <= 1e-6
