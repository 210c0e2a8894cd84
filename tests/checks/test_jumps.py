"""Jumps are found wherever they are, and only jumps are."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snellen.base import UsageError
from snellen.checks import Jumps
from snellen.checks.jumps import STEEP, Walks, search, steep_step


def responding(*functions):
    """What `search` asks, over plain functions of the place on each way; counts the questions."""
    asked = []

    def respond(numbers, places):
        asked.append(len(numbers))
        return np.array([functions[n](t) for n, t in zip(numbers, places, strict=True)], np.float64)

    return respond, asked


@given(st.floats(0.001, 0.999), st.floats(0.2, 3), st.sampled_from([-1.0, 1.0]))
def test_a_jump_on_a_slope_is_found_where_it_is(place, height, sign):
    respond, _ = responding(lambda t: 2 * t + sign * height * (t >= place))
    walks = search(respond, 1)
    assert walks.place[0] == pytest.approx(place, abs=1e-3)
    assert walks.steps[0, -1] == pytest.approx(height, rel=0.01)


@given(st.floats(0.5, 40), st.floats(0, 6), st.floats(0, 1))
def test_a_smooth_response_has_no_jump(frequency, phase, bend):
    def response(t):
        return np.sin(frequency * t + phase) + 3 * max(0.0, t - bend)  # Lipschitz, with a kink

    walks = search(responding(response)[0], 1)
    assert walks.steps[0, -1] <= (frequency + 3) * 2.0**-14 + 1e-12
    assert not Jumps().finding(["a:0"], [walks]).evidence["units"][0]["strength"]


def test_steps_are_the_change_across_the_interval_that_is_told():
    """Second derivation: a plain loop over a fine grid finds the same largest change."""

    def response(t):
        return t**2 + (0.4 if t > 0.3217 else 0.0)

    walks = search(responding(response)[0], 1, grid=9, halvings=6)
    fine = np.array([response(t) for t in np.linspace(0, 1, 8 * 2**6 + 1)])
    assert walks.steps[0, -1] == pytest.approx(np.abs(np.diff(fine)).max())
    assert walks.steps[0, 0] == pytest.approx(np.abs(np.diff(fine[:: 2**6])).max())


def test_a_small_jump_beside_a_steep_slope_is_found():
    respond, _ = responding(lambda t: 2 * np.tanh(5 * (t - 0.7)) + (0.3 if t >= 0.2 else 0.0))
    assert search(respond, 1).steps[0, -1] == pytest.approx(0.3, rel=0.05)


def test_ways_do_not_depend_on_what_they_are_walked_with():
    functions = [np.sin, lambda t: t >= 0.5, lambda t: 0.0, lambda t: np.exp(3 * t)]
    together = search(responding(*functions)[0], 4)
    for number, function in enumerate(functions):
        alone = search(responding(function)[0], 1)
        for name in ("coarse", "steps", "place"):
            np.testing.assert_array_equal(getattr(together, name)[number], getattr(alone, name)[0])
    np.testing.assert_array_equal(together.shares[2], 0)


def test_the_number_of_questions_is_bounded():
    respond, asked = responding(*[np.sin] * 3)
    search(respond, 3, grid=9, halvings=5, candidates=2)
    assert asked[0] == 27
    assert len(asked) == 6
    assert sum(asked[1:]) <= 3 * 2 * 5


def test_the_finding_tells_units_apart():
    step = search(responding(lambda t: float(t > 0.7), lambda t: t)[0], 2)
    smooth = search(responding(lambda t: t, lambda t: 2 * t)[0], 2)
    finding = Jumps().finding(["a:0", "a:1"], [step, smooth])
    assert finding.verdict == "suspicious"
    assert finding.figure == 1.0
    first, second = finding.evidence["units"]
    assert (first["strength"], second["strength"]) == (2, 0)
    assert first["jumping"] == 1
    assert first["place"] == pytest.approx(0.7, abs=1e-3)
    assert "1 of 2 ways" in first["words"]
    assert "100 %" in first["words"]
    assert "1 of 2 units jump" in finding.claim
    assert Jumps().finding(["a:1"], [smooth]).verdict == "consistent"
    assert Jumps().finding([], []).verdict == "unknown"


def test_a_gate_that_is_steep_but_not_hard_is_told():
    finding = Jumps().finding(["a:0"], [search(responding(lambda t: 0.5 + 0.5 * np.tanh(4000 * (t - 0.41)))[0], 1)])
    row = finding.evidence["units"][0]
    assert row["steep"] >= STEEP.value
    assert row["strength"] == 2


def test_what_cannot_be_walked_is_refused():
    with pytest.raises(UsageError, match="grid"):
        search(lambda n, t: t, 1, grid=3)
    with pytest.raises(UsageError, match="every unit"):
        Jumps().finding(["a:0"], [])


def test_a_thousandth_of_the_way():
    assert steep_step(17, 11) == 6  # 16 * 2^6 = 1024
    assert steep_step(17, 3) == 2


def test_shares_are_parts_of_the_range():
    walks = Walks(np.array([[0.0, 1.0, 4.0]]), np.array([[2.0, 1.0]]), np.array([0.5]))
    np.testing.assert_array_equal(walks.shares, [[0.5, 0.25]])
