"""Which folder is which unit: every mapping is found when it is the true one, and what fits nothing is said."""

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from snellen.images import ImageSet
from snellen.images.classes import ANSWERS, KAPPA, classes_of, match, no_classes, votes_of
from snellen.images.mappings import mappings


@dataclass(frozen=True)
class Nothing:
    def picture(self, member, at_least):
        raise AssertionError

    def content(self, member):
        raise AssertionError


def images(*names: str, labels=None) -> ImageSet:
    labels = tuple(range(len(names))) if labels is None else labels
    ids = tuple(f"{i}.png" for i in range(len(labels)))
    return ImageSet("set", ids, labels if names else None, names, (), Nothing(), tuple(range(len(ids))))


def votes(*each: list[int]) -> tuple[Counter[int], ...]:
    return tuple(Counter(said) for said in each)


def told(names, labels, outputs):
    return mappings(names, labels, outputs, votes(*([] for _ in names)))


TWELVE = tuple(sorted(map(str, range(12))))
LABELS = ("tench", "a tabby, tabby cat", "dog")


@pytest.mark.parametrize(
    "case",
    [
        (("0574_n03445777", "0000_n01440764"), (), 1000, "folder number", (574, 0)),
        (("7", "3", "12"), (), 13, "folder number", (7, 3, 12)),
        (("001-cat", "002.dog", "003 cow"), (), 1000, "folder number", (1, 2, 3)),
        (("001.cat", "002.dog", "003.cow"), (), 3, "folder number, counted from one", (0, 1, 2)),
        (("0", "999"), (), 1001, "folder number, behind a background class", (1, 1000)),
        (("n01440764", "n03445777"), (), 1000, "WordNet ids", (0, 574)),
        (("n01440764", "n03445777"), (), 1001, "WordNet ids", (1, 575)),
        (("golf_ball-n03445777", "n01440764_tench"), (), 1000, "WordNet ids", (574, 0)),
        (("a tabby", "Dog"), LABELS, 9, "label names", (1, 2)),
        (("Tabby-Cat", "Dog"), LABELS, 9, "label names", (1, 2)),
        (("dog", "tench", "horse"), LABELS, 9, "label names", (2, 0, None)),
        (("class_1", "class_0", "class_12"), (), 13, "number at the end", (1, 0, 12)),
        (("class1", "class2"), (), 2, "number at the end, counted from one", (0, 1)),
        (("tench", "golf-ball", "horn"), (), 3, "folder order", (0, 1, 2)),
        (("tench", "golf-ball", "horn"), (), 3, "order as text", (2, 0, 1)),
        (TWELVE, (), 12, "folder number", (0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)),
        (TWELVE, (), 12, "folder order", tuple(range(12))),
        (("v10", "v2", "v1b"), (), 3, "numeric order", (2, 1, 0)),
    ],
)
def test_names_tell_mappings(case):
    names, labels, outputs, source, units = case
    assert told(names, labels, outputs).get(source) == units


@pytest.mark.parametrize(
    ("names", "outputs"),
    [
        (("0574_a", "0574_b"), 1000),  # the same number twice
        (("1001_a", "3_b"), 999),  # no such unit
        (("3rd", "4th"), 1000),  # numbers, but not as such
        (("cat", "12_dog"), 1000),
        (("n01440764", "n03445777"), 21841),  # another list of WordNet's
        (("n01440764", "n00000000"), 1000),
        (("cat", "dog"), 0),
        ((), 10),
        (("9" * 5000, "1"), 10),
    ],
)
def test_names_that_say_nothing_are_not_taken_for_units(names, outputs):
    assert told(names, (), outputs) == {}


def test_of_outputs_with_one_label_the_network_decides():
    names, labels = ("crane", "dog"), ("crane", "dog", "crane")
    assert mappings(names, labels, 3, votes([2, 2, 0], [1]))["label names"] == (2, 1)
    assert mappings(names, labels, 3, votes([2, 0], [1]))["label names"] == (0, 1)


NAMED = ("05_n01440764", "00_n01443537", "04_n01484850", "01_n01491361", "03_n01494475", "02_n01496331")
SIX = ("v6", "v1", "v10", "v2", "w5", "v20")


