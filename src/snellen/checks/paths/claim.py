"""What a curve of path similarities says, in one sentence and a verdict."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from snellen.checks.finding import Verdict, number
from snellen.checks.paths.groups import Grouping
from snellen.measures import interval


@dataclass(frozen=True, eq=False)
class Curve:
    """One measure over the layers; nan where undefined.

    Args:
        s, low, high: (l,) the position between the baselines and its interval.
        samples: (r, l) bootstrap values of s.
        raw: by name (l,) similarities before normalization.
        ceiling: (l,) mean, lower and upper end for a natural image in the picture's place.
    """

    s: Float[np.ndarray, " l"]
    low: Float[np.ndarray, " l"]
    high: Float[np.ndarray, " l"]
    samples: Float[np.ndarray, "r l"]
    raw: Mapping[str, Float[np.ndarray, " l"]]
    ceiling: Sequence[Float[np.ndarray, " l"]]


@dataclass(frozen=True)
class Reading:
    """What is told about a curve."""

    claim: str
    verdict: Verdict
    trusted_from: str | None = None
    figure: float | None = None
    interval: tuple[float, float] | None = None


def read(curve: Curve, layers: Sequence[str], grouping: Grouping, threshold: float) -> Reading:
    """The first layer from which on s stays at the threshold or above, and what follows.

    Verdict: "unreliable here" where that layer lies behind the first third of the layers or does not exist;
    "consistent" where even the lower ends of the intervals stay above from within the first third on; else "unknown".
    """
    missing = _missing(curve, grouping)
    if missing:
        return Reading(f"Nothing can be said about the pictures of the {grouping.name}: {missing}.", "unknown")
    first, early = _stays(curve.s, threshold), len(layers) / 3
    found = first < len(layers)
    verdict: Verdict = "unreliable here"
    if first <= early:
        verdict = "consistent" if _stays(curve.low, threshold) <= early else "unknown"
    figure, ends = _mean(curve, slice(first if found else 0, None))
    told = _told(figure, ends)
    if found:
        before = _before(curve.s[:first], _mean(curve, slice(first))[0], threshold)
        claim = _trusted(layers, grouping, first, there=told, before=before)
    else:
        claim = _never(curve.s, layers, grouping, mean=told, threshold=threshold)
    if verdict == "unknown":
        claim = f"{claim.removesuffix('.')}, but with so few images the interval reaches below {threshold:g}."
    return Reading(claim, verdict, layers[first] if found else None, figure, ends)


def _missing(curve: Curve, grouping: Grouping) -> str:
    """Why there is no curve; "" where there is one."""
    if not grouping.targets:
        return "none of them has both a picture and two natural images"
    if len(grouping.targets) + len(grouping.others) < 2:
        return "natural images of at least two of them are needed to compare"
    if np.isnan(curve.s).all():
        return "at no layer are natural images of one of them more alike than those of two"
    return ""


def _stays(values: np.ndarray, threshold: float) -> int:
    """Index from which on all values reach the threshold; nan does not."""
    below = np.flatnonzero(~(values >= threshold))
    return int(below[-1]) + 1 if below.size else 0


def _before(values: np.ndarray, mean: float | None, threshold: float) -> str:
    """What holds before the trusted layers."""
    if mean is None:
        return "nothing can be said"
    throughout = bool((values[~np.isnan(values)] < threshold).all())
    return f"they are not ({mean:.2f} on average)" if throughout else f"not at every layer ({mean:.2f} on average)"


def _trusted(layers: Sequence[str], grouping: Grouping, first: int, *, there: str, before: str) -> str:
    pictures, natural = _nouns(grouping)
    count, total = len(layers) - first, len(layers)
    if first == 0:
        where = f"At all {total} layers" if total > 1 else f"At {layers[0]}"
        return f"{where} {pictures} are processed like {natural}: similarity {there}."
    like = f"processed like {natural}: similarity there {there}; before that {before}."
    if count == 1:
        return f"Only at {layers[first]}, the last of {total} layers, are {pictures} {like}"
    return f"From {layers[first]} on (the last {count} of {total} layers) {pictures} are {like}"


def _never(s: np.ndarray, layers: Sequence[str], grouping: Grouping, *, mean: str, threshold: float) -> str:
    pictures, natural = _nouns(grouping)
    subject = pictures[0].upper() + pictures[1:]
    total, last = len(layers), layers[-1]
    where = f"on average over {total} layers " if total > 1 else ""
    if np.isnan(s[-1]):
        why = f"cannot be judged at {last}, which does not tell the natural images apart"
    elif reached := int((s >= threshold).sum()):
        some = f"{reached} of {total} layers"
        why = f"are processed like {natural} at {some}, but no longer at the last one, {last} ({s[-1]:.2f})"
    else:
        why = f"are not processed like {natural} at {f'any of {total} layers' if total > 1 else last}"
    return f"{subject} {why}: {where}similarity is {mean}."


def _nouns(grouping: Grouping) -> tuple[str, str]:
    if grouping.name == "classes":
        return "the class pictures", "natural images of their class"
    return f"the pictures of the {grouping.name}", "the natural images that excite them most"


def _mean(curve: Curve, part: slice) -> tuple[float | None, tuple[float, float] | None]:
    """Mean of s over layers and its interval, from the same resamples at all of them.

    Layers without an interval are left out, unless no layer has one.
    """
    chosen = ~np.isnan(curve.low[part])
    if not chosen.any():
        defined = curve.s[part][~np.isnan(curve.s[part])]
        return (number(float(defined.mean())) if defined.size else None), None
    low, high = interval(curve.samples[:, part][:, chosen].mean(1))
    return number(float(curve.s[part][chosen].mean())), (float(f"{low:.6g}"), float(f"{high:.6g}"))


def _told(figure: float | None, ends: tuple[float, float] | None) -> str:
    return f"{figure:.2f}" if ends is None else f"{figure:.2f} (95 % interval {ends[0]:.2f} to {ends[1]:.2f})"
