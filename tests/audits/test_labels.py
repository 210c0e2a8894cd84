from dataclasses import dataclass

import pytest

from snellen.audits.labels import named_classes, no_classes, predicted_classes
from snellen.images import ImageSet


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


@pytest.mark.parametrize(
    ("names", "outputs", "units", "source"),
    [
        (("0574_n03445777", "0000_n01440764"), 1000, (574, 0), "folder number"),
        (("7", "3", "12"), 13, (7, 3, 12), "folder number"),
        (("001-cat", "002.dog", "003 cow"), 1000, (1, 2, 3), "folder number"),
        (("a tabby", "Dog"), 3, (1, 2), "label names"),
        (("tench", "golf-ball", "horn"), 3, (0, 1, 2), "folder order"),
    ],
)
def test_names_say_which_units_they_are(names, outputs, units, source):
    found = named_classes(images(*names), ("tench", "a tabby, tabby cat", "dog"), outputs)
    assert (found.units, found.source) == (units, source)


@pytest.mark.parametrize(
    ("names", "outputs"),
    [
        (("0574_a", "0574_b"), 1000),  # the same number twice
        (("1001_a", "3_b"), 1000),  # no such unit
        (("3rd", "4th"), 1000),  # numbers, but not as such
        (("cat", "12_dog"), 1000),
        (("cat", "dog"), 0),
        ((), 10),
    ],
)
def test_names_that_say_nothing_are_not_taken_for_units(names, outputs):
    assert named_classes(images(*names), (), outputs) is None


def test_what_most_images_are_taken_for_is_the_class_and_the_purer_folder_keeps_it():
    found = predicted_classes(images("x", "y", "z", labels=(0, 0, 0, 1, 1, 1, 2, 2)), [5, 5, 1, 5, 5, 5, 2, 2], ())
    assert found.units == (None, 5, 2)
    assert found.purity == pytest.approx((2 / 3, 1.0, 1.0))
    assert found.source == "model predictions"
    assert found.of_unit(5) == [3, 4, 5]


def test_a_tie_goes_to_the_smaller_unit():
    assert predicted_classes(images("x", labels=(0, 0)), [9, 4], ()).units == (4,)


def test_in_a_flat_folder_the_predictions_are_the_classes():
    flat = ImageSet("set", ("a", "b", "c"), None, (), (), Nothing(), (0, 1, 2))
    found = predicted_classes(flat, [7, 1, 7], ("zero", "one"))
    assert found.names == ("one", "class 7")
    assert found.units == (1, 7)
    assert found.members == (1, 0, 1)
    assert found.count(1) == 2


def test_without_outputs_there_are_no_class_units():
    found = no_classes(images("x", "y"))
    assert found.units == (None, None)
    assert found.members == (0, 1)


def test_a_name_of_thousands_of_digits_is_no_number():
    digits = "1" * 5000
    assert named_classes(images(digits, "2"), (), 13) is None
    from snellen.attacks.behaviour import outputs_of

    assert outputs_of(images(digits, "2"), (), 13) is None
