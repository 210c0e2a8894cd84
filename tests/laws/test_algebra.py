"""Law 3: objectives form a commutative ring and scoring respects it; transforms compose with an identity."""

from functools import cache

import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from snellen.models import Unit
from snellen.pictures import Compose, Jitter, Objective, Rotate, Scale

UNITS = [Unit("a", 0), Unit("a", 1), Unit("b", 2), Unit("a", 1, (0, 1)), Unit("a", 1, None, True)]
numbers = st.integers(-3, 3).map(float)
leaves = st.sampled_from(UNITS).map(Objective.of) | numbers.map(Objective.of)
objectives = st.recursive(
    leaves,
    lambda inner: st.tuples(inner, inner, st.sampled_from("+-*")).map(lambda t: combined(*t)) | inner.map(lambda o: -o),
    max_leaves=6,
)
ZERO, ONE = Objective.of(0.0), Objective.of(1.0)


def combined(a, b, sign):
    return a + b if sign == "+" else a - b if sign == "-" else a * b


@cache
def activations():
    g = torch.Generator().manual_seed(0)
    shapes = {"a": (4, 2, 2, 3), "b": (4, 5), "a/pre": (4, 2, 2, 3)}
    found = {name: torch.randn(shape, generator=g, dtype=torch.float64) for name, shape in shapes.items()}
    return {**found, "a@0,1": found["a"][:, :, 0, 1]}


def value(objective):
    """The score, where constants score too."""
    reading = Objective.of(UNITS[0]) * 2.0**20
    found = activations()
    return (objective + reading).score(found) - reading.score(found)


@given(objectives, objectives, objectives)
@settings(deadline=None)
def test_objectives_form_a_commutative_ring(a, b, c):
    assert a + b == b + a
    assert a * b == b * a
    assert (a + b) + c == a + (b + c)
    assert (a * b) * c == a * (b * c)
    assert a * (b + c) == a * b + a * c
    assert a + ZERO == a + 0 == 0 + a == a
    assert a * ONE == a * 1 == 1 * a == a
    assert a * ZERO == ZERO
    assert a - a == a + -a == ZERO


@given(objectives, objectives)
@settings(deadline=None)
def test_subtraction_takes_away(a, b):
    assert (a - b) + b == a
    assert a - b == -(b - a) == a + (-1) * b
    negated = -a
    assert -negated == a
    assert 2 - a == -(a - 2)


@given(objectives, objectives)
@settings(deadline=None)
def test_scoring_respects_the_arithmetic(a, b):
    for sign in "+-*":
        torch.testing.assert_close(
            value(combined(a, b, sign)), combined(value(a), value(b), sign), rtol=1e-6, atol=1e-5
        )
    torch.testing.assert_close(value(-a), -value(a), rtol=1e-6, atol=1e-5)


@given(objectives, objectives)
@example(1 - Objective.of(UNITS[0]), -Objective.of(UNITS[0]))
@settings(deadline=None)
def test_equal_objectives_are_written_and_hashed_alike_and_others_are_not(a, b):
    assert (a == b) == (str(a) == str(b))
    assert a != b or hash(a) == hash(b)
    assert a.addresses | b.addresses >= (a + b).addresses


@given(objectives, objectives)
@settings(deadline=None)
def test_arithmetic_changes_none_of_its_parts(a, b):
    before = (a.terms, b.terms)
    combined(a, b, "+"), combined(a, b, "-"), combined(a, b, "*"), -a
    assert (a.terms, b.terms) == before


fractions = st.floats(0.01, 0.3)
plain = st.one_of(
    fractions.map(Jitter),
    st.tuples(st.floats(0.5, 1.0), st.floats(1.0, 2.0)).map(lambda t: Scale(*t)),
    st.floats(1.0, 180.0).map(Rotate),
)
transforms = st.recursive(
    plain | st.just(Compose()), lambda t: st.lists(t, max_size=3).map(lambda p: Compose(tuple(p)))
)


def moved(transform, seed=0, size=(20, 30)):
    draws = torch.rand(3, transform.draws, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return transform.matrices(draws, size)


@given(transforms, transforms, transforms)
@settings(max_examples=50, deadline=None)
def test_transforms_compose_associatively(a, b, c):
    assert (a | b) | c == a | (b | c)
    torch.testing.assert_close(moved((a | b) | c), moved(Compose((a, Compose((b, c))))))
    assert (a | b).draws == a.draws + b.draws


@given(transforms)
@settings(max_examples=50, deadline=None)
def test_the_empty_composition_is_the_identity(a):
    torch.testing.assert_close(moved(a | Compose()), moved(a))
    torch.testing.assert_close(moved(Compose() | a), moved(a))
    assert (a | Compose()) == (Compose() | a)
    torch.testing.assert_close(moved(Compose()), torch.eye(3, dtype=torch.float64).expand(3, 3, 3))


@given(transforms, transforms)
@settings(max_examples=50, deadline=None)
def test_a_composition_is_the_product_of_its_parts_matrices(a, b):
    draws = torch.rand(2, a.draws + b.draws, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    first, second = a.matrices(draws[:, : a.draws], (9, 9)), b.matrices(draws[:, a.draws :], (9, 9))
    torch.testing.assert_close((a | b).matrices(draws, (9, 9)), second @ first)
