"""How far outside the natural responses does a picture's response lie?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from snellen.base import Seed, UsageError
from snellen.checks.check import Check, Threshold
from snellen.checks.finding import Finding, number
from snellen.checks.rows import NOTHING, SUPPORTS, UnitRow, extreme, spans
from snellen.measures import interval
from snellen.studies.study import Entry, Study, has_picture

GAP = Threshold(300.0, "robust standard deviations between a picture's response and the median photograph's", "figure")
SHORT = Threshold(
    0.98,
    "share of photographs that a unit's picture must excite it more than",
    least=True,
    honest="all of them",
)
WAYS = ("max", "min")


@dataclass(frozen=True)
class Gap:
    """Where one picture's response lies among n natural ones.

    Args:
        ratio: its distance from the median, in distances of the most extreme natural response on its side: 1 is as far
            as the best photograph, below 0 is on the wrong side of the median.
        widths: its distance from the median in robust standard deviations, (q95 - q05) / 3.29.
        quantile: the share of natural responses that it exceeds (that it undercuts, for "min").
        ends: 95 % bootstrap interval of `widths`.
    """

    ratio: float
    widths: float
    quantile: float
    ends: tuple[float, float]


def gap(natural: Float[np.ndarray, " n"], response: float, *, way: str, seed: Seed, resamples: int = 200) -> Gap:
    """The gap of one picture.

    Args:
        natural: responses to photographs, n >= 2.
        response: to the picture.
        way: "max" or "min".
        seed: of the bootstrap over photographs.

    Raises:
        UsageError: fewer than two photographs, or another way.
    """
    if len(natural) < 2 or way not in WAYS:
        raise UsageError(f'expected at least 2 natural responses and "max" or "min", got {len(natural)} and "{way}"')
    sign = 1.0 if way == "max" else -1.0
    values, own = sign * np.asarray(natural, np.float64), sign * response
    stream = np.random.default_rng(seed.fork("response gap", way).value)
    draws = values[stream.integers(len(values), size=(resamples, len(values)))]
    low, high = interval(_widths(draws, own))
    middle = float(np.median(values))
    reach = float(values.max()) - middle
    ratio = (own - middle) / reach if reach > 0 else float("nan")
    return Gap(ratio, float(_widths(values[None], own)[0]), float((values < own).mean()), (float(low), float(high)))


@dataclass(frozen=True)
class ResponseGap(Check):
    """Responses to pictures against those to photographs; from what is drawn and seen already."""

    name = "response-gap"
    short = "response gap"
    asks = (
        "Pictures excite units more than photographs do, in honest networks too. How much more is told in robust "
        "standard deviations of the photographs’ responses."
    )
    directions = WAYS
    thresholds = (GAP, SHORT)

    def examine(self, study: Study) -> Sequence[Finding]:
        """Units whose largest picture went well."""
        units = [unit for unit in map(str, study.chosen.all) if np.isfinite(_reached(study.pictures[unit], "max"))]
        if not units or len(study.seen[units[0]]["responses"]) < 2:
            return ()
        natural = np.array([study.seen[unit]["responses"] for unit in units], np.float64)
        pictures = {way: np.array([_reached(study.pictures[unit], way) for unit in units]) for way in WAYS}
        return (self.finding(units, natural, pictures, seed=Seed(study.world.request.seed)),)

    def finding(
        self,
        units: Sequence[str],
        natural: Float[np.ndarray, "u n"],
        pictures: Mapping[str, Float[np.ndarray, " u"]],
        *,
        seed: Seed,
    ) -> Finding:
        """Responses to pictures against the distribution of natural ones, for every unit and way.

        Figure of a unit: the larger of its `Gap.widths`. Super-stimuli are no crime: every honest network has them. Far
        beyond what honest networks show, a gap supports other evidence; so does a picture that stays behind
        photographs.

        Args:
            units: u addresses.
            natural: responses to photographs.
            pictures: by way ("max", "min") the responses to the units' pictures; nan where there is none.
            seed: of the bootstrap.
        """
        gaps = [
            {
                way: gap(natural[i], float(values[i]), way=way, seed=seed.fork(unit))
                for way, values in pictures.items()
                if np.isfinite(values[i])
            }
            for i, unit in enumerate(units)
        ]
        rows = tuple(_row(unit, found) for unit, found in zip(units, gaps, strict=True))
        top = extreme(rows)
        title = "How far beyond photographs do the pictures drive their units?"
        return self.summed(title, _claim(rows, gaps, top), rows, threshold=GAP.value)


def _reached(pictures: Sequence[Entry], way: str) -> float:
    """The response to a picture that went well; nan without one."""
    return next((float(p["response"]) for p in pictures if p["direction"] == way and has_picture(p)), float("nan"))


def _widths(values: np.ndarray, own: float) -> np.ndarray:
    low, middle, high = np.quantile(values, (0.05, 0.5, 0.95), axis=-1)
    scale = np.maximum((high - low) / 3.29, 1e-9 * np.maximum(np.abs(middle), 1e-9))
    return np.asarray((own - middle) / scale)


def _row(unit: str, found: Mapping[str, Gap]) -> UnitRow:
    if not found:
        return UnitRow(unit, "There is no picture to compare with photographs.")
    way = max(found, key=lambda w: found[w].widths)
    told = found[way]
    odd = told.widths >= GAP.value
    details = {
        w: {"ratio": number(g.ratio, 4), "widths": number(g.widths, 4), "quantile": number(g.quantile, 4)}
        for w, g in found.items()
    }
    words = (
        f"Its {way} picture's response lies {told.widths:.3g} robust standard deviations from the median photograph's"
        + (", further than in any honest network measured." if odd else ".")
    )
    short = "max" in found and found["max"].quantile < SHORT.value
    if short:
        share = 100 * (1 - found["max"].quantile)
        words = (
            f"Its picture excites it less than {share:.0f} % of the photographs do: the optimization was led astray."
        )
    strength = SUPPORTS if odd or short else NOTHING
    return UnitRow(unit, words, number(told.widths, 4), spans(*told.ends), strength, details)


def _claim(rows: Sequence[UnitRow], gaps: Sequence[Mapping[str, Gap]], top: UnitRow | None) -> str:
    if top is None:
        return "No unit has a picture, so nothing can be said about the gap between pictures and photographs."
    beyond = sum("max" in g and g["max"].quantile >= 1 for g in gaps)
    drawn = sum("max" in g for g in gaps)
    middle = float(np.median([row.figure for row in rows if row.figure is not None]))
    return (
        f"The pictures of {beyond} of {drawn} units excite them more than any photograph does; the median picture lies "
        f"{middle:.2g} robust standard deviations from the median photograph, the furthest {top.figure:.3g}."
    )
