"""What pictures tell: all where they are the units' directions, little where they are not; false labels lower it."""

import numpy as np
import pytest
import torch
from torch import nn

import snellen
from snellen.base import Seed
from snellen.checks.decoding import LEAST, MUCH, NOTHING, Decoding
from snellen.checks.look import Family, Look, parted
from snellen.studies.viewers import View

UNITS, DIMENSIONS = 6, 40


def family(count=600, *, pictures="own", eyes="same", noise=0.5, seed=0):
    """Linear units of features; their pictures point along their weights, elsewhere, or are those of another unit."""
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(count, DIMENSIONS))
    weights = rng.normal(size=(UNITS, DIMENSIONS))
    truth = weights @ features.T
    shown = {"own": weights, "others": weights[::-1], "none": rng.normal(size=weights.shape)}[pictures]
    drawn = np.concatenate([5 * shown, -5 * shown]) + noise * rng.normal(size=(2 * UNITS, DIMENSIONS))
    turn = rng.normal(size=(DIMENSIONS, DIMENSIONS))
    views = [View("good", features, drawn), View("blind", rng.normal(size=features.shape), drawn @ turn)]
    if eyes == "blind":
        views = views[1:]
    units = tuple(f"fc:{i}" for i in range(UNITS))
    return Family("fc", units, truth, tuple(views), np.ones(UNITS, bool), classes=True, known=np.zeros(0, bool))


def rows(*families, **changes):
    return Decoding(resamples=100, **changes).finding(families, seed=Seed(0)).rows


def test_pictures_that_are_the_units_tell_much_and_others_nothing():
    for row in rows(family()):
        assert row["tells"] == MUCH
        assert row["viewer"] == "good", "chosen on photographs alone"
        assert row["figure"] > 0.85
        scores = row["scores"]["good"]
        assert scores["pictures"]["choice"] > 0.99
        assert scores["ceiling"]["spearman"] > 0.95
        assert abs(scores["others"]["spearman"]) < 0.3
        assert scores["others"]["p"] == pytest.approx(1 / UNITS, abs=1e-3)
        assert row["interval"][0] < row["figure"] < row["interval"][1]
        assert abs(row["scores"]["blind"]["pictures"]["spearman"]) < 0.2


@pytest.mark.parametrize("pictures", ["others", "none"])
def test_pictures_of_something_else_tell_little(pictures):
    found = rows(family(pictures=pictures))
    assert np.mean([row["figure"] for row in found]) < 0.3
    assert sum(row["tells"] == MUCH for row in found) <= 2
    assert all(row["scores"]["good"]["photographs"]["spearman"] > 0.2 for row in found), "photographs still do"


def test_the_viewer_is_chosen_without_a_look_at_pictures():
    """Eyes to which pictures tell all, but photographs nothing, are not shown."""
    one = family()
    rng = np.random.default_rng(1)
    truth = np.sign(one.truth) * np.abs(one.truth) ** 0.01  # almost two values: the strongest photograph is any
    cheat = View("cheat", one.truth.T + 0 * truth.T, np.concatenate([np.eye(UNITS), -np.eye(UNITS)]) * 50)
    honest = View("good", one.views[0].natural, rng.normal(size=one.views[0].pictures.shape))
    both = Family("fc", one.units, one.truth, (honest, cheat), one.least, classes=True, known=np.zeros(0, bool))
    shown = {row["viewer"] for row in rows(both)}
    chosen = {
        name: np.mean([row["scores"][name]["photographs"]["spearman"] for row in rows(both)])
        for name in ("good", "cheat")
    }
    assert shown == {max(chosen, key=chosen.get)}


@pytest.mark.parametrize("share", [0.3, 0.6])
def test_false_answers_make_the_score_fall(share):
    """NeuronEval (Oikarinen et al. 2025): a measure must fall when labels are missing or false."""
    one = family()
    spoiled = one.truth.copy()
    rng = np.random.default_rng(2)
    for row in spoiled:
        chosen = rng.permutation(len(row))[: int(share * len(row))]
        row[chosen] = rng.permutation(row[chosen])
    other = Family("fc", one.units, spoiled, one.views, one.least, classes=True, known=np.zeros(0, bool))
    for name in ("spearman", "auprc", "choice"):
        before, after = (np.mean([r["scores"]["good"]["pictures"][name] for r in rows(f)]) for f in (one, other))
        assert after < before - 0.1 * share


