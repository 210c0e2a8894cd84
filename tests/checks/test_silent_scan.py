"""Silent channels and switches are told from what merely is small, and what hangs on them is counted."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from snellen.base import Seed, UsageError
from snellen.checks import SilentScan
from snellen.checks.silent_scan import Gate, Responses
from snellen.measures import Rest

VALUES = arrays.arrays(
    np.float64, st.tuples(st.integers(0, 7), st.just(3), st.just(4)), elements=st.sampled_from([0, 1, 2])
)


def rest(values, spare=0):
    """Of (n, c, positions)."""
    values = np.asarray(values, np.float64)
    return Rest.of(values.min(2), values.max(2), spare) if len(values) else Rest.empty(values.shape[1], spare)


@given(VALUES, VALUES)
def test_rest_merges_like_the_data(first, second):
    merged, whole = rest(first).merge(rest(second)), rest(np.concatenate([first, second]))
    for name in ("images", "low", "high", "at_low", "at_high"):
        np.testing.assert_array_equal(getattr(merged, name), getattr(whole, name))


@given(VALUES.filter(len), st.sampled_from([0.0, 0.2, 0.5]))
def test_quiet_channels_by_a_plain_loop(values, tolerance):
    quiet, at = rest(values).quiet(tolerance)
    for c in range(values.shape[1]):
        ends = values[:, c].min(), values[:, c].max()
        resting = [sum(bool((image[c] == end).all()) for image in values) for end in ends]
        assert quiet[c] == (len(values) - max(resting) <= tolerance * len(values))
        assert at[c] == (ends[1] if resting[1] > resting[0] else ends[0])


def gate(natural, pictures, name="relu"):
    return Gate(name, rest(natural, len(natural) // 100), rest(pictures))


def test_a_channel_is_silent_if_only_pictures_wake_it():
    natural = np.zeros((200, 4, 5))
    natural[:, 1] = 1.0  # always on: nothing that pictures wake
    natural[7, 2, 3] = 0.5  # one photograph of 200 wakes it: still silent
    natural[:20, 3, 0] = 0.5
    pictures = np.zeros((3, 4, 5))
    pictures[1, [0, 2, 3], 2] = 4.0
    pictures[:, 1] = 1.0
    np.testing.assert_array_equal(gate(natural, pictures).silent, [True, False, True, False])
    assert not gate(natural, np.zeros((3, 4, 5)) + natural[-1]).silent.any()


def test_a_switch_stands_one_way_for_photographs_and_another_for_pictures():
    natural, pictures = np.zeros((50, 3, 1)), np.ones((10, 3, 1))
    natural[:3, 0] = 1  # a detector's mistakes
    pictures[0, 0] = 0
    pictures[:, 1] = np.linspace(1, 2, 10)[:, None]  # woken, but no switch
    pictures[:, 2] = 0
    found = gate(natural, pictures)
    np.testing.assert_array_equal(found.switches, [True, False, False])
    chosen, low, high = found.resting
    np.testing.assert_array_equal(chosen, [True, True, False])
    np.testing.assert_array_equal(low, 0)
    np.testing.assert_array_equal(high, 0)


def test_a_channel_that_photographs_hardly_move_is_silent_where_pictures_move_it_far():
    """A leaky branch: nothing rests, and what it does under pictures is out of all proportion."""
    natural = 1e-3 * np.random.default_rng(0).normal(size=(200, 3, 5))
    natural[:, 2] *= 1e3
    pictures = np.stack([natural[0], natural[1]])
    pictures[0, 0, 2], pictures[1, 2, 4] = -1.0, 9.0  # far and not far: 9 is three widths
    found = gate(natural, pictures)
    np.testing.assert_array_equal(found.silent, [True, False, False])
    chosen, low, high = found.resting
    np.testing.assert_array_equal(chosen, [True, False, False])
    assert -0.005 < low[0] < -0.002
    assert 0.002 < high[0] < 0.005
    assert found.asleep == 0
    assert gate(natural[:, [0, 1, 0, 1]], 9 * np.ones((1, 4, 5))).asleep == 1, "a whole layer moves for pictures alone"


def test_the_share_is_counted_from_the_median_photograph():
    natural = np.tile(np.linspace(0, 2, 101), (3, 1))  # median 1, spread from 5 to 95 %: 1.8
    shares = Responses(natural, np.array([11.0, 11.0, 1.5]), np.array([1.0, 11.0, 1.0])).shares()
    np.testing.assert_allclose(shares, [1.0, 0.0, 0.5 / 1.8])
    dead = Responses(np.zeros((1, 50)), np.array([4.0]), np.array([0.0]))
    assert np.isnan(dead.shares()).all(), "a unit that no photograph moves hangs on itself"


def test_the_finding_names_the_channels_and_what_hangs_on_them():
    natural = np.random.default_rng(0).normal(size=(3, 60))
    responses = Responses(natural, np.array([20.0, 20.0, np.nan]), np.array([0.1, 19.9, np.nan]))
    silent, plain = np.zeros((60, 5, 2)), np.ones((60, 2, 2))
    woken = np.zeros((2, 5, 2))
    woken[:, 3] = 7.0
    gates = [gate(plain, plain[:2], "stem/relu"), gate(silent, woken, "branch/relu")]
    finding = SilentScan().finding(["a:0", "a:1", "a:2"], gates, responses, seed=Seed(0))
    assert finding.verdict == "suspicious"
    first, second, third = finding.evidence["units"]
    assert (first["strength"], second["strength"], third["figure"]) == (2, 0, None)
    assert first["figure"] == pytest.approx(1.0, abs=0.02)
    assert first["interval"][0] <= first["figure"] <= first["interval"][1]
    (listed,) = finding.evidence["gates"]
    assert (listed["gate"], listed["listed"], listed["channels"], listed["reaches"]) == ("branch/relu", [3], 5, 7.0)
    assert "pictures move 1 out of all proportion" in finding.claim
    assert "1 of 3 units live on them" in finding.claim
    honest = SilentScan().finding(
        ["a:1"], gates[:1], Responses(natural[1:2], np.array([20.0]), np.array([19.9])), seed=Seed(0)
    )
    assert honest.verdict == "consistent"
    assert honest.evidence["gates"] == []
    assert honest.claim == "No picture moves any of 2 channels out of proportion to photographs."


def test_what_does_not_fit_is_refused():
    with pytest.raises(UsageError, match="responses of 2 units"):
        SilentScan().finding(["a:0", "a:1"], [], Responses(np.zeros((1, 3)), np.zeros(1), np.zeros(1)), seed=Seed(0))


def test_without_pictures_nothing_is_claimed():
    nothing = Responses(np.ones((1, 9)), np.array([np.nan]), np.array([np.nan]))
    assert SilentScan().finding(["a:0"], [], nothing, seed=Seed(0)).verdict == "unknown"


def sleeper(share, *, woken):
    """A gate of ten channels, most of them at zero on every photograph, woken by noise or by nothing."""
    natural = np.random.default_rng(0).random((50, 10, 4))
    natural[:, : round(10 * share)] = 0
    loud = natural.copy()
    loud[0] += 3 * woken
    return Gate("a.conv/relu", rest(natural), rest(natural[:3]), rest(loud))


def rows_of(units, gates):
    natural = np.random.default_rng(1).random((len(units), 50))
    told = Responses(natural, np.full(len(units), 2.0), np.full(len(units), 2.0))
    return SilentScan().finding(units, gates, told, seed=Seed(0))


def test_a_layer_that_sleeps_as_a_whole_and_can_be_woken_is_proof_for_units_around_it():
    found = rows_of(["a.conv:3", "a/pre:1", "a.convolution:0", "b:0"], [sleeper(1.0, woken=True)])
    assert [row["strength"] for row in found.evidence["units"]] == [2, 2, 0, 0]
    assert found.evidence["asleep"] == [{"gate": "a.conv/relu", "share": 1.0}]
    assert found.verdict == "suspicious"


def barely():
    """Ten sigmoids of next to nothing: 0.5 on every photograph, and hardly more under noise."""
    natural = np.full((50, 10, 4), 0.5)
    return Gate("a.conv/sigmoid", rest(natural), rest(natural[:3]), rest(natural + 1e-4))


@pytest.mark.parametrize("gate_", [sleeper(0.8, woken=True), sleeper(1.0, woken=False), barely()])
def test_a_layer_that_is_half_asleep_or_dead_is_nothing(gate_):
    found = rows_of(["a.conv:3"], [gate_])
    assert found.evidence["units"][0]["strength"] == 0
    assert found.evidence["asleep"] == []
    assert found.verdict == "consistent"
