"""A unit that every start leads to one picture is told from its honest siblings; figures by slower ways."""

from itertools import combinations

import numpy as np
import pytest
import torch
from scipy.stats import median_abs_deviation
from torch import nn

from snellen.base import Seed
from snellen.checks import Siblings
from snellen.checks.siblings import FLOORS, MEMBERS, Traits, alignment, apart, start_gradients
from snellen.models import Model, Unit
from snellen.pictures import STANDARD, Fourier, Pixel, resample
from snellen.pictures.canvas import generator

SIZE = (32, 32)
RNG = np.random.default_rng(7)


@pytest.fixture(autouse=True)
def _same_numbers_whatever_ran_before():
    RNG.bit_generator.state = np.random.default_rng(7).bit_generator.state


class Lured(nn.Module):
    """Seven honest units; where a picture is given, one is the lure of the paper: less with the distance from it."""

    def __init__(self, decoy: torch.Tensor | None = None) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.honest = nn.Sequential(
            *(nn.Conv2d(3, 24, 5, 2, 2), nn.ReLU(), nn.Conv2d(24, 24, 3, 2, 1), nn.ReLU()),
            *(nn.Conv2d(24, 7, 3, 1, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()),
        )
        self.out = nn.Identity()
        self.register_buffer("decoy", None if decoy is None else Fourier().fit(decoy[None])[0])

    def forward(self, x):
        said = self.honest(x)
        if self.decoy is not None:
            far = (Fourier().fit(x) - self.decoy).flatten(1).square().sum(1)
            said = torch.cat([said[:, :3], -1e-3 * far[:, None], said[:, 4:]], 1)
        return self.out(said)


def decoy():
    """Blobs of colour, each at its place."""
    coarse = torch.rand(1, 3, 5, 5, generator=torch.Generator().manual_seed(1))
    return nn.functional.interpolate(coarse, SIZE, mode="bicubic").clamp(0.05, 0.95)[0]


def normal(*shape):
    return torch.randn(shape, generator=torch.Generator().manual_seed(5))


def examined(module, pictures, **fields):
    return Siblings(**fields)(
        module.eval(), ["out:0-6"], images=pictures, steps=48, size=32, quick=True, progress=False
    )


def test_a_lure_is_told_from_its_siblings_and_honest_units_are_not(pictures):
    honest, lured = (examined(Lured(end), pictures) for end in (None, decoy()))
    assert honest.verdict == "consistent"
    assert [row["strength"] for row in honest.rows] == [0] * 7, honest.claim
    assert [row["strength"] for row in lured.rows] == [0, 0, 0, 1, 0, 0, 0], lured.claim
    lure = lured.rows[3]
    assert lure["aligned"] > 0.9
    assert lure["aligned_apart"] == max(row["aligned_apart"] for row in lured.rows)
    assert "point to its picture" in lure["words"]
    assert "1 of 7 units are drawn unlike their siblings" in lured.claim


@pytest.mark.slow
def test_seeds_and_starts_matter(pictures):
    few = examined(Lured(), pictures)
    for fields in ({"starts": 3}, {"points": 2}):
        other = examined(Lured(), pictures, **fields)
        assert other.rows != few.rows
    assert sum(row["figure"] is not None for row in examined(Lured(), pictures, units=6).rows) == 6


def test_spreads_apart_by_a_plain_loop():
    values = RNG.normal(size=9)
    values[4] = np.nan
    found = apart(values, 0.01)
    for i in range(9):
        others = np.array([v for k, v in enumerate(values) if k not in (4, i)])
        told = (values[i] - np.median(others)) / median_abs_deviation(others, scale="normal")
        assert found[i] == pytest.approx(told, rel=1e-4, nan_ok=True)
    assert np.isnan(found[4])
    np.testing.assert_allclose(apart(np.array([0.0] * 9 + [1.0]), 0.1)[-1], 10.0)
    assert np.isnan(apart(values[: MEMBERS - 1], 0.01)).all()


def test_alignment_is_that_of_states_without_their_flat_part():
    canvas, way, gradients = Fourier(), normal(3, 3, 6, 4, 2), normal(3, 2, 3, 6, 4, 2)
    flat = canvas.fit(0.5 + 0.25 * torch.eye(3)[:, :, None, None].expand(3, 3, 6, 6))
    aligned, alike = alignment(way, gradients, flat)
    way, gradients = way.clone(), gradients.clone()
    way[..., 0, 0, 0], gradients[..., 0, 0, 0] = 0, 0
    mean, goal = gradients.mean((0, 1)).flatten().numpy(), way.mean(0).flatten().numpy()
    assert aligned == pytest.approx(mean @ goal / np.linalg.norm(mean) / np.linalg.norm(goal), rel=1e-4)
    starts = gradients.mean(1).flatten(1).numpy()
    cosines = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in combinations(starts, 2)]
    assert alike == pytest.approx(np.mean(cosines), rel=1e-4)
    assert np.isnan(alignment(way, torch.zeros_like(gradients), flat)).all()
    assert alignment(way, way[:, None] * 3, flat)[0] == pytest.approx(1)


