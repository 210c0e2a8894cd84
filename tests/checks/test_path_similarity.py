"""The sanity check on worlds whose truth is planted, on too little data, and in words."""

import json

import numpy as np
import pytest
import torch

from snellen.base import Seed, UsageError
from snellen.checks import PathSimilarity
from snellen.checks.path_similarity import measure_paths
from snellen.checks.paths.baselines import Pairs, once, resampled
from snellen.checks.paths.groups import Group, Grouping, by_class, by_unit
from snellen.measures import MEASURES, interval, single_threaded_products

CLASSES, EACH, LAYERS = 8, 10, ("first", "second", "third", "fourth")


def world(shown, classes=CLASSES, each=EACH, strength=1.0):
    """Activations of natural images, a class pattern plus noise at every layer, and of one picture a class.

    shown: for each layer what the picture is made of: "own" class, "other" class, "noise".
    """
    g = torch.Generator().manual_seed(0)
    labels = np.repeat(np.arange(classes), each)
    made = {}
    for layer, content in zip(LAYERS, shown, strict=False):
        pattern = strength * torch.randn(classes, 400, generator=g)
        source = {"own": pattern, "other": pattern.roll(1, 0), "noise": 0 * pattern}[content]
        clean = torch.cat((pattern[labels], source))
        made[layer] = (clean + torch.randn(clean.shape, generator=g)).relu()
    return made, [int(c) for c in labels], list(range(classes))


def examined(held, activations, grouping, **options):
    layers = tuple(activations)
    paths = measure_paths(held(activations), layers, len(activations[layers[0]]))
    return PathSimilarity().finding(paths, grouping, **{"seed": Seed(0), "resamples": 300, **options})


def curve(finding, part="s", measure="spearman"):
    return np.array(finding.evidence["curves"][measure][part], float)


def test_pictures_that_are_images_of_their_class_lie_at_one(held):
    activations, labels, shown = world(["own"] * 4)
    finding = examined(held, activations, by_class(labels, shown))
    for measure in MEASURES:
        np.testing.assert_allclose(curve(finding, "s", measure), 1, atol=0.1)
        assert (curve(finding, "lo", measure) < 1.02).all()
        assert (curve(finding, "hi", measure) > 0.98).all()
    assert (finding.verdict, finding.evidence["trusted_from"]) == ("consistent", "first")
    low, high = finding.interval
    assert low <= finding.figure <= high
    assert finding.claim == (
        "At all 4 layers the class pictures are processed like natural images of their class: "
        f"similarity {finding.figure:.2f} (95 % interval {low:.2f} to {high:.2f})."
    )


def test_pictures_that_are_images_of_other_classes_lie_at_zero(held):
    activations, labels, shown = world(["other"] * 4)
    finding = examined(held, activations, by_class(labels, shown))
    for measure in MEASURES:
        np.testing.assert_allclose(curve(finding, "s", measure), 0, atol=0.12)
        assert (curve(finding, "lo", measure) < 0.05).all()
        assert (curve(finding, "hi", measure) > -0.05).all()
    assert (finding.verdict, finding.evidence["trusted_from"]) == ("unreliable here", None)
    assert finding.claim.startswith(
        "The class pictures are not processed like natural images of their class at any of 4 layers: "
        f"on average over 4 layers similarity is {finding.figure:.2f} (95 % interval "
    )


def test_a_curve_that_falls_again_is_not_said_to_have_stayed_low(held):
    activations, labels, classes = world(["noise", "own", "own", "other"])
    finding = examined(held, activations, by_class(labels, classes))
    assert (finding.verdict, finding.evidence["trusted_from"]) == ("unreliable here", None)
    assert finding.claim.startswith(
        "The class pictures are processed like natural images of their class at 2 of 4 layers, "
        f"but no longer at the last one, fourth ({curve(finding)[-1]:.2f}): on average over 4 layers similarity is "
    )


@pytest.mark.parametrize(
    ("shown", "start", "claim"),
    [
        (
            ["noise", "other", "own", "own"],
            "third",
            "From third on (the last 2 of 4 layers) the class pictures are processed",
        ),
        (["noise", "own", "other", "own"], "fourth", "Only at fourth, the last of 4 layers, are the class pictures"),
    ],
)
def test_trust_starts_where_the_curve_stays_high(held, shown, start, claim):
    activations, labels, classes = world(shown)
    finding = examined(held, activations, by_class(labels, classes))
    s, first = curve(finding), LAYERS.index(start)
    assert finding.evidence["trusted_from"] == start
    assert finding.verdict == "unreliable here"
    assert finding.figure == pytest.approx(s[first:].mean(), abs=1e-5)
    assert finding.claim.startswith(claim)
    phrase = "they are not" if start == "third" else "not at every layer"
    assert finding.claim.endswith(f"before that {phrase} ({s[:first].mean():.2f} on average).")


def test_trust_from_within_the_first_third_counts_as_consistent(held):
    activations, labels, classes = world(["noise", "own", "own", "own"])
    assert examined(held, activations, by_class(labels, classes)).verdict == "consistent"


