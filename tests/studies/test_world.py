import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.base import LayerError, UnitError, UsageError
from snellen.images.classes import classes_of
from snellen.studies.choice import choose
from snellen.studies.request import Request
from snellen.studies.world import open_world, spread


@given(st.lists(st.integers(0, 12), max_size=6), st.integers(1, 40))
def test_spreading_takes_evenly_and_as_many_as_there_are(sizes, most):
    starts = [100 * k for k in range(len(sizes))]
    groups = [list(range(start, start + size)) for start, size in zip(starts, sizes, strict=True)]
    taken = spread(groups, most)
    assert taken == sorted(set(taken))
    assert len(taken) == min(most, sum(sizes))
    counts = [sum(1 for i in taken if i in group) for group in groups]
    for count, size in zip(counts, sizes, strict=True):
        assert count == size or count >= max(counts) - 1


def test_the_command_repeats_the_request():
    request = Request(
        "a b.py:net", "some images", ("fc:0-3", "conv:1"), ("conv", "fc"), 9, 48, 7, True, "cuda", "w.safetensors", True
    )
    words = shlex.split(request.command())
    assert words[:3] == ["snellen", "audit", "a b.py:net"]
    for name, value in [("--images", "some images"), ("--layers", "conv,fc"), ("--steps", "9"), ("--seed", "7")]:
        assert words[words.index(name) + 1] == value
    assert words.count("--units") == 2
    assert {"--quick", "--trust-pickle"} <= set(words)
    assert Request().command() == "snellen audit builtin"


@pytest.mark.parametrize("changes", [{"steps": 0}, {"seed": -1}, {"precision": "int8"}])
def test_senseless_requests_are_refused(changes):
    with pytest.raises(UsageError, match="expected"):
        Request(**changes)


def test_a_world_knows_its_classes_and_its_identity(network, pictures):
    world = open_world(Request(network, str(pictures)))
    assert (world.outputs, world.class_layer, len(world.images)) == (5, "8", 24)
    assert world.identity == open_world(Request(network, str(pictures), seed=5)).identity
    assert world.identity != open_world(Request(network, str(pictures), size=48)).identity
    assert world.identity != open_world(Request(network, str(pictures / "000_colour"))).identity


def test_layers_are_put_in_order_and_unknown_ones_refused(network, pictures):
    assert open_world(Request(network, str(pictures), layers=("8", "2", "8"))).curve == ("2", "8")
    with pytest.raises(LayerError, match='"22"'):
        open_world(Request(network, str(pictures), layers=("22",)))


def chosen(network, pictures, **changes):
    world = open_world(Request(network, str(pictures), **changes))
    answers = {i: (0, 2, 3, 4)[label] for i, label in enumerate(world.images.labels)}
    return choose(world, classes_of(world.images, answers, (), world.outputs))


def test_units_are_the_classes_shown_and_a_few_inside_before_their_relu(network, pictures):
    full = chosen(network, pictures)
    assert [u.channel for u in full.classes] == [0, 2, 3, 4]
    assert {u.layer for u in full.inner} <= {"0", "2", "4"}
    assert len(full.inner) == 4 * len({u.layer for u in full.inner})
    assert full == chosen(network, pictures)
    assert full.inner != chosen(network, pictures, seed=1).inner
    assert len(chosen(network, pictures, quick=True).inner) == 2


def test_named_units_are_taken_and_told_apart(network, pictures):
    found = chosen(network, pictures, units=("8:1", "2:0-1", "8:1"))
    assert [str(u) for u in found.classes] == ["8:1"]
    assert [str(u) for u in found.inner] == ["2:0", "2:1"]
    with pytest.raises(UnitError, match="0-7"):
        chosen(network, pictures, units=("2:8",))
