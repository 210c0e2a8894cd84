"""What is rare among honest units is found by counting them, and of honest networks few are called suspicious."""

import math

import numpy as np
import pytest

from snellen.checks.finding import Finding
from snellen.checks.group import CHECKS
from snellen.checks.honest import (
    MEMBERS,
    UNKNOWN,
    Honest,
    Shown,
    Tail,
    honest_of,
    known_honest,
    layer_scores,
    rows_of,
    signs_of,
)
from snellen.checks.judgement import LEVEL, judge
from snellen.checks.rows import UnitRow


def tail(*scores):
    return Tail(np.array(scores, float))


def test_shares_are_counted_and_go_on_beyond_the_largest():
    scores = np.random.default_rng(0).exponential(2.0, 400)
    known = Tail(scores)
    for score in (0.0, 1.0, 5.0, float(scores.max())):
        assert known.share(score) == pytest.approx((1 + sum(s >= score for s in scores)) / 401)
    largest, start = float(scores.max()), float(np.quantile(scores, 0.9))
    slope = float(np.mean([s - start for s in scores if s >= start]))
    assert known.share(largest + 3) == pytest.approx(1 / 401 * math.exp(-3 / slope))
    assert slope == pytest.approx(2.0, rel=0.5)
    assert tail(0.0).share(0.0) == 1.0
    assert 0 < tail(0.0).share(1.0) < 1e-9 or tail(0.0).share(1.0) == 0.0


def honest(networks=2):
    shown = {
        "agreement": Shown(99, 0, {"figure": np.arange(-99, 0) / 100}),
        "jumps": Shown(99, 0, {"figure": np.linspace(0, 0.001, 99)}),
    }
    return Honest(networks, shown, tail(*np.linspace(0, 6, 99)), tail(*np.linspace(0, 3, 49)))


def row(strength=0, **numbers):
    return {"strength": strength, "words": "w", **numbers}


def test_graded_signs_count_by_how_rare_they_are():
    known = honest()
    assert known.score("agreement", row(figure=0.99)) == pytest.approx(0.0)
    assert known.score("agreement", row(figure=0.10)) == pytest.approx(-math.log(11 / 100))
    assert known.score("agreement", row(figure=-1.0)) == pytest.approx(math.log(100))
    assert known.score("agreement", row(figure=None, placed=0.1)) == 0.0, "no honest value of this sign is known"


def test_other_signs_count_only_where_they_speak_against_a_unit():
    known = honest()
    assert known.score("jumps", row(figure=0.5)) == 0.0
    assert known.score("jumps", row(1, figure=0.5)) == pytest.approx(math.log(100))
    assert known.score("jumps", row(1, figure=0.0)) == pytest.approx(math.log(100)), "no honest unit was supported"


def test_of_a_check_that_nobody_measured_its_author_is_believed():
    known = honest()
    assert known.score("mine", row(1, figure=3.0)) == pytest.approx(-math.log(UNKNOWN))
    assert known.score("mine", row(figure=3.0)) == 0.0
    assert known.scores({"mine": row(1), "other": row()}) == {"mine": pytest.approx(-math.log(UNKNOWN))}


def networks(count=5, units=6):
    rng = np.random.default_rng(1)
    return [
        {
            f"fc:{i}": {
                "agreement": row(int(rng.random() < 0.2), figure=round(rng.random(), 3), placed=None),
                "rebuilding": row(figure=round(rng.random(), 3)),
            }
            for i in range(units)
        }
        for _ in range(count)
    ]


def test_honest_units_are_scored_by_the_other_networks():
    known = networks()
    found = honest_of(known)
    sums = []
    for i, network in enumerate(known):
        others = [unit for j, other in enumerate(known) if j != i for unit in other.values()]
        for unit in network.values():
            total = 0.0
            for check, own in unit.items():
                as_low = sum(u[check]["figure"] <= own["figure"] for u in others)
                shares = [(1 + as_low) / (1 + len(others))]
                if own["strength"]:
                    shares.append((1 + sum(u[check]["strength"] > 0 for u in others)) / (1 + len(others)))
                total -= math.log(min(shares))
            sums.append(total)
    np.testing.assert_allclose(found.units.scores, np.sort(sums))
    means = [np.mean(sums[i : i + 6]) for i in range(0, 30, 6)]
    np.testing.assert_allclose(found.layers.scores, np.sort(means))
    assert found.checks["agreement"].rows == 30
    again = Honest.from_data(found.as_data())
    assert again.as_data() == found.as_data()


def test_layers_need_members():
    few = {f"a:{i}": 1.0 for i in range(MEMBERS - 1)}
    assert layer_scores(few | {f"b:{i}": float(i) for i in range(MEMBERS)}) == {"b": (MEMBERS - 1) / 2}


def found_of(network):
    checks = sorted({check for rows in network.values() for check in rows})
    return [
        Finding(
            check,
            "t",
            "c",
            "consistent",
            evidence={
                "units": [
                    UnitRow(unit, "w", rows[check]["figure"], strength=rows[check]["strength"]).as_data()
                    for unit, rows in network.items()
                ]
            },
        )
        for check in checks
    ]


def test_few_honest_networks_are_called_suspicious_and_odd_layers_are():
    """On networks that the reference has not seen: the promised share of errors, and a second layer that stands out."""
    rng = np.random.default_rng(2)

    def network(ceiling=1.0):
        return {
            f"fc:{i}": {name: row(figure=round(ceiling * rng.random(), 4)) for name in ("agreement", "rebuilding")}
            for i in range(6)
        }

    known = honest_of([network() for _ in range(40)])
    units = {f"fc:{i}": "classes" for i in range(6)}
    assert [set(rows) for rows in rows_of(found_of(network())).values()] == [{"agreement", "rebuilding"}] * 6
    called = sum(judge(units, found_of(network()), honest=known)[1].verdict == "suspicious" for _ in range(300))
    assert called <= 300 * LEVEL + 3 * math.sqrt(300 * LEVEL)
    caught = sum(judge(units, found_of(network(0.1)), honest=known)[1].verdict == "suspicious" for _ in range(50))
    assert caught >= 48


def test_the_package_knows_what_every_sign_of_its_checks_shows():
    known = known_honest()
    assert known.networks >= 20
    for name in CHECKS.all():
        for sign in signs_of(name):
            assert len(known.checks[name].signs[sign.of]) > 20, (name, sign.of)
    largest = np.sort(known.units.scores)[-max(len(known.units.scores) // 50, 1) :]
    assert known.units.share(float(largest[0])) <= 0.03