def test_classes_are_sorted_as_the_network_does_and_by_chance_without_pictures():
    sorting = Decoding(resamples=50).finding([family()], seed=Seed(0)).evidence["sorting"]
    assert sorting["pictures"] > 0.8
    assert sorting["lo"] < sorting["pictures"] < sorting["hi"]
    assert sorting["chance"] == pytest.approx(1 / UNITS, abs=0.05)
    blind = Decoding(resamples=50).finding([family(pictures="none", eyes="blind")], seed=Seed(0)).evidence["sorting"]
    assert blind["lo"] < 0.35


def test_certified_intervals_hold_and_are_narrower_than_a_constants():
    found = rows(family(2000))
    assert np.mean([row["certified"]["coverage"] for row in found]) == pytest.approx(0.9, abs=0.02)
    assert all(row["certified"]["width"] < 0.6 * row["certified"]["constant_width"] for row in found)
    idle = rows(family(2000, pictures="none", eyes="blind"))
    assert np.mean([row["certified"]["coverage"] for row in idle]) == pytest.approx(0.9, abs=0.02)


def test_what_is_held_out_is_never_learned_from():
    """Answers to held-out photographs changed: neither the viewer nor the read-out's penalty may change."""
    one = family()
    check = Decoding(resamples=20)
    parts = parted(600, Seed(0))
    changed = one.truth.copy()
    changed[:, parts.held] = np.random.default_rng(3).permutation(changed[:, parts.held], axis=1)
    other = Family("fc", one.units, changed, one.views, one.least, classes=True, known=np.zeros(0, bool))
    looks = [Look(f, parts, Seed(1), check.resamples) for f in (one, other)]
    assert looks[0].shown == looks[1].shown
    np.testing.assert_array_equal(looks[0].predicted, looks[1].predicted)
    for name in looks[0].sights:
        np.testing.assert_array_equal(looks[0].by_photographs[name][0], looks[1].by_photographs[name][0])


def test_few_photographs_say_nothing():
    finding = Decoding().finding([family(LEAST - 1)], seed=Seed(0))
    assert finding.verdict == "unknown"
    assert all(row["figure"] is None for row in finding.rows)


def test_a_single_unit_and_units_without_a_smallest_picture_have_scores():
    one = family()
    views = tuple(View(v.name, v.natural, v.pictures[[0, UNITS]]) for v in one.views)
    alone = Family("fc", one.units[:1], one.truth[:1], views, np.ones(1, bool), classes=True, known=np.zeros(0, bool))
    (row,) = rows(alone)
    assert row["figure"] > 0.85
    assert row["scores"]["good"]["others"] is None
    up = Family("fc", one.units, one.truth, one.views, np.zeros(UNITS, bool), classes=False, known=np.zeros(0, bool))
    assert np.mean([row["figure"] for row in rows(up)]) > 0.8


def network(seed):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(3, 8, 5, stride=2), nn.ReLU(), nn.Conv2d(8, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1)]
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(8, 4)).eval()


def test_alone_on_a_network_and_the_same_twice():
    images = np.random.default_rng(0).integers(0, 256, (80, 24, 24, 3), dtype=np.uint8)
    found = [
        snellen.checks.Decoding(resamples=20)(
            network(0), ["6:0-3", "2:1"], images, size=24, steps=8, quick=True, progress=False
        )
        for _ in range(2)
    ]
    assert found[0].as_data() == found[1].as_data()
    assert [row["unit"] for row in found[0].rows] == ["6:0", "6:1", "6:2", "6:3", "2:1"]
    names = found[0].evidence["viewers"]
    assert {"textures", "pixels"} < set(names)
    assert any(name.startswith("builtin, ") for name in names)
    assert set(found[0].rows[4]["scores"]) == {"0", "textures", "pixels", *[n for n in names if "builtin" in n]}


def test_pictures_of_another_network_are_at_the_null():
    """The measure itself: pictures drawn from one random network say nothing of another's units."""
    one, two = family(seed=0), family(seed=7)
    swapped = tuple(View(v.name, v.natural, w.pictures) for v, w in zip(one.views, two.views, strict=True))
    found = rows(Family("fc", one.units, one.truth, swapped, one.least, classes=True, known=np.zeros(0, bool)))
    assert abs(np.mean([row["figure"] for row in found])) < 0.25
    assert np.mean([row["tells"] == NOTHING for row in found]) >= 0.5