def test_a_high_curve_with_a_wide_interval_is_not_called_consistent(held):
    activations, labels, classes = world(["own"], strength=0.35)
    finding = examined(
        held, activations, by_class(labels, classes), threshold=0.95 * curve_of(held, activations, labels)
    )
    assert finding.verdict == "unknown"
    assert finding.evidence["trusted_from"] == "first"
    assert "with so few images the interval reaches below" in finding.claim


def curve_of(held, activations, labels):
    return curve(examined(held, activations, by_class(labels, list(range(CLASSES)))))[0]


def test_evidence_is_finite_json_of_the_promised_shape(held):
    activations, labels, classes = world(["noise", "own"])
    evidence = examined(held, activations, by_class(labels, classes)).evidence
    assert json.loads(json.dumps(evidence, allow_nan=False)) == evidence
    assert evidence["layers"] == ["first", "second"]
    assert (evidence["images"], evidence["classes"]) == (CLASSES * EACH, CLASSES)
    assert (evidence["group"], evidence["resamples"], evidence["threshold"]) == ("classes", 300, 0.7)
    for name, parts in (("curves", "s lo hi"), ("raw", "picture same other"), ("ceiling", "mean lo hi")):
        assert set(evidence[name]) == set(MEASURES)
        for measure in MEASURES:
            assert {k: len(v) for k, v in evidence[name][measure].items()} == dict.fromkeys(parts.split(), 2)


def test_raw_similarities_give_the_curve(held):
    activations, labels, classes = world(["noise", "own"])
    finding = examined(held, activations, by_class(labels, classes))
    for measure, raw in finding.evidence["raw"].items():
        picture, same, other = (np.array(raw[k]) for k in ("picture", "same", "other"))
        np.testing.assert_allclose(curve(finding, "s", measure), (picture - other) / (same - other), atol=1e-4)


def test_the_noise_ceiling_is_one_and_narrows_with_the_number_of_classes(held):
    widths = []
    for classes in (4, 36):
        activations, labels, shown = world(["own"], classes=classes)
        for ceiling in examined(held, activations, by_class(labels, shown)).evidence["ceiling"].values():
            assert ceiling["mean"][0] == pytest.approx(1, abs=1e-5)
            assert ceiling["lo"][0] < 1 < ceiling["hi"][0]
            widths.append(ceiling["hi"][0] - ceiling["lo"][0])
    assert max(widths[3:]) < 0.6 * min(widths[:3])


def test_the_order_of_images_changes_no_estimate(held):
    activations, labels, classes = world(["noise", "own"])
    order = np.random.default_rng(0).permutation(len(labels))
    where = torch.from_numpy(np.concatenate((order, np.arange(len(labels), len(labels) + CLASSES))))
    moved = {name: t[where] for name, t in activations.items()}
    a = examined(held, activations, by_class(labels, classes))
    b = examined(held, moved, by_class([labels[i] for i in order], classes))
    for measure in MEASURES:
        np.testing.assert_allclose(curve(a, "s", measure), curve(b, "s", measure), atol=1e-4)


def test_seed_resamples_and_threshold_matter(held):
    activations, labels, classes = world(["noise", "own"])
    base, again, seed, fewer, high = (
        examined(held, activations, by_class(labels, classes), **options)
        for options in ({}, {}, {"seed": Seed(1)}, {"resamples": 50}, {"threshold": 1.5})
    )
    assert base == again
    assert list(curve(seed)) == list(curve(base))
    assert list(curve(seed, "lo")) != list(curve(base, "lo"))
    assert list(curve(fewer, "lo")) != list(curve(base, "lo"))
    assert base.evidence["ceiling"] != seed.evidence["ceiling"]
    assert high.evidence["trusted_from"] is None


def test_units_that_share_top_images_are_compared_without_an_image_and_itself(held):
    """A unit twice shares all its top images with itself; compared with themselves they would spoil s."""
    activations, _, _ = world(["own", "own"])
    tops = [range(c * EACH, c * EACH + EACH) for c in range(CLASSES)]
    pictures = [[CLASSES * EACH + c] for c in range(CLASSES)]
    apart = examined(held, activations, by_unit("second", tops, pictures))
    shared = examined(held, activations, by_unit("second", [*tops, tops[0]], [*pictures, pictures[0]]))
    only = examined(held, activations, by_unit("second", [tops[0], tops[0]], [pictures[0], pictures[0]]))
    np.testing.assert_allclose(curve(apart), 1, atol=0.1)
    np.testing.assert_allclose(curve(shared), 1, atol=0.15)
    assert shared.evidence["raw"]["spearman"]["other"] > apart.evidence["raw"]["spearman"]["other"]
    assert "the pictures of the second units are processed like the natural images that excite them most" in apart.claim
    assert only.verdict == "unknown"
    assert only.evidence["curves"]["spearman"]["s"] == [None, None]


