"""How rare is what the checks say of a unit, among units of honest networks?

What honest networks show lies beside this file, honest.json, written by `python benchmarks/honest.py --reference`.
"""

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.resources import files
from typing import Any

import numpy as np
from jaxtyping import Float

from snellen.checks.check import Threshold
from snellen.checks.finding import Finding
from snellen.checks.group import CHECKS
from snellen.checks.rows import SUPPORTS
from snellen.models import Unit

FILE = "honest.json"
UNKNOWN = 1 / 20
"""Share of honest units of which a check that was not measured is taken to support suspicion: its author's word."""
TOP = 0.1
"""Share of honest scores that say how they go on beyond the largest."""
MEMBERS = 5
"""Units of a layer that together say something of it."""

Rows = Mapping[str, Mapping[str, Mapping[str, Any]]]
"""By unit and check: what the check says of the unit."""


@dataclass(frozen=True, eq=False)
class Tail:
    """Scores of honest units, or of layers of them.

    Args:
        scores: at least one.
    """

    scores: Float[np.ndarray, " n"]

    def share(self, score: float) -> float:
        """The share of honest ones that score as much or more, never 0.

        Counted, one more than there are. Beyond the largest score that falls exponentially, by the mean of how far the
        upper tenth lies beyond its start: the scores are sums of logarithms of shares, which fall so.
        """
        beyond = max(score - float(self.scores.max()), 0.0)
        return float(1 + (self.scores >= score).sum()) / (len(self.scores) + 1) * math.exp(-beyond / self._slope)

    @cached_property
    def _slope(self) -> float:
        start = float(np.quantile(self.scores, 1 - TOP))
        return max(float(self.scores[self.scores >= start].mean()) - start, 1e-9)


@dataclass(frozen=True, eq=False)
class Shown:
    """What one check says of honest units.

    Args:
        rows: how many units it says something of.
        supported: in how many it supports suspicion, or proves it.
        signs: by key of a row its values, those that tell more being larger.
    """

    rows: int
    supported: int
    signs: Mapping[str, Float[np.ndarray, " n"]]


@dataclass(frozen=True, eq=False)
class Honest:
    """Honest networks, as the checks see them.

    Args:
        networks: how many.
        checks: by name what they say.
        units: scores of units, each by the other networks' rows.
        layers: mean scores of layers with at least `MEMBERS` units.
    """

    networks: int
    checks: Mapping[str, Shown]
    units: Tail
    layers: Tail

    def score(self, check: str, row: Mapping[str, Any]) -> float:
        """How rare a row is: minus the logarithm of the share of honest units of which the check says as much.

        Of several signs the rarest counts. A sign that is not graded (`snellen.checks.Threshold`) counts only where
        it led the check to support suspicion. 0 is what all honest units show.
        """
        strong, shown = row["strength"] >= SUPPORTS, self.checks.get(check)
        if shown is None:
            return -math.log(UNKNOWN) if strong else 0.0
        shares = [(1 + shown.supported) / (1 + shown.rows)] if strong else [1.0]
        for sign in signs_of(check):
            value, seen = telling(sign, row), shown.signs.get(sign.of)
            if value is not None and seen is not None and (sign.graded or strong):
                shares.append(float(1 + (seen >= value).sum()) / (1 + len(seen)))
        return -math.log(min(shares))

    def scores(self, rows: Mapping[str, Mapping[str, Any]]) -> dict[str, float]:
        """By check how rare its row is; only those that say anything."""
        found = {check: self.score(check, row) for check, row in rows.items()}
        return {check: score for check, score in found.items() if score > 0}

    def as_data(self) -> dict[str, Any]:
        """All of it as a JSON object."""
        return {
            "networks": self.networks,
            "checks": {
                name: {
                    "rows": shown.rows,
                    "supported": shown.supported,
                    "signs": {key: _short(values) for key, values in shown.signs.items()},
                }
                for name, shown in self.checks.items()
            },
            "units": _short(self.units.scores),
            "layers": _short(self.layers.scores),
        }

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Honest":
        """What `as_data` wrote."""
        checks = {
            name: Shown(one["rows"], one["supported"], {k: np.array(v) for k, v in one["signs"].items()})
            for name, one in data["checks"].items()
        }
        return cls(data["networks"], checks, Tail(np.array(data["units"])), Tail(np.array(data["layers"])))


@cache
def known_honest() -> Honest:
    """The honest networks that the package knows."""
    return Honest.from_data(json.loads((files("snellen.checks") / FILE).read_text()))


def signs_of(check: str) -> tuple[Threshold, ...]:
    """The signs of a check: thresholds of numbers in its rows, each number once."""
    kind = CHECKS.all().get(check)
    return tuple({t.of: t for t in kind.thresholds if t.of}.values()) if kind else ()


def telling(sign: Threshold, row: Mapping[str, Any]) -> float | None:
    """The number of a sign, turned so that larger tells more; None where it is not known."""
    value = row.get(sign.of)
    return None if value is None else -float(value) if sign.least else float(value)


def rows_of(findings: Iterable[Finding]) -> dict[str, dict[str, Mapping[str, Any]]]:
    """By unit and check what is said of the unit."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for finding in findings:
        for row in finding.rows:
            found.setdefault(row["unit"], {})[finding.check] = row
    return found


def layer_scores(scores: Mapping[str, float]) -> dict[str, float]:
    """The mean score of every layer that has enough units.

    Args:
        scores: by unit.
    """
    layers: dict[str, list[float]] = {}
    for unit, score in scores.items():
        layers.setdefault(Unit.parse(unit).layer, []).append(score)
    return {layer: float(np.mean(of)) for layer, of in layers.items() if len(of) >= MEMBERS}


def honest_of(networks: Sequence[Rows]) -> Honest:
    """What honest networks show, measured on these.

    Args:
        networks: at least two, each with the rows of its units.
    """
    units: list[float] = []
    layers: list[float] = []
    for i, network in enumerate(networks):
        others = Honest(len(networks) - 1, _shown([*networks[:i], *networks[i + 1 :]]), *[Tail(np.zeros(1))] * 2)
        scores = {unit: math.fsum(others.scores(rows).values()) for unit, rows in network.items()}
        units += scores.values()
        layers += layer_scores(scores).values()
    return Honest(len(networks), _shown(networks), Tail(np.sort(units)), Tail(np.sort(layers)))


def _shown(networks: Sequence[Rows]) -> dict[str, Shown]:
    known: dict[str, list[Mapping[str, Any]]] = {}
    for network in networks:
        for rows in network.values():
            for check, row in rows.items():
                known.setdefault(check, []).append(row)
    return {check: _of(check, rows) for check, rows in known.items()}


def _of(check: str, rows: Sequence[Mapping[str, Any]]) -> Shown:
    values = {sign.of: [v for row in rows if (v := telling(sign, row)) is not None] for sign in signs_of(check)}
    supported = sum(row["strength"] >= SUPPORTS for row in rows)
    return Shown(len(rows), supported, {of: np.sort(v) for of, v in values.items() if v})


def _short(values: Float[np.ndarray, " n"]) -> list[float]:
    return [float(f"{value:.4g}") for value in values]
