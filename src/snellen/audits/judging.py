"""The last step: the response gap and the verdicts, from what is stored."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snellen.base import Seed
from snellen.findings import Finding, judge, response_gap
from snellen.studies.choice import Chosen

Data = Mapping[str, Any]


def judged(
    chosen: Chosen, stored: tuple[Mapping[str, Data], Mapping[str, Sequence[Data]]], found: Sequence[Data], seed: Seed
) -> tuple[list[Data], dict[str, Data]]:
    """All findings, the model's verdict last, and every drawn unit's verdict.

    Args:
        chosen: the audited units.
        stored: results of the exemplar job and of the drawing jobs, by unit.
        found: findings of the checks that looked into the network.
        seed: root of the bootstrap.
    """
    seen, pictures = stored
    groups = {str(unit): "classes" if unit in chosen.classes else f"{unit.layer} units" for unit in chosen.all}
    drawn = {u: group for u, group in groups.items() if np.isfinite(_response(pictures.get(u, ()), "max"))}
    findings = [Finding.from_data(data) for data in found]
    names = list(drawn)
    if names and len(seen[names[0]]["responses"]) > 1:
        natural = np.array([seen[name]["responses"] for name in names], np.float64)
        ways = {way: np.array([_response(pictures[name], way) for name in names]) for way in ("max", "min")}
        findings.append(response_gap(names, natural, ways, seed=seed))
    verdicts, model = judge(drawn, findings)
    return [f.as_data() for f in (*findings, model)], {v.unit: v.as_data() for v in verdicts}


def _good(picture: Data) -> bool:
    return picture["status"] == "ok" and picture["image"] is not None and picture["response"] is not None


def _response(pictures: Sequence[Data], way: str) -> float:
    return next((float(p["response"]) for p in pictures if p["direction"] == way and _good(p)), float("nan"))
