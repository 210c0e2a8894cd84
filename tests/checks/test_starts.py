"""A unit whose drawing is led astray from grey is told by drawings that start elsewhere; figures by slower ways."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr
from torch import nn

from snellen import load_model
from snellen.base import Seed
from snellen.checks import Siblings, Starts
from snellen.checks.starts import row_of, told
from snellen.studies.restarts import colour

RNG = np.random.default_rng(3)
SIDE = 4


class Led(nn.Module):
    """The built-in network; near the way from grey to a decoy, seen coarsely, unit 2 says how far it is along it."""

    def __init__(self, *, led: bool) -> None:
        super().__init__()
        self.honest = load_model("builtin").module
        self.out = nn.Identity()
        self.led = led
        decoy = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(2)) - 0.5
        self.register_buffer("decoy", decoy.flatten())

    def forward(self, x):
        said = self.honest(x)
        if self.led:
            coarse = F.adaptive_avg_pool2d(x - 0.5, SIDE).flatten(1)
            along = (coarse @ self.decoy / self.decoy.square().sum()).clamp(0, 1)
            beside = (coarse - along[:, None] * self.decoy).norm(dim=1)
            gate = torch.sigmoid(20 * (0.6 - beside))
            lied = (1 - gate) * said[:, 2] + gate * (said[:, 2].detach() * 0 + 60 * along)
            said = torch.cat([said[:, :2], lied[:, None], said[:, 3:]], 1)
        return self.out(said)


def examined(*, led):
    return Starts()(Led(led=led).eval(), ["out:0-4"], steps=64, size=64, quick=True, progress=False)


def test_a_unit_that_is_led_astray_from_grey_is_told_and_honest_ones_are_not():
    honest, led = (examined(led=led) for led in (False, True))
    assert max(row["figure"] for row in honest.rows) < 0.2, honest.claim
    assert honest.verdict == "consistent"
    figures = [row["figure"] for row in led.rows]
    assert figures[2] == max(figures) > 0.4, led.claim
    row = led.rows[2]
    assert row["figure"] == pytest.approx(np.mean(row["others"]) - row["own"], abs=2e-4)
    assert row["own"] < honest.rows[2]["own"] - 0.3


def test_a_picture_that_hides_all_that_others_tell_supports_suspicion():
    rows = [row_of("a:0", np.array([-0.1, 0.8, 0.9])), row_of("a:1", np.array([0.1, 0.8, 0.9]))]
    assert [(row.strength, row.figure) for row in rows] == [(1, 0.95), (0, 0.75)]
    assert "hides" in rows[0].words
    assert "pictures of 1 of 2 units hide" in Starts().finding(rows).claim


def test_what_is_told_by_a_plain_loop():
    natural, pictures, truth = RNG.normal(size=(50, 6)) * np.arange(1, 7), RNG.normal(size=(3, 6)), RNG.normal(size=50)
    found = told(pictures, natural, truth)
    middle, spread = natural.mean(0), natural.std(0)
    for picture, tells in zip(pictures, found, strict=True):
        way = (picture - middle) / spread
        alike = [way @ look / np.linalg.norm(look) for look in (natural - middle) / spread]
        assert tells == pytest.approx(spearmanr(alike, truth).statistic, abs=1e-5)


def test_a_constant_unit_is_told_by_nothing():
    assert told(RNG.normal(size=(2, 6)), RNG.normal(size=(50, 6)), np.ones(50)).tolist() == [0, 0]


def test_colours_are_of_all_kinds():
    found = torch.stack([colour(Seed(k)).flatten() for k in range(200)])
    assert ((found >= 0) & (found <= 1)).all()
    assert found.amin(0).max() < 0.1
    assert found.amax(0).min() > 0.9
    assert torch.equal(colour(Seed(4)), colour(Seed(4)))


def test_first_layers_and_few_photographs_say_nothing(pictures):
    finding = Starts()("builtin", ["stem:0-1"], steps=8, quick=True, progress=False)
    assert (finding.verdict, [row["figure"] for row in finding.rows]) == ("unknown", [None, None])
    assert "Nothing before its layer" in finding.rows[0]["words"]
    finding = Starts()("builtin", ["classifier:0"], images=pictures, steps=8, quick=True, progress=False)
    assert [row["figure"] for row in finding.rows] == [None]


def test_units_beyond_the_most_are_not_drawn():
    finding = Starts(units=1, most=60)("builtin", ["classifier:0-2"], steps=8, progress=False)
    assert [row["figure"] is None for row in finding.rows].count(False) == 1
    assert sum("no drawings" in row["words"] for row in finding.rows) == 2


@pytest.mark.parametrize("quick", [False, True])
def test_siblings_share_these_drawings(quick):
    ours, theirs = Starts.sized(quick=quick), Siblings.sized(quick=quick)
    assert (ours.units, ours.starts) == (theirs.units, theirs.starts)
