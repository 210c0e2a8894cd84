import pytest
import torch

from snellen.base import UnitError, UsageError
from snellen.models import Unit, response
from snellen.pictures import Objective
from snellen.pictures.objectives import scores

A, B, C = Unit("conv", 1), Unit("fc", 0), Unit("conv", 2, (1, 0))


def activations(n=4):
    g = torch.Generator().manual_seed(0)
    conv = torch.randn(n, 3, 2, 2, generator=g)
    return {"conv": conv, "conv@1,0": conv[:, :, 1, 0], "fc": torch.randn(n, 5, generator=g)}


def test_a_score_is_the_polynomial_of_the_responses():
    a, b, c = (Objective.of(u) for u in (A, B, C))
    found = activations()
    x, y, z = (response(found[u.address], u) for u in (A, B, C))
    for objective, value in [
        (a, x),
        (a - b, x - y),
        (-a, -x),
        (a * b - 2 * c * c + 3, x * y - 2 * z * z + 3),
        (1 - (a + b) * (a - b), 1 - (x * x - y * y)),
        (0.5 * a + b * 0.25, 0.5 * x + 0.25 * y),
    ]:
        torch.testing.assert_close(objective.score(found), value)


def test_units_and_addresses_and_numbers_become_objectives():
    assert Objective.of("conv:1") == Objective.of(A)
    assert Objective.of(Objective.of(A)) == Objective.of(A)
    assert B - Objective.of(A) == Objective.of(B) - A
    assert (Objective.of(A) + 0) == Objective.of(A)
    with pytest.raises(UnitError):
        Objective.of("conv")


def test_an_objective_says_what_it_reads():
    whole = Objective.of(A) * B - Unit("stem", 3, None, pre=True)
    assert whole.addresses == {"conv", "fc", "stem/pre"}
    assert Objective.of(A).unit == (-Objective.of(A)).unit == A
    assert (Objective.of(A) * 2).unit is None
    assert (Objective.of(A) + 1).unit is None
    assert whole.unit is None


def test_an_objective_is_written_as_its_terms():
    a = Objective.of(A)
    assert str(a) == "conv:1"
    assert str(-a) == "-1 conv:1"
    assert str(a - B) == "conv:1 -1 fc:0"
    assert str(a * B * 2 - 1) == "-1 +2 conv:1 fc:0"
    assert str(a - a) == "0"
    assert str(1 - a) == "+1 -1 conv:1"
    assert str(a * 0.123456789) == "+0.123456789 conv:1"


@pytest.mark.parametrize(
    "objectives",
    [
        [Objective.of(Unit("conv", c)) for c in (2, 0, 1, 2)],
        [
            Objective.of(Unit("conv", 1)),
            -Objective.of(Unit("conv", 1)),
            -Objective.of(Unit("conv", 2)),
            Objective.of(A),
        ],
        [Objective.of(A), Objective.of(B), Objective.of(C), -Objective.of(C)],
        [Objective.of(A) - B, Objective.of(B) * B, 2 * Objective.of(C), Objective.of(A) + 1],
    ],
    ids=["channels", "signs", "layers", "polynomials"],
)
def test_objective_i_scores_picture_i(objectives):
    found = activations()
    each = [o.score({k: v[i : i + 1] for k, v in found.items()})[0] for i, o in enumerate(objectives)]
    torch.testing.assert_close(scores(objectives, found), torch.stack(each))


@pytest.mark.parametrize(
    ("shape", "position"),
    [((3, 7, 4, 5), None), ((3, 20, 7), None), ((3, 7), None), ((3, 7), (2, 3))],
    ids=["map", "tokens", "vector", "one place"],
)
def test_a_direction_is_the_weighted_sum_of_channels(shape, position):
    g = torch.Generator().manual_seed(1)
    made, vector = torch.randn(shape, generator=g), torch.randn(7, generator=g)
    vector[4] = 0.0
    objective = Objective.direction("a", vector, position)
    slower = sum(float(vector[c]) * response(made, Unit("a", c, position)) for c in range(7))
    (address,) = objective.addresses
    torch.testing.assert_close(objective.score({address: made}), slower)
    torch.testing.assert_close(scores([objective] * 3, {address: made}), slower)


def test_directions_are_objectives_like_others():
    a, b = Objective.direction("conv", [1, 2, 0]), Objective.direction("conv", [0, 2, 5])
    assert a - b == Objective.of("conv:0") - 5 * Objective.of("conv:2")
    assert Objective.direction("conv", [0, 1]) == Objective.of("conv:1")
    assert Objective.direction("conv/pre", [1]) == Objective.of("conv/pre:0")
    for nowhere in ([], [0.0, 0.0], [1.0, float("nan")]):
        with pytest.raises(UsageError, match="direction"):
            Objective.direction("conv", nowhere)


def test_a_constant_is_nothing_to_maximize():
    with pytest.raises(UsageError, match="constant"):
        Objective.of(3.0).score(activations())


@pytest.mark.parametrize(("shape", "axis"), [((3, 5, 4, 4), 1), ((3, 6, 5), 2), ((3, 5), 1)])
@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_gradients_of_plain_units_are_those_of_indexing_laid_out_as_the_activation_is(shape, axis, dtype):
    made = torch.randn(shape, generator=torch.Generator().manual_seed(0)).to(dtype)
    if len(shape) == 4:
        made = made.contiguous(memory_format=torch.channels_last)
    objectives = [Objective.of("a:1"), -Objective.of("a:4"), Objective.of("a:1")]
    value, plain = made.clone().requires_grad_(), made.clone().requires_grad_()
    rows = plain.float() if dtype is torch.bfloat16 else plain
    slower = sum(s * rows[i].select(axis - 1, c).mean() for i, (s, c) in enumerate([(1, 1), (-1, 4), (1, 1)]))
    total = scores(objectives, {"a": value}).sum()
    total.backward()
    slower.backward()
    torch.testing.assert_close(total, slower)
    torch.testing.assert_close(value.grad, plain.grad)
    seen = {}
    value.register_hook(lambda gradient: seen.update(stride=gradient.stride()))
    scores(objectives, {"a": value}).sum().backward()
    assert seen["stride"] == made.stride()
