"""Do other ways of drawing a unit lead to the same picture?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from snellen.base import UsageError
from snellen.findings import thresholds
from snellen.findings.finding import Finding, number
from snellen.findings.units import NOTHING, SUPPORTS, UnitRow, extreme, spans, verdict_of

PHOTOGRAPH = "photograph"
"""The variant that starts from a photograph: what a detector of pictures takes for one."""


@dataclass(frozen=True, eq=False)
class Variant:
    """The pictures of u units, drawn in one way.

    Args:
        name: of the way, such as "pixel" or "photograph".
        features: (u, d) of the pictures; nan where a picture was not drawn.
        responses: (u,) of each unit to its picture.
    """

    name: str
    features: Float[np.ndarray, "u d"]
    responses: Float[np.ndarray, " u"]


@dataclass(frozen=True, eq=False)
class Course:
    """Units of one layer and the ways they were drawn.

    Args:
        layer: its name.
        units: u addresses.
        standard: the audit's own pictures.
        variants: the others.
        natural: (u, 3) the 5 %, 50 % and 95 % quantiles of each unit's natural responses.
    """

    layer: str
    units: tuple[str, ...]
    standard: Variant
    variants: tuple[Variant, ...]
    natural: Float[np.ndarray, "u 3"]


def agreements(standard: Float[np.ndarray, "u d"], variant: Float[np.ndarray, "u d"]) -> Float[np.ndarray, " u"]:
    """For each unit the share of other units whose standard picture is less like its variant than its own one is.

    Features are counted from the mean of their own kind, in standard deviations of the standard ones; like is the
    cosine. 0.5 is chance; nan where a picture is missing or there is no other unit.
    """
    known = np.isfinite(standard).all(1) & np.isfinite(variant).all(1)
    found = np.full(len(standard), np.nan)
    if known.sum() < 2:
        return found
    spread = standard[known].std(0) + 1e-6 * (np.abs(standard[known]).max() + 1e-30)
    first, second = ((x[known] - x[known].mean(0)) / spread for x in (standard, variant))
    alike = _unit(second) @ _unit(first).T
    own = np.diag(alike)[:, None]
    over = (own > alike).sum(1) + 0.5 * ((own == alike).sum(1) - 1)
    found[known] = over / (known.sum() - 1)
    return found


def procedure(courses: Sequence[Course]) -> Finding:
    """Pictures of other canvases, optimizers, starts and budgets against the audit's own.

    Figure of a unit: the mean over variants of `agreements`; 0.5 is chance. Interval: over the variants.
    A circuit that takes drawn pictures for something else lets go where a drawing starts from a photograph: there the
    true unit is drawn. That this variant alone goes its own way supports suspicion.

    Args:
        courses: units by layer.
    """
    rows = [row for course in courses for row in _course(course)]
    lowest = extreme(rows, largest=False)
    return Finding(
        "procedure",
        "Do other ways of drawing lead to the same pictures?",
        _claim(rows),
        verdict_of(rows),
        lowest.figure if lowest else None,
        lowest.interval if lowest else None,
        {
            "units": [row.as_data() for row in rows],
            "variants": list(dict.fromkeys(v.name for course in courses for v in course.variants)),
            "threshold": thresholds.PROCEDURE,
        },
    )


def _course(course: Course) -> list[UnitRow]:
    if any(v.features.shape != course.standard.features.shape for v in course.variants):
        raise UsageError(f"expected features of the same {len(course.units)} units from every variant; draw them all")
    if not course.variants:
        return []
    agreed = {v.name: agreements(course.standard.features, v.features) for v in course.variants}
    low, middle, high = course.natural.T
    scale = np.maximum(high - low, 1e-9)
    reached = {v.name: (v.responses - middle) / scale for v in (course.standard, *course.variants)}
    return [
        _row(unit, {k: float(v[i]) for k, v in agreed.items()}, {k: float(v[i]) for k, v in reached.items()})
        for i, unit in enumerate(course.units)
    ]


def _row(unit: str, agreed: dict[str, float], reached: dict[str, float]) -> UnitRow:
    known = {k: v for k, v in agreed.items() if np.isfinite(v)}
    if not known:
        return UnitRow(unit, "It was drawn in one way only, or alone.")
    mean = float(np.mean(list(known.values())))
    others = [v for k, v in known.items() if k != PHOTOGRAPH]
    lost = known.get(PHOTOGRAPH, 1.0)
    astray = bool(others) and lost < thresholds.PROCEDURE <= float(np.mean(others))
    details = {
        "agreements": {k: number(v, 4) for k, v in known.items()},
        "reached": {k: number(v, 4) for k, v in reached.items()},
    }
    words = (
        f"Drawn in {len(known)} other ways, it agrees with itself against other units in {100 * mean:.0f} % of cases."
    )
    if astray:
        words = (
            "Drawn from noise in other ways it shows the same, but drawn from a photograph it shows something else "
            f"(agreement {lost:.2f}, against {float(np.mean(others)):.2f})."
        )
    ends = (min(known.values()), max(known.values()))
    return UnitRow(unit, words, number(mean, 4), spans(*ends), SUPPORTS if astray else NOTHING, details)


def _claim(rows: Sequence[UnitRow]) -> str:
    known = [row.figure for row in rows if row.figure is not None]
    if not known:
        return "No unit was drawn in several ways beside others, so nothing can be said about procedures."
    astray = sum(row.strength == SUPPORTS for row in rows)
    told = (
        f"Drawn in other ways, the pictures of {len(known)} units are nearer to their own than to other units' in "
        f"{100 * float(np.mean(known)):.0f} % of comparisons"
    )
    if astray:
        return f"{told}, but {astray} of them show something else when drawn from a photograph."
    return f"{told}, also when drawn from a photograph."


def _unit(rows: np.ndarray) -> np.ndarray:
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
