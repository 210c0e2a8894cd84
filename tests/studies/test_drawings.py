"""How many steps a picture gets."""

import pytest

from snellen.studies.drawings import settings_of
from snellen.studies.request import Request
from snellen.studies.world import open_world


@pytest.mark.parametrize(
    ("asked", "steps"),
    [({}, 64), ({"size": 65}, 256), ({"size": 65, "quick": True}, 64), ({"steps": 7}, 7), ({"steps": 300}, 300)],
)
def test_small_pictures_take_fewer_steps_and_who_asks_for_a_number_gets_it(asked, steps):
    assert settings_of(open_world(Request(**asked))).steps == steps