@pytest.mark.parametrize(
    ("labels", "shown", "told"),
    [
        ([0] * 6, [0], "natural images of at least two of them are needed"),
        ([0, 1, 2, 3, 4, 5], [0, 1], "none of them has both a picture and two natural images"),
        ([0, 0, 0, 1, 1, 1], [], "none of them has both a picture and two natural images"),
        ([0, 0, 0, 1, 1, 1], [7], "none of them has both a picture and two natural images"),
    ],
)
def test_too_little_data_is_said_plainly(held, labels, shown, told):
    g = torch.Generator().manual_seed(0)
    finding = examined(held, {"a": torch.rand(len(labels) + len(shown), 30, generator=g)}, by_class(labels, shown))
    assert finding.verdict == "unknown"
    assert told in finding.claim
    assert (finding.figure, finding.interval, finding.evidence["trusted_from"]) == (None, None, None)
    assert finding.evidence["curves"]["spearman"] == {"s": [None], "lo": [None], "hi": [None]}


def test_a_constant_layer_is_undefined_and_harms_no_other(held):
    activations, labels, classes = world(["own", "own", "own"])
    alone = examined(held, activations, by_class(labels, classes))
    activations["second"] = torch.full_like(activations["second"], 0.5)
    finding = examined(held, activations, by_class(labels, classes))
    assert finding.evidence["curves"]["spearman"]["s"][1] is None
    assert finding.evidence["ceiling"]["spearman"]["lo"][1] is None
    assert finding.evidence["not_apart"] == ["second"]
    for k in (0, 2):
        assert curve(finding)[k] == curve(alone)[k]
    assert finding.evidence["trusted_from"] == "third"
    activations["third"] = activations["second"]
    last = examined(held, activations, by_class(labels, classes))
    assert "cannot be judged at third, which does not tell the natural images apart" in last.claim


def test_one_dead_picture_leaves_the_others(held):
    activations, labels, classes = world(["own"])
    activations["first"][-1] = 0
    finding = examined(held, activations, by_class(labels, classes))
    assert finding.evidence["curves"]["spearman"]["s"][0] == pytest.approx(1, abs=0.15)
    activations["first"][-1] = float("nan")
    assert examined(held, activations, by_class(labels, classes)) == finding


def test_baselines_that_chance_alone_sets_apart_give_no_interval(held):
    """Natural images without any class pattern: the gap between the baselines is noise around zero."""
    hits = 0
    for seed in range(10):
        g = torch.Generator().manual_seed(seed)
        labels = [i // 5 for i in range(30)]
        finding = examined(held, {"a": torch.randn(36, 50, generator=g)}, by_class(labels, list(range(6))))
        assert finding.verdict != "consistent"
        hits += finding.evidence["curves"]["spearman"]["lo"] == [None]
    assert hits >= 8


def test_one_picture_is_examined_against_images_that_have_none(held):
    activations, labels, _ = world(["own"])
    pictures = [CLASSES * EACH]
    groups = [
        Group(tuple(i for i, x in enumerate(labels) if x == c), tuple(pictures) if c == 0 else ()) for c in range(3)
    ]
    finding = examined(held, activations, Grouping("classes", tuple(groups)))
    assert finding.evidence["classes"] == 1
    assert finding.evidence["images"] == 3 * EACH
    assert curve(finding)[0] == pytest.approx(1, abs=0.25)


def test_images_that_were_not_measured_and_no_layers_are_refused(held):
    activations, labels, classes = world(["own"], classes=2)
    paths = measure_paths(held(activations), ["first"], 22)
    with pytest.raises(UsageError, match="below 22, got 22"):
        PathSimilarity().finding(paths, by_class([*labels, 1], classes), seed=Seed(0))
    with pytest.raises(UsageError, match="at least one"):
        PathSimilarity().finding(measure_paths(held(activations), [], 22), by_class(labels, classes), seed=Seed(0))


def similarities(classes, each, stream):
    """Correlations of images, a class pattern plus noise, and of pictures half as strong; a large sample knows s."""
    pattern = stream.normal(size=(classes, 60)) * stream.uniform(0.5, 1.5, size=(classes, 1))
    natural = np.repeat(pattern, each, 0) + stream.normal(size=(classes * each, 60))
    pictures = 0.5 * pattern + stream.normal(size=pattern.shape)
    labels = [int(c) for c in np.repeat(np.arange(classes), each)]
    return Pairs(np.corrcoef(np.concatenate((natural, pictures))), by_class(labels, list(range(classes)))), labels


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    stream = np.random.default_rng(0)
    large, labels = similarities(200, 6, stream)
    truth = large.means(once(by_class(labels, list(range(200))))).position()[0]
    hits, trials = 0, 80
    with single_threaded_products():
        for trial in range(trials):
            pairs, labels = similarities(12, 6, stream)
            weights = resampled(by_class(labels, list(range(12))), 200, Seed(trial))
            low, high = interval(pairs.means(weights).position())
            hits += bool(low <= truth <= high)
    assert 0.87 <= hits / trials <= 0.995
