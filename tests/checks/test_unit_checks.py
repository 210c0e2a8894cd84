"""Response gap, agreement and procedure: each figure by a slower way, and each tells a planted manipulation."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import spearmanr

from snellen.base import Seed, UsageError
from snellen.checks import Agreement, Procedure, ResponseGap
from snellen.checks.agreement import Family, Space, auc, likeness, places
from snellen.checks.procedure import Course, Variant, agreements
from snellen.checks.response_gap import gap

RNG = np.random.default_rng(5)


@pytest.fixture(autouse=True)
def _same_numbers_whatever_ran_before():
    RNG.bit_generator.state = np.random.default_rng(5).bit_generator.state


def test_a_gap_by_hand():
    natural = np.linspace(-1, 1, 101)
    told = gap(natural, 4.0, way="max", seed=Seed(0))
    assert told.ratio == pytest.approx(4.0)
    assert told.quantile == 1.0
    assert told.widths == pytest.approx(4.0 / (1.8 / 3.29))
    assert told.ends[0] < told.widths < told.ends[1]
    low = gap(natural, -0.5, way="min", seed=Seed(0))
    assert low.ratio == pytest.approx(0.5)
    assert low.quantile == pytest.approx(75 / 101)
    assert gap(natural, -0.5, way="max", seed=Seed(0)).widths < 0


def test_a_gap_does_not_depend_on_scale_and_shift():
    natural = RNG.gamma(2.0, size=80)
    first, second = (gap(a * natural + b, a * 9.0 + b, way="max", seed=Seed(1)) for a, b in ((1, 0), (30, -7)))
    assert second.widths == pytest.approx(first.widths)
    assert second.ends == pytest.approx(first.ends)


def test_response_gap_supports_only_the_absurd():
    natural = np.stack([RNG.normal(size=200)] * 3)
    pictures = {"max": np.array([6.0, 900.0, np.nan]), "min": np.array([-5.0, -4.0, np.nan])}
    finding = ResponseGap().finding(["a:0", "a:1", "a:2"], natural, pictures, seed=Seed(0))
    assert [row["strength"] for row in finding.evidence["units"]] == [0, 1, 0]
    assert finding.evidence["units"][2]["figure"] is None
    assert finding.evidence["units"][0]["min"]["quantile"] == 1.0
    assert "2 of 2 units excite them more than any photograph" in finding.claim
    behind = ResponseGap().finding(["a:0"], natural[:1], {"max": np.array([0.5])}, seed=Seed(0)).evidence["units"][0]
    assert behind["strength"] == 1
    assert "less than" in behind["words"]
    with pytest.raises(UsageError, match="at least 2"):
        ResponseGap().finding(["a:0"], np.zeros((1, 1)), {"max": np.ones(1)}, seed=Seed(0))


def test_auc_by_counting_pairs():
    own, others = RNG.integers(0, 4, 7).astype(float), RNG.integers(0, 4, 9).astype(float)
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in own for b in others]
    assert float(auc(own, others)) == pytest.approx(np.mean(pairs))


def test_likeness_is_centred_among_each_kind():
    natural, pictures = RNG.normal(size=(6, 4)), RNG.normal(size=(3, 4))
    tops = ((0, 1), (2,), (4, 0))
    found = likeness(Space("s", natural, pictures), tops)
    shown = natural[[0, 1, 2, 4]]
    for i in range(3):
        for k in range(6):
            a = (pictures[i] - pictures.mean(0)) / shown.std(0)
            b = (natural[k] - shown.mean(0)) / shown.std(0)
            assert found[i, k] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b), rel=1e-4, abs=1e-5)
    np.testing.assert_allclose(likeness(Space("s", natural, pictures + 100.0), tops), found, rtol=1e-4, atol=1e-6)


def family(order, layouts=None, units=5, each=6):
    """Photographs of every unit near a direction of its own; pictures near those of the units in `order`."""
    directions = RNG.normal(size=(units, 12)) * 3
    natural = np.concatenate([d + RNG.normal(size=(each, 12)) for d in directions])
    pictures = directions[order] + RNG.normal(size=(units, 12)) + 20.0
    tops = tuple(tuple(range(i * each, (i + 1) * each)) for i in range(units))
    layouts = RNG.normal(size=(units, 50)) if layouts is None else layouts
    layouts = layouts / np.linalg.norm(layouts, axis=1, keepdims=True)
    names = tuple(f"a:{i}" for i in range(units))
    return Family("a", names, tops, (Space("before", natural, pictures), Space("textures", natural, pictures)), layouts)


def test_pictures_that_agree_and_pictures_of_other_units():
    honest = Agreement().finding([family([0, 1, 2, 3, 4])], seed=Seed(0))
    assert honest.verdict == "consistent"
    assert min(r["figure"] for r in honest.evidence["units"]) > 0.9
    assert {r["unit"]: r["nearest"] for r in honest.evidence["units"]} == {f"a:{i}": f"a:{i}" for i in range(5)}
    permuted = Agreement().finding([family([1, 0], units=2)], seed=Seed(0))
    assert permuted.verdict == "suspicious"
    rows = permuted.evidence["units"]
    assert [r["strength"] for r in rows] == [1, 1]
    assert rows[0]["nearest"] == "a:1"
    assert rows[0]["others"] == {"textures": rows[0]["figure"]}


def test_places_by_counting():
    """Honest pictures foretell their own unit best of all; those of others the others; second derivation: loops."""
    known = family([0, 1, 2, 3, 4], each=12)
    natural = known.spaces[0].natural
    directions = np.stack([natural[list(top)].mean(0) for top in known.tops])
    responses = natural @ directions.T
    told = replace(known, even=tuple(range(len(natural))), responses=responses, channels=(0, 1, 2, 3, 4))
    np.testing.assert_array_equal(places(told), 1.0)
    other = replace(told, channels=(1, 2, 3, 4, 0))
    found = places(other)
    assert found.max() < 1
    spread, pictures = natural.std(0), known.spaces[0].pictures
    for i, channel in enumerate(other.channels):
        direction = (pictures[i] - pictures.mean(0)) / spread
        cosines = [z @ direction / np.linalg.norm(z) for z in (natural - natural.mean(0)) / spread]
        scores = [float(spearmanr(cosines, responses[:, k]).statistic) for k in range(5)]
        others = [scores[k] for k in range(5) if k != channel]
        assert found[i] == pytest.approx(np.mean([score < scores[channel] for score in others]))
    assert [r["strength"] for r in Agreement().finding([told], seed=Seed(0)).evidence["units"]] == [0] * 5
    rows = Agreement().finding([replace(told, channels=(2, 3, 4, 0, 1))], seed=Seed(0)).evidence["units"]
    assert sum(r["strength"] for r in rows) >= 4
    assert "other units" in rows[0]["words"]
    assert np.isnan(places(replace(told, even=tuple(range(10))))).all(), "too few photographs"
    assert np.isnan(places(replace(told, responses=np.ones_like(responses)))).all(), "units that say nothing"


def test_one_picture_like_two_others_that_are_not_alike_proves_nothing():
    two = np.eye(50)[:2]
    rows = Agreement().finding([family([0, 1, 2], layouts=np.stack([*two, two.sum(0)]), units=3)], seed=Seed(0))
    assert [row["same"] > 0.7 for row in rows.evidence["units"]] == [False, False, True]
    assert max(row["strength"] for row in rows.evidence["units"]) == 1


def test_one_picture_for_all_units_proves_something():
    one = RNG.normal(size=50)
    same = family([0, 1, 2, 3, 4], layouts=one + 0.3 * RNG.normal(size=(5, 50)))
    finding = Agreement().finding([same], seed=Seed(0))
    assert all(r["strength"] == 2 and r["same"] > 0.7 for r in finding.evidence["units"])
    assert "The pictures of 5 of 5 units show the same" in finding.claim
    alike = Family("a", same.units, (same.tops[0],) * 5, same.spaces, same.layouts)
    assert not any(r["strength"] for r in Agreement().finding([alike], seed=Seed(0)).evidence["units"]), (
        "their photographs agree"
    )


def test_a_unit_alone_cannot_be_compared():
    one = family([0], units=1)
    assert Agreement().finding([one], seed=Seed(0)).verdict == "unknown"


def test_agreements_by_a_plain_loop():
    standard, variant = RNG.normal(size=(4, 6)), RNG.normal(size=(4, 6))
    a, b = ((x - x.mean(0)) / standard.std(0) for x in (standard, variant))
    for i, value in enumerate(agreements(standard, variant)):
        alike = [b[i] @ row / np.linalg.norm(row) / np.linalg.norm(b[i]) for row in a]
        assert value == pytest.approx(np.mean([alike[i] > alike[j] for j in range(4) if j != i]))
    standard[2] = np.nan
    assert np.isnan(agreements(standard, variant)[2])
    assert not np.isnan(agreements(standard, variant)[0])


def course(photograph):
    """Five units, drawn in three other ways; `photograph` says whose picture the start from a photograph leads to."""
    directions = RNG.normal(size=(5, 12)) * 3

    def drawn(name, order=(0, 1, 2, 3, 4)):
        return Variant(name, directions[list(order)] + RNG.normal(size=(5, 12)), np.full(5, 4.0))

    variants = (drawn("pixel"), drawn("ascent"), drawn("photograph", photograph))
    natural = np.tile([0.0, 1.0, 2.0], (5, 1))
    return Course("a", tuple(f"a:{i}" for i in range(5)), drawn("standard"), variants, natural)


def test_only_a_start_from_a_photograph_that_goes_its_own_way_is_odd():
    honest = Procedure().finding([course((0, 1, 2, 3, 4))])
    assert honest.verdict == "consistent"
    assert honest.figure > 0.9
    assert honest.evidence["units"][0]["reached"] == {"standard": 1.5, "pixel": 1.5, "ascent": 1.5, "photograph": 1.5}
    fooled = Procedure().finding([course((3, 4, 0, 1, 2))])
    assert sum(r["strength"] for r in fooled.evidence["units"]) >= 3
    assert Procedure().finding([]).verdict == "unknown"
