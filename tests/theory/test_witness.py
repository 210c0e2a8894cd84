"""Witnesses are members of their class, have the evidence, and attain the envelope; random classes and evidence."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from theory_attacks import missed_ends, outside_class, respond, size, unlike_evidence
from theory_members import MAKERS, random_case

from snellen.base import UsageError
from snellen.theory import Additive, Ball, Box, Evidence, Lipschitz, Smooth, envelope, spike_net, witnesses
from snellen.theory.quadratic import lines, spectrum

SEEDS = st.integers(0, 2**32)
EVIDENCE = st.fixed_dictionaries({"dim": st.integers(1, 3), "exemplars": st.integers(0, 4), "gradients": st.booleans()})
SLOPED = ("affine", "affine-along", "sparse-affine", "constant", "convex", "concave", "cosine")
EXACT = [name for name in MAKERS if name != "smooth"]


@pytest.mark.parametrize("name", EXACT)
@settings(max_examples=12, deadline=None)
@given(seed=SEEDS, evidence=EVIDENCE)
def test_witnesses_attain_both_ends(name, seed, evidence):
    evidence["gradients"] &= name in SLOPED
    case = random_case(name, seed, **evidence)
    x = case.evidence.domain.sample(1, np.random.default_rng(seed))[0]
    on_ball = isinstance(case.evidence.domain, Ball)
    if name == "additive" and on_ball and evidence["exemplars"]:
        with pytest.raises(UsageError, match="ball"):
            witnesses(case.function_class, case.evidence, x)
        return
    bounded = getattr(case.function_class, "bound", None) is not None
    if name.startswith("patch") and on_ball and (evidence["exemplars"] or bounded):
        with pytest.raises(UsageError, match="ball"):
            witnesses(case.function_class, case.evidence, x)
        return
    if name == "quadratic" and len(lines(spectrum(case.function_class, case.evidence), case.evidence).names) > 1:
        with pytest.raises(UsageError, match="at most one exemplar"):
            witnesses(case.function_class, case.evidence, x)
        return
    tolerance = 1e-5 if on_ball and name in ("convex", "concave") else 1e-6
    pair = witnesses(case.function_class, case.evidence, x)
    assert missed_ends(pair, case, x) <= tolerance
    for witness in pair:
        assert witness.gap <= tolerance * size(case)
        assert unlike_evidence(witness.module, case, seed) <= tolerance
        assert outside_class(witness.module, case, seed) <= 1e-6


@settings(max_examples=50, deadline=None)
@given(seed=SEEDS, dim=st.integers(1, 3))
def test_smooth_witnesses_keep_the_stated_gap(seed, dim):
    case = random_case("smooth", seed, dim=dim, exemplars=0)
    x = case.evidence.domain.sample(1, np.random.default_rng(seed))[0]
    stated = envelope(case.function_class, case.evidence, x[None]).gap[0]
    try:
        pair = witnesses(case.function_class, case.evidence, x)
    except UsageError:
        return  # no room for a radial member: the gap is the whole width
    for witness in pair:
        assert witness.gap <= stated + 1e-9
        assert unlike_evidence(witness.module, case, seed) <= 1e-9
        assert outside_class(witness.module, case, seed) <= 1e-9


def test_smooth_is_tight_with_room():
    """In the middle of a large domain the radial members attain both ends."""
    domain = Ball(np.zeros(3), 10.0)
    evidence = Evidence(domain, np.array([-1.0, 0, 0]), np.array([1.0, 0, 0]), 0.0, 1.0)
    for row in np.random.default_rng(0).normal(size=(20, 3)):
        for witness in witnesses(Smooth(1.5), evidence, row):
            assert witness.gap <= 1e-9


@pytest.mark.parametrize("end", [0, 1])
def test_the_lipschitz_witness_is_tight_everywhere_at_once(end):
    case = random_case("lipschitz-l1", 5, dim=3, exemplars=4)
    x = case.evidence.domain.sample(200, np.random.default_rng(0))
    bounds = envelope(case.function_class, case.evidence, x)
    witness = witnesses(case.function_class, case.evidence, x[0])[end]
    np.testing.assert_allclose(respond(witness.module, x), (bounds.lo, bounds.up)[end], atol=1e-9)


def test_relu_witnesses_are_relu_networks():
    """The witness in plain Linear, ReLU, Linear, ReLU, Linear layers is the same function."""
    rng = np.random.default_rng(0)
    net = spike_net(rng.uniform(size=(4, 3)), rng.normal(size=4), 0.3)
    dense = net.dense()
    assert [type(m).__name__ for m in dense] == ["Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]
    x = np.concatenate([rng.uniform(size=(500, 3)), net.centres.detach().numpy()])
    np.testing.assert_allclose(respond(dense, x), respond(net, x), atol=1e-9)
    assert np.ptp(respond(net, x)) > 0.5


def test_witnesses_are_runnable_on_images_and_differentiable():
    shape = (3, 4, 5)
    domain = Box.unit(60)
    evidence = Evidence(domain, np.zeros(60), np.ones(60), 0.0, 1.0)
    image = np.random.default_rng(0).uniform(size=60)
    for witness in witnesses(Lipschitz(0.2), evidence, image):
        pixels = torch.tensor(image).reshape(1, *shape).requires_grad_()
        response = witness.module(pixels)
        assert response.shape == (1, 1)
        (gradient,) = torch.autograd.grad(response.sum(), pixels)
        assert gradient.shape == pixels.shape


def test_no_witness_where_none_is_known():
    ball = Evidence(Ball(np.zeros(2), 1.0), np.array([-1.0, 0]), np.array([1.0, 0]), 0.0, 1.0)
    with pytest.raises(UsageError, match="box"):
        witnesses(Additive(), ball.with_points(np.zeros((1, 2)), [0.5]), np.array([0.1, 0.2]))
    with pytest.raises(UsageError, match="finite"):
        witnesses(Lipschitz(1.0), Evidence(ball.domain, ball.x_min, ball.x_max), np.zeros(2))
    sloped = Evidence(ball.domain, points=np.zeros((1, 2)), values=np.zeros(1), gradients=np.array([[0.5, 0.0]]))
    with pytest.raises(UsageError, match="gradients"):
        witnesses(Lipschitz(1.0), sloped, np.zeros(2))