@pytest.mark.parametrize(
    "case",
    [
        (NAMED, (), 1000, "folder number", (5, 0, 4, 1, 3, 2)),
        (NAMED, (), 1000, "WordNet ids", (0, 1, 2, 3, 4, 5)),
        (TWELVE, (), 12, "folder number", tuple(map(int, TWELVE))),
        (TWELVE, (), 12, "folder order", tuple(range(12))),
        (TWELVE[1:], (), 12, "folder number", tuple(map(int, TWELVE[1:]))),
        (TWELVE[1:], (), 12, "folder number, counted from one", tuple(int(name) - 1 for name in TWELVE[1:])),
        (SIX, SIX[::-1], 6, "label names", (5, 4, 3, 2, 1, 0)),
        (SIX, SIX[::-1], 30, "number at the end", (6, 1, 10, 2, 5, 20)),
        (SIX, SIX[::-1], 30, "number at the end, counted from one", (5, 0, 9, 1, 4, 19)),
        (SIX, SIX[::-1], 6, "folder order", (0, 1, 2, 3, 4, 5)),
        (SIX, SIX[::-1], 6, "order as text", (4, 0, 1, 2, 5, 3)),
        (SIX, SIX[::-1], 6, "numeric order", (2, 0, 3, 1, 5, 4)),
        (SIX, SIX[::-1], 30, ANSWERS, (21, 22, 23, 24, 25, 26)),
        (SIX, SIX[::-1], 6, ANSWERS, (3, 4, 5, 1, 0, 2)),
    ],
)
@pytest.mark.parametrize("accuracy", [1.0, 0.7])
def test_each_mapping_is_found_where_it_is_the_true_one(case, accuracy):
    """A network that is right in so many of twenty answers; its errors fall anywhere."""
    names, labels, outputs, source, units = case
    random = np.random.default_rng(0)
    right = round(20 * accuracy)
    said = [[unit] * right + random.integers(0, outputs, 20 - right).tolist() for unit in units]
    found = match(names, votes(*said), labels, outputs)
    assert (found.fit.source, found.units, found.fit.good) == (source, units, True)
    assert found.purity == tuple(answers.count(unit) / 20 for unit, answers in zip(units, said, strict=True))
    assert found.fit.rate == pytest.approx(np.mean(found.purity), abs=1e-4)
    assert {tried.source for tried in found.fit.others} >= {*told(names, labels, outputs)} - {source}
    rates = [tried.rate for tried in found.fit.others]
    assert rates == sorted(rates, reverse=True)
    assert "do not fit" not in found.fit.words


def test_a_weak_network_is_matched_by_names_though_another_class_is_its_favourite_here_and_there():
    """It takes golf balls for ping-pong balls; the mapping by its own answers hits more images."""
    said = votes([0] * 9, [1] * 9, [2] * 9, [7] * 6 + [3] * 4)
    found = match(("0", "1", "2", "3"), said, (), 10)
    assert (found.fit.source, found.units, found.fit.agreeing) == ("folder number", (0, 1, 2, 3), 3)
    assert found.fit.others[0].source == ANSWERS
    assert found.fit.others[0].rate > found.fit.rate
    assert ANSWERS not in found.fit.words
    assert found.fit.good


def test_names_that_are_right_for_a_few_folders_do_not_hide_what_the_network_says():
    """Eight of twelve folders, of a network that sorts as text: two numbers are right by accident."""
    names = ("0", "1", "10", "11", "2", "3", "4", "5")
    found = match(names, votes(*([k] * 6 for k in range(8))), (), 12)
    assert (found.fit.source, found.units, found.fit.good) == (ANSWERS, tuple(range(8)), True)
    assert {t.source: t.rate for t in found.fit.others}["folder number"] == 0.25


@pytest.mark.parametrize("outputs", [6, 30])
@pytest.mark.parametrize("seed", range(5))
def test_a_network_that_fits_nothing_is_said_to(outputs, seed):
    random = np.random.default_rng(seed)
    found = match(SIX, votes(*random.integers(0, outputs, (6, 15)).tolist()), (), outputs)
    assert not found.fit.good
    assert found.fit.words.startswith("The folders do not fit")
    assert found.fit.source != ANSWERS
    assert found.fit.rate < found.fit.chance + KAPPA


@pytest.mark.parametrize("names", [("0", "1", "2", "3"), ("a", "b", "c", "d")])
def test_a_network_that_always_says_the_same_fits_nothing(names):
    found = match(names, votes(*([2] * 9 for _ in names)), (), 4)
    assert (found.fit.good, found.fit.rate, found.fit.chance) == (False, 0.25, 0.25)


def test_unequal_classes_do_not_make_a_constant_answer_fit():
    assert not match(("0", "1"), votes([0] * 90, [0] * 10), (), 2).fit.good


def test_one_folder_alone_is_judged_by_chance_among_all_outputs():
    found = match(("7_dog",), votes([7] * 8 + [1] * 2), (), 10)
    assert (found.fit.good, found.fit.rate, found.fit.chance, found.units) == (True, 0.8, 0.1, (7,))
    assert not match(("7_dog",), votes([1, 2, 3, 4, 7]), (), 10).fit.good


