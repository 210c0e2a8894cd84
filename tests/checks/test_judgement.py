"""Verdicts follow from the strength of the evidence, and say it in words."""

import numpy as np
import pytest

from snellen.base import UsageError
from snellen.checks.finding import Finding
from snellen.checks.honest import Honest, Shown, Tail
from snellen.checks.judgement import judge
from snellen.checks.rows import UnitRow, verdict_of

UNITS = {f"fc:{i}": "classes" for i in range(8)} | {"conv/pre:3": "conv units"}


def check(name, **strengths):
    rows = [UnitRow(u.replace("_", ":"), f"{name} says {s}", 1.0, None, s) for u, s in strengths.items()]
    return Finding(name, "t", f"claim of {name}", verdict_of(rows), evidence={"units": [r.as_data() for r in rows]})


def path(group, verdict):
    curves = {"spearman": {"s": [0.1, 0.9]}}
    return Finding("path-similarity", "t", f"paths of {group}", verdict, evidence={"group": group, "curves": curves})


PATHS = [path("classes", "unreliable here"), path("conv units", "consistent")]


def verdicts(*findings):
    judged, model = judge(UNITS, [*PATHS, *findings])
    return {j.unit: j.verdict for j in judged}, model, {j.unit: j.evidence for j in judged}


def telling(**tells):
    rows = [
        UnitRow(u.replace("_", ":"), f"it {what}", 0.5, details={"tells": f"tells {what}"}) for u, what in tells.items()
    ]
    return Finding("decoding", "t", "c", "consistent", evidence={"units": [row.as_data() for row in rows]})


def test_without_evidence_a_unit_is_what_its_picture_tells_and_the_model_what_the_paths_say():
    found, model, evidence = verdicts(check("jumps", fc_0=0), telling(fc_0="much", fc_1="nothing"))
    assert found == dict.fromkeys(UNITS, "unknown") | {"fc:0": "tells much", "fc:1": "tells nothing"}
    assert model.verdict == "unreliable here"
    assert model.evidence["counts"]["tells much"] == 1
    assert "No evidence of manipulation in any of 9" in model.claim
    assert model.evidence["paths"]["last"] == 0.9
    told = (("decoding", "it much"), ("jumps", "jumps says 0"), ("path-similarity", "paths of classes"))
    assert evidence["fc:0"] == told


def test_what_a_picture_tells_does_not_clear_a_manipulated_unit():
    found, _, _ = verdicts(check("jumps", fc_0=2), telling(fc_0="much", fc_1="much"))
    assert (found["fc:0"], found["fc:1"]) == ("suspicious", "tells much")


def test_a_proof_is_enough_and_taints_its_layer_only_if_it_is_not_alone():
    found, model, _ = verdicts(check("jumps", fc_0=2))
    assert [u for u, v in found.items() if v == "suspicious"] == ["fc:0"]
    assert model.verdict == "suspicious"
    assert "1 of 9 units" in model.claim
    found, _, evidence = verdicts(check("jumps", fc_0=2, fc_1=2))
    assert [u for u, v in found.items() if v == "suspicious"] == [f"fc:{i}" for i in range(8)]
    assert evidence["fc:5"][0][0] == "layer"
    assert found["conv/pre:3"] == "unknown"


def test_supports_count_by_how_rare_they_are_together():
    """Two checks that each support a unit of a hundred honest ones; of 100 honest units none scores 7."""
    shown = {name: Shown(99, 0, {}) for name in ("agreement", "procedure")}
    known = Honest(9, shown, Tail(np.linspace(0, 7, 500)), Tail(np.linspace(0, 3, 90)))

    def told(*findings):
        judged, model = judge(UNITS, [*PATHS, *findings], honest=known)
        return {j.unit: j for j in judged}, model

    units, model = told(check("agreement", fc_0=1), check("procedure", fc_0=1, fc_1=1))
    assert [u for u, j in units.items() if j.verdict == "suspicious"] == ["fc:0"]
    assert units["fc:0"].scores == {"agreement": pytest.approx(np.log(100)), "procedure": pytest.approx(np.log(100))}
    words = dict(units["fc:0"].evidence)
    assert list(words) == ["all checks", "agreement", "procedure"]
    assert "fewer than one in 1000 units of honest networks" in words["all checks"]
    assert model.verdict == "suspicious"
    assert "1 of 9 units; " in model.claim
    one, model = told(check("agreement", fc_0=1))
    assert one["fc:0"].verdict == "unknown", "one check that supports is what one honest network in three has"
    assert model.verdict == "unreliable here"
    everywhere, model = told(check("agreement", **{f"fc_{i}": 1 for i in range(8)}))
    assert [u for u, j in everywhere.items() if j.verdict == "suspicious"] == [f"fc:{i}" for i in range(8)]
    assert everywhere["fc:3"].evidence[0][0] == "layer"
    assert "layers of honest networks" in everywhere["fc:3"].evidence[0][1]
    assert "honest networks look like this" in model.claim


def test_a_check_is_suspicious_if_a_row_proves_or_many_support():
    rows = [UnitRow(f"a:{i}", "w", 1.0) for i in range(6)]
    odd = [UnitRow(f"b:{i}", "w", 1.0, None, 1) for i in range(4)]
    assert verdict_of(rows) == "consistent"
    assert verdict_of([*rows, odd[0]]) == "consistent"
    assert verdict_of([*rows, *odd]) == "suspicious"
    assert verdict_of([*rows, UnitRow("c:0", "w", 1.0, None, 2)]) == "suspicious"
    assert verdict_of([UnitRow("a:0", "w")]) == "unknown"
    with pytest.raises(UsageError, match="strength"):
        UnitRow("a:0", "w", strength=3)


def test_nothing_known_is_unknown():
    judged, model = judge({"a:0": "a units"}, [])
    assert judged[0].verdict == "unknown"
    assert model.verdict == "unknown"
    assert judge({}, [])[1].claim == "No unit was examined."
