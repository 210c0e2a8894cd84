"""Means over pairs and their bootstrap, against loops over the pairs that the definition names."""

import itertools

import numpy as np
import pytest

from snellen.base import Seed
from snellen.checks.paths.baselines import Pairs, once, resampled
from snellen.checks.paths.groups import Group, Grouping

N = 26
GROUPINGS = {
    "classes": Grouping(
        "classes",
        (Group((0, 1, 2), (20,)), Group((3, 4, 5), (21,)), Group((6, 7, 8), (22,)), Group((9, 10, 11), (23,))),
    ),
    "unbalanced": Grouping(
        "classes", (Group((0, 1), (20, 21)), Group((2, 3, 4, 5, 6), (22,)), Group((7, 8, 9), (23,)))
    ),
    "overlapping": Grouping(
        "a units", (Group((0, 1, 2), (20,)), Group((2, 3, 4), (21,)), Group((0, 4, 5, 6), (22, 23)))
    ),
    "others": Grouping("classes", (Group((0, 1, 2), (20,)), Group((3, 4)), Group((5,), (21,)), Group((), (22,)))),
}


def matrix(seed=0, undefined=()):
    g = np.random.default_rng(seed)
    values = g.uniform(-1, 1, size=(N, N))
    values = (values + values.T) / 2
    for i in undefined:
        values[i] = values[:, i] = np.nan
    return values


def mean(values):
    values = [v for v in values if not np.isnan(v)]
    return np.mean(values) if values else np.nan


def slow(s, grouping):
    """The definition, pair by pair, for groups whose every member counts once."""
    targets = [g for g in grouping.groups if g.pictures and len(g.images) > 1]
    picture = mean([mean([s[i, p] for i in g.images for p in g.pictures]) for g in targets])
    same = mean([mean([s[i, j] for i in g.images for j in g.images if i != j]) for g in targets])
    total = count = 0.0
    for g, other in itertools.product(targets, grouping.groups):
        for i, j in itertools.product(g.images, other.images):
            if other is not g and i != j and not np.isnan(s[i, j]):
                total += s[i, j] / len(g.images) / len(other.images)
                count += 1 / len(g.images) / len(other.images)
    return picture, same, total / count if count else np.nan


@pytest.mark.parametrize("name", GROUPINGS)
@pytest.mark.parametrize("undefined", [(), (1, 21), (20,), (0, 1, 2)])
def test_means_agree_with_loops_over_pairs(name, undefined):
    s, grouping = matrix(undefined=undefined), GROUPINGS[name]
    found = Pairs(s, grouping).means(once(grouping))
    np.testing.assert_allclose((found.picture[0], found.same[0], found.other[0]), slow(s, grouping), atol=1e-12)


def test_balanced_classes_average_plain_pairs():
    s, grouping = matrix(), GROUPINGS["classes"]
    label = np.arange(12) // 3
    between = s[:12, :12][label[:, None] != label]
    assert Pairs(s, grouping).means(once(grouping)).other[0] == pytest.approx(between.mean())


def test_the_diagonal_never_counts():
    s = matrix()
    t = s.copy()
    np.fill_diagonal(t, 100)
    for grouping in GROUPINGS.values():
        for weights in (once(grouping), resampled(grouping, 50, Seed(0))):
            a, b = Pairs(s, grouping).means(weights), Pairs(t, grouping).means(weights)
            for part in ("picture", "same", "other"):
                np.testing.assert_array_equal(getattr(a, part), getattr(b, part))


def slow_resample(s, grouping, weights, r):
    """One resample spelled out: a list of drawn copies, each a list of images with repetitions."""
    groups = [*grouping.targets, *grouping.others]
    copies = [
        (g, [i for i, n in zip(g.images, counts, strict=True) for _ in range(int(n))])
        for g, draws in zip(groups, weights.draws, strict=True)
        for resample, counts in zip(draws.resample, draws.counts, strict=True)
        if resample == r
    ]
    examined = [(g, images) for g, images in copies if g in grouping.targets]
    picture = mean([mean([s[i, p] for i in images for p in g.pictures]) for g, images in examined])
    same = mean([mean([s[i, j] for i in images for j in images if i != j]) for _, images in examined])
    total = count = 0.0
    for (g, images), (h, others) in itertools.product(examined, copies):
        for i, j in itertools.product(images, others):
            if g is not h and i != j and not np.isnan(s[i, j]):
                total += s[i, j] / len(images) / len(others)
                count += 1 / len(images) / len(others)
    return picture, same, total / count if count else np.nan


@pytest.mark.parametrize("name", GROUPINGS)
@pytest.mark.parametrize("undefined", [(), (1, 21)])
def test_resamples_agree_with_loops_over_what_was_drawn(name, undefined):
    s, grouping = matrix(undefined=undefined), GROUPINGS[name]
    weights = resampled(grouping, 40, Seed(3))
    found = Pairs(s, grouping).means(weights)
    expected = np.array([slow_resample(s, grouping, weights, r) for r in range(40)])
    np.testing.assert_allclose(np.stack([found.picture, found.same, found.other], 1), expected, atol=1e-12)


def test_examined_groups_and_others_are_drawn_apart():
    grouping = GROUPINGS["others"]
    weights = resampled(grouping, 60, Seed(0))
    sizes = [sum(d.resample == r) for r in range(60) for d in weights.draws[:1]]
    assert set(sizes) == {1}
    assert (weights.target[:, 3:] == 0).all()


def test_a_held_out_image_is_compared_with_the_others_of_its_group():
    s = matrix()
    grouping = Grouping(
        "classes", (Group((0, 1), (20, 21)), Group((2, 3, 4, 5, 6), (22, 23, 24)), Group((7, 8, 9), (25,)))
    )
    center, samples = Pairs(s, grouping).held_out(4000, Seed(0))
    alike = [[mean([s[i, j] for j in g.images if j != i]) for i in g.images] for g in grouping.groups]
    assert center == pytest.approx(np.mean([np.mean(a) for a in alike]))
    assert samples.mean() == pytest.approx(center, abs=0.01)
    spread = sum(np.var(a) / len(g.pictures) for a, g in zip(alike, grouping.groups, strict=True)) / 9
    assert samples.var() == pytest.approx(spread, rel=0.1)


def test_position_is_0_at_others_1_at_the_same_and_undefined_without_a_gap():
    s, grouping = matrix(), GROUPINGS["classes"]
    means = Pairs(s, grouping).means(resampled(grouping, 30, Seed(0)))
    defined = means.gap > 0
    assert defined.any()
    assert not defined.all()
    np.testing.assert_allclose(means.position(means.other)[defined], 0)
    np.testing.assert_allclose(means.position(means.same)[defined], 1)
    assert np.isnan(means.position()[~defined]).all()