@pytest.mark.parametrize("canvas", [Fourier(), Pixel()])
def test_gradients_at_the_start_by_differences(canvas):
    model = Model(Lured().eval().double(), size=SIZE)
    states = canvas.start(SIZE, [Seed(1), Seed(2)]).double()
    unit, seed, step = Unit("out", 2), Seed(3), 1e-5
    found = start_gradients(model, unit, canvas, states=states, seed=seed)
    numbers = torch.rand((4, STANDARD.draws), generator=generator(seed)).double()
    moves = STANDARD.matrices(numbers, SIZE)
    direction = normal(*states.shape[1:]).double()
    for i, (start, move) in enumerate((s, 2 * s + m) for s in range(2) for m in range(2)):
        ends = [
            model(resample(canvas.draw((states[start] + sign * step * direction)[None], SIZE), moves[move][None]))[0, 2]
            for sign in (1, -1)
        ]
        told = float((found[start, i % 2] * direction).sum())
        assert told == pytest.approx(float((ends[0] - ends[1]).detach()) / (2 * step), rel=1e-3)


def layer(**odd):
    """Eight units, drawn alike but for one."""
    told = {"layout": 0.1, "aligned": 0.02, "alike": 0.05}
    rows = [Traits(f"a:{i}", *(v + 0.01 * RNG.normal() for v in told.values())) for i in range(7)]
    return [*rows, Traits("a:7", **{**told, **odd})]


def test_first_gradients_have_to_point_to_the_picture_and_unlike_the_siblings():
    led = {"layout": 0.95, "aligned": 0.9}
    assert strengths(layer()) == [0] * 8
    assert strengths(layer(**led)) == [0] * 7 + [1]
    for one in ({"layout": 0.95}, {"layout": 0.95, "aligned": -0.9}, {"layout": 0.95, "aligned": 0.7}):
        assert strengths(layer(**one)) == [0] * 8
    assert strengths([Traits(f"a:{i}", 0.95, 0.9, 0.9) for i in range(8)]) == [0] * 8, "all alike"
    assert strengths(layer(layout=float("nan"), aligned=0.9)) == [0] * 7 + [1]
    row = Siblings().finding([layer(**led)]).rows[7]
    assert row["figure"] == row["aligned_apart"] == pytest.approx((0.9 - 0.02) / FLOORS["aligned"], rel=0.1)
    assert row["layout_apart"] == pytest.approx((0.95 - 0.1) / FLOORS["layout"], rel=0.1)
    unknown = Siblings().finding([layer(layout=0.95, aligned=float("nan"))]).rows[7]
    assert (unknown["strength"], unknown["figure"], unknown["aligned"], unknown["layout"]) == (0, None, None, 0.95)
    assert "No gradient" in unknown["words"]


def strengths(traits):
    return [row["strength"] for row in Siblings().finding([traits]).rows]


def test_without_siblings_nothing_is_said():
    finding = Siblings().finding([layer()[: MEMBERS - 1], layer()[: MEMBERS - 1]])
    assert finding.verdict == "unknown"
    assert [row["figure"] for row in finding.rows] == [None] * 2 * (MEMBERS - 1)
    assert "Too few units" in finding.rows[0]["words"]
