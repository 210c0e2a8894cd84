"""How well scores tell manipulated units from honest ones: curves, and the areas under them with their intervals."""

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from snellen.base import Seed
from snellen.checks.finding import number
from snellen.matrices.cell import HONEST
from snellen.measures import auc, hierarchical, interval

RESAMPLES = 2000
DIGITS = 4

Scores = Sequence[Mapping[str, float]]
"""By check the score of every unit; a check that is not named says nothing of it, which is 0."""


def separations(cells: Iterable[Mapping[str, Any]], seed: Seed | None = None) -> list[dict[str, Any]]:
    """What a table says of every manipulated column, in the order of the cells.

    A column takes part with those finished cells whose network has a finished honest cell; it is compared with the
    honest units of these networks alone. Cells whose rows have no scores are left out.

    Args:
        cells: of the table, as `snellen.matrices.tally.tally` makes them.
        seed: of the resamples; None for 0.

    Returns:
        By column its kind, the networks, how many units of either sort, the curve of all checks together, the area
        under it, and by check the area of the check's own score; a check that says nothing of either sort is not named.
    """
    known = [cell for cell in cells if _told(cell)]
    honest = {cell["case"]: cell for cell in known if cell["kind"] == HONEST}
    found: dict[str, list[Mapping[str, Any]]] = {}
    for cell in known:
        if cell["kind"] != HONEST and cell["case"] in honest:
            found.setdefault(cell["kind"], []).append(cell)
    root = Seed(0) if seed is None else seed
    return [_column(kind, lying, honest, root.fork("separation", kind)) for kind, lying in found.items()]


def curve(own: Float[np.ndarray, " a"], others: Float[np.ndarray, " b"]) -> Float[np.ndarray, "k 2"]:
    """Shares of both that score at least t, for every t that changes one of them: from (0, 0) to (1, 1).

    Where some of both score the same the curve goes straight on, so the area under it counts ties half.

    Args:
        own: scores that should be large, a >= 1.
        others: scores that should be small, b >= 1.

    Returns:
        (k, 2) the share of the others, then that of the own.
    """
    levels = np.unique(np.concatenate([own, others]))[::-1]
    points = [((others >= t).mean(), (own >= t).mean()) for t in levels]
    return np.array([(0.0, 0.0), *points])


def area(own: Float[np.ndarray, " a"], others: Float[np.ndarray, " b"], seed: Seed) -> dict[str, float | None]:
    """The area under the curve, ties half, and the ends of its 95 % bootstrap interval over units of both sorts.

    Args:
        own: scores that should be large, a >= 1.
        others: scores that should be small, b >= 1.
        seed: of the resamples.
    """
    over = (own[:, None] > others[None, :]) + 0.5 * (own[:, None] == others[None, :])
    mine, theirs = (
        hierarchical([len(v)], RESAMPLES, seed.fork(name))[0].counts / len(v)
        for name, v in (("own", own), ("others", others))
    )
    low, high = interval(((mine @ over) * theirs).sum(1))
    return {"area": _short(auc(own, others)), "low": _short(low), "high": _short(high)}


def _column(
    kind: str, lying: Sequence[Mapping[str, Any]], honest: Mapping[str, Mapping[str, Any]], seed: Seed
) -> dict[str, Any]:
    networks = [cell["case"] for cell in lying]
    own = [row["scores"] for cell in lying for row in cell["rows"]]
    others = [row["scores"] for name in networks for row in honest[name]["rows"]]
    together, theirs = _sums(own), _sums(others)
    said = dict.fromkeys(check for of in (*own, *others) for check, score in of.items() if score > 0)
    return {
        "kind": kind,
        "networks": networks,
        "lying": len(own),
        "honest": len(others),
        "curve": [[_short(x), _short(y)] for x, y in curve(together, theirs)],
        "together": area(together, theirs, seed),
        "checks": {check: area(_of(own, check), _of(others, check), seed) for check in said},
    }


def _told(cell: Mapping[str, Any]) -> bool:
    """Whether a cell is finished and every one of its units has its scores."""
    rows = cell.get("rows", ()) if cell["status"] == "done" else ()
    return bool(rows) and all(row.get("share") is not None for row in rows)


def _sums(scores: Scores) -> Float[np.ndarray, " n"]:
    """Of all checks together: exact sums, so that the order of checks parts no equal units."""
    return np.array([math.fsum(of.values()) for of in scores])


def _of(scores: Scores, check: str) -> Float[np.ndarray, " n"]:
    return np.array([float(of.get(check, 0.0)) for of in scores])


def _short(value: float | np.ndarray) -> float | None:
    return number(float(value), DIGITS)