def test_folders_of_one_image_each_are_matched_by_names_and_never_by_answers():
    names = tuple(f"{k:03d}" for k in range(50))
    right = match(names, votes(*([k] if k % 5 < 2 else [(7 * k + 3) % 50] for k in range(50))), (), 50)
    assert (right.fit.source, right.fit.good) == ("folder number", True)
    alone = match(("a", "b", "c"), votes([4], [5], [6]), (), 10)
    assert (alone.units, alone.fit.rate, alone.fit.good) == ((4, 5, 6), 0.0, False)


def test_no_image_speaks_for_its_own_class():
    """Leaving each image out and asking the others gives the same hits."""
    said = ([3, 3, 1], [4, 4, 5, 5, 5], [8, 9], [6])
    found = match(("a", "b", "c", "d"), votes(*said), (), 10)
    hits = 0
    for answers, unit in zip(said, found.units, strict=True):
        for i, answer in enumerate(answers):
            rest = Counter(answers[:i] + answers[i + 1 :])
            hits += bool(rest) and answer == unit == min(rest, key=lambda u: (-rest[u], u))
    assert found.fit.rate == pytest.approx(hits / 11, abs=1e-4)


def test_chance_is_what_shuffled_answers_hit():
    random = np.random.default_rng(1)
    classes = np.repeat(np.arange(4), (5, 9, 20, 6))
    answers = np.minimum(classes, random.integers(0, 4, 40))
    found = match(("0", "1", "2", "3"), votes(*(answers[classes == k].tolist() for k in range(4))), (), 4)
    shuffled = [np.mean(random.permutation(answers) == classes) for _ in range(4000)]
    assert found.fit.rate == pytest.approx(np.mean(answers == classes))
    assert found.fit.chance == pytest.approx(np.mean(shuffled), abs=0.005)


def test_what_most_images_are_taken_for_is_the_class_and_the_purer_folder_keeps_it():
    said = dict(enumerate([5, 5, 1, 5, 5, 5, 2, 2]))
    found = classes_of(images("x", "y", "z", labels=(0, 0, 0, 1, 1, 1, 2, 2)), said, (), 10)
    assert found.units == (None, 5, 2)
    assert found.purity == (0.0, 1.0, 1.0)
    assert found.source == ANSWERS
    assert found.of_unit(5) == [3, 4, 5]


def test_a_tie_goes_to_the_smaller_unit_and_to_the_first_mapping():
    assert classes_of(images("x", labels=(0, 0)), {0: 9, 1: 4}, (), 10).units == (4,)
    assert match(("1", "0"), votes([0, 1], [0, 1]), (), 2).fit.source == "folder number"


@given(
    st.lists(st.lists(st.integers(0, 5), max_size=6), min_size=1, max_size=6).filter(any),
    st.permutations(range(6)),
)
@example([[0], [0, 0], [1, 1]], [1, 0, 2, 3, 4, 5])
def test_the_order_of_the_folders_is_of_no_consequence(said, order):
    """Where the mapping does not speak of that order: what a folder's class is depends on its name and its answers."""
    order = [k for k in order if k < len(said)]
    names = [f"{k + 2}" for k in range(len(said))]
    one = match(names, votes(*said), (), 40)
    two = match([names[k] for k in order], votes(*(said[k] for k in order)), (), 40)
    if ANSWERS not in (one.fit.source, two.fit.source):
        assert [one.units[k] for k in order] == list(two.units)
    assert (one.fit.source, one.fit.good) == (two.fit.source, two.fit.good)


def test_images_that_were_not_asked_about_have_the_class_of_their_folder():
    found = classes_of(images("0", "1", labels=(0, 0, 0, 1, 1, 1)), {0: 0, 1: 0, 3: 1, 4: 1}, (), 2)
    assert found.fit is not None
    assert (found.fit.images, found.fit.rate, found.of_unit(1)) == (4, 1.0, [3, 4, 5])
    assert votes_of(images("0", labels=(0,)), {0: 3}) == (Counter({3: 1}),)


def test_folders_without_images_change_nothing():
    found = match(("0", "1", "2"), votes([0] * 5, [], [2] * 5), (), 3)
    assert (found.units, found.purity, found.fit.classes, found.fit.good) == ((0, 1, 2), (1.0, 0.0, 1.0), 2, True)


def test_in_a_flat_folder_the_predictions_are_the_classes():
    flat = ImageSet("set", ("a", "b", "c"), None, (), (), Nothing(), (0, 1, 2))
    found = classes_of(flat, {0: 7, 1: 1, 2: 7}, ("zero", "one"), 10)
    assert found.names == ("one", "class 7")
    assert found.units == (1, 7)
    assert found.members == (1, 0, 1)
    assert found.count(1) == 2
    assert (found.source, found.fit) == (ANSWERS, None)


def test_without_outputs_there_are_no_class_units():
    found = no_classes(images("x", "y"))
    assert found.units == (None, None)
    assert found.members == (0, 1)
