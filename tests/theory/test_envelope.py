"""The true value never leaves the envelope, for random members of every class with random evidence."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_attacks import escape, misprediction, size
from theory_members import MAKERS, Case, random_case

from snellen.base import UsageError
from snellen.theory import Ball, BlackBox, Box, Lipschitz, decode, envelope
from snellen.theory.evidence import Evidence

SEEDS = st.integers(0, 2**32)


EVIDENCE = st.fixed_dictionaries({"dim": st.integers(1, 3), "exemplars": st.integers(0, 4), "gradients": st.booleans()})


def holds(name: str, seed: int, evidence: dict) -> None:
    case = random_case(name, seed, **evidence)
    assert escape(envelope, case, seed, 3) <= 1e-6


@pytest.mark.parametrize("name", MAKERS)
def test_the_decoder_errs_no_more_than_it_says(name):
    for seed in range(5):
        case = random_case(name, seed, dim=1 + seed % 3, exemplars=seed % 3)
        assert misprediction(decode, case, seed, 3) <= 1e-6


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, evidence=EVIDENCE)
def test_true_values_stay_inside(name, seed, evidence):
    holds(name, seed, evidence)


@pytest.mark.parametrize("name", ["lipschitz-l2", "monotone", "affine", "convex", "additive", "sparse-affine"])
def test_many_dimensions(name):
    case = random_case(name, 3, dim=3 if name == "convex" else 12, exemplars=5)
    assert escape(envelope, case, 0) <= 1e-6


@pytest.mark.parametrize("name", MAKERS)
@settings(max_examples=8, deadline=None)
@given(seed=SEEDS, dim=st.integers(1, 3))
def test_more_evidence_never_widens(name, seed, dim):
    case = random_case(name, seed, dim=dim, exemplars=3)
    x = case.evidence.domain.sample(4, np.random.default_rng(seed))
    fewer = random_case(name, seed, dim=dim, exemplars=3).evidence
    fewer = Evidence(
        fewer.domain, fewer.x_min, fewer.x_max, fewer.value_min, fewer.value_max, fewer.points[:1], fewer.values[:1]
    )
    wide, narrow = envelope(case.function_class, fewer, x), envelope(case.function_class, case.evidence, x)
    tolerance = 1e-6 * size(case)
    assert (narrow.lo >= wide.lo - wide.gap - tolerance).all()
    assert (narrow.up <= wide.up + wide.gap + tolerance).all()


@pytest.mark.parametrize(
    "name",
    ["black-box", "lipschitz-l1", "lipschitz-l2", "lipschitz-linf", "monotone", "affine", "additive", "constant"],
)
@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, dim=st.integers(1, 3), known=st.integers(0, 3))
def test_values_of_the_pictures_may_be_unknown(name, seed, dim, known):
    """Bits of `known`: whether f(x_min), f(x_max) are given."""
    full = random_case(name, seed, dim=dim, exemplars=3)
    e = full.evidence
    partial = Evidence(
        e.domain,
        e.x_min,
        e.x_max,
        e.value_min if known & 1 else None,
        e.value_max if known & 2 else None,
        e.points,
        e.values,
    )
    case = Case(full.function_class, partial, full.f)
    assert escape(envelope, case, seed, 4) <= 1e-6
    wide, narrow = (envelope(full.function_class, v, e.points) for v in (partial, e))
    assert (narrow.width <= wide.width + 1e-6).all()


def test_nothing_known_bounds_nothing():
    for name in MAKERS:
        case = random_case(name, 1, dim=2, exemplars=0)
        bare = Evidence(case.evidence.domain)
        if name in ("additive", "smooth", "fitted") or name.startswith(("patch", "radial")):
            continue
        domain = case.evidence.domain  # next to its centre, where a quadratic and a cosine unit are 0 whatever they are
        lo, up = envelope(case.function_class, bare, (domain.centre + domain.widths / 8)[None])
        assert lo[0] == -np.inf
        assert up[0] == np.inf


@pytest.mark.parametrize("domain", [Box.unit(3), Box(-np.ones(3), np.array([1.0, 2.0, 3.0])), Ball(np.zeros(3), 2.0)])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_points_outside_the_domain_are_refused(domain, kind):
    evidence = Evidence(domain, points=domain.centre[None], values=np.zeros(1))
    edge = np.array([domain.farthest(s) for s in np.random.default_rng(0).normal(size=(2000, 3))], dtype=kind)
    assert len(envelope(Lipschitz(1.0), evidence, torch.tensor(edge)).lo) == 2000  # the boundary, to rounding
    for outside in (domain.farthest(np.ones(3)) + np.array([0, 0, 1e-3]), np.array([np.nan, 0.1, 0.1])):
        edge[1234] = outside
        with pytest.raises(UsageError, match="point 1234 outside"):
            envelope(Lipschitz(1.0), evidence, torch.tensor(edge))
        with pytest.raises(UsageError, match="point 0 outside"):
            decode(BlackBox(), evidence, outside)
