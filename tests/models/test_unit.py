import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.base import LayerError, UnitError
from snellen.models import Layer, Unit
from snellen.models.survey import Survey
from snellen.models.unit import Place, channel_axis, expand, is_channels_last

names = st.from_regex(r"[a-z_][a-z_0-9]*(\.[a-z_0-9]+){0,3}", fullmatch=True)
places = st.none() | st.tuples(st.integers(0, 99), st.integers(0, 99))

LAYERS = (
    Layer("conv1", "Conv2d", (8, 6, 7), 8, True, False, 0, (6, 7)),
    Layer("relu1", "ReLU", (8, 6, 7), 8, False, True, 1, (6, 7)),
    Layer("blocks.0", "Block", (17, 12), 12, True, False, 2, (4, 4), 1),
    Layer("stage", "Swin", (24, 5, 5), 24, True, False, 3, (5, 5)),
    Layer("windows", "Attention", (64, 12), 12, False, False, 4),
    Layer("fc", "Linear", (10,), 10, True, False, 5),
)
KNOWN = Survey(LAYERS, {}, {"lost": "no axis"}, {"stem": "conv1"}, 0, None, fast=True, notes=()).layer


@given(names, st.integers(0, 10**6), places, st.booleans())
def test_writing_and_reading_an_address_are_inverse(layer, channel, position, pre):
    unit = Unit(layer, channel, position, pre)
    assert Unit.parse(str(unit)) == unit
    assert Place.parse(unit.address) == Place(layer, pre, position)


@pytest.mark.parametrize("layer", ["a:b", "x@y", "branch:0.conv", "at@3", "a/b"])
def test_names_of_layers_may_hold_what_addresses_hold(layer):
    unit = Unit(layer, 3, (1, 2), pre=True)
    assert Unit.parse(str(unit)) == unit
    assert Place.parse(unit.address) == Place(layer, True, (1, 2))


def test_addresses_are_written_as_documented():
    assert str(Unit("layer", 3)) == "layer:3"
    assert str(Unit("layer", 3, (2, 4))) == "layer:3@2,4"
    assert str(Unit("a.0", 3, (0, 0), pre=True)) == "a.0/pre:3@0,0"


@pytest.mark.parametrize("text", ["", "fc", "fc:", ":3", "fc:x", "fc:-1", "fc:3@2", "fc:3@2,", "fc:3@-1,0", "fc:3 "])
def test_what_is_no_address_is_refused_with_an_example(text):
    with pytest.raises(UnitError, match="layer:17") as caught:
        Unit.parse(text)
    assert f'"{text}"' in str(caught.value)


@pytest.mark.parametrize("text", ["fc:0-9", "fc:*"])
def test_several_units_are_not_one(text):
    with pytest.raises(UnitError, match="one unit"):
        Unit.parse(text)
    assert len(expand(text, KNOWN)) == 10


def test_ranges_stars_and_positions_expand_in_order():
    assert expand("fc:2-4", KNOWN) == (Unit("fc", 2), Unit("fc", 3), Unit("fc", 4))
    assert expand("conv1:*@5,6", KNOWN) == tuple(Unit("conv1", c, (5, 6)) for c in range(8))
    assert expand("relu1/pre:7", KNOWN) == (Unit("relu1", 7, None, True),)
    assert len(expand("stage:*", KNOWN)) == 24
    assert len(expand("blocks.0:*@3,3", KNOWN)) == 12


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("fc:10", "0-9"),
        ("fc:3-10", "0-9"),
        ("fc:4-3", "4-3"),
        ("conv1:0@6,0", "5,6"),
        ("conv1:0@0,7", "5,6"),
        ("blocks.0:0@4,0", "3,3"),
        ("stage:0@5,0", "4,4"),
        ("fc:0@0,0", "no positions"),
        ("windows:0@0,0", "no positions"),
        ("conv1/pre:0", "ReLU"),
    ],
)
def test_a_unit_outside_its_layer_is_an_error_that_says_what_there_is(text, told):
    with pytest.raises(UnitError, match=told):
        expand(text, KNOWN)


@pytest.mark.parametrize(("text", "offered"), [("conv2:0", "conv1"), ("Relu1:0", "relu1"), ("block.0:3", "blocks.0")])
def test_a_wrong_layer_is_answered_with_the_nearest_names(text, offered):
    with pytest.raises(LayerError, match=f'did you mean .*"{offered}"'):
        expand(text, KNOWN)


def test_a_layer_that_is_like_no_other_points_to_the_list():
    with pytest.raises(LayerError, match="snellen layers MODEL"):
        expand("zzz:0", KNOWN)


def test_a_layer_that_cannot_be_read_says_why():
    with pytest.raises(LayerError, match='"lost": no axis'):
        expand("lost:0", KNOWN)


def test_another_name_of_a_layer_is_that_layer():
    assert expand("stem:3", KNOWN) == (Unit("conv1", 3),)


@pytest.mark.parametrize(
    ("shape", "axis"), [((64, 14, 14), 0), ((8, 6, 7), 0), ((197, 192), 1), ((10,), 0), ((3, 32, 32, 6), 3)]
)
def test_channels_of_what_is_read_are_first_in_maps_and_last_in_all_else(shape, axis):
    assert channel_axis(shape) == axis


@pytest.mark.parametrize(
    ("shape", "size", "last"),
    [
        ((7, 7, 96), (224, 224), True),
        ((64, 14, 14), (224, 224), False),
        ((14, 14, 14), (224, 224), False),
        ((64, 1, 1), (224, 224), False),
        ((197, 192), (224, 224), False),
        ((10,), (224, 224), False),
        ((32, 32, 24), (64, 48), False),  # 32 channels of 32 x 24, not 24 of 32 x 32
        ((32, 24, 32), (64, 48), True),
        ((8, 8, 6), (24, 18), False),
        ((7, 10, 96), (224, 320), True),
        ((6, 5, 7), (37, 53), False),
        ((5, 7, 6), (37, 53), True),
        ((56, 56, 40), (224, 160), False),
        ((64, 1, 1), (64, 48), False),
        ((3, 2, 2), (8, 6), False),  # pooled to a square, whatever the picture
    ],
)
def test_maps_held_channels_last_are_told_by_the_proportions_of_the_picture(shape, size, last):
    assert is_channels_last(shape, size) is last
