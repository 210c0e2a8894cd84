"""All classes x three questions, computed: what is decided where, the worst error, and two members that disagree."""

from dataclasses import dataclass

import numpy as np

from snellen.base import UsageError, nearest
from snellen.theory.classes import FunctionClass
from snellen.theory.domain import Array
from snellen.theory.entries import ENTRIES, Entry
from snellen.theory.envelope import envelope
from snellen.theory.evidence import Evidence
from snellen.theory.questions import QUESTIONS, Question, judge
from snellen.theory.witness import witnesses

EPS = 0.1
"""What "within" means in the table, as a share of D."""

_POINTS = 256


@dataclass(frozen=True, eq=False)
class Cell:
    """One class and one question.

    Args:
        verdict: "yes", "no" (nowhere but at the evidence) or "in part".
        shares: of the domain that is decided, one for each dimension of the row.
        why: one line.
        backing: the bound or the two members behind it, with figures.
        change: what evidence would change it.
    """

    question: Question
    verdict: str
    shares: tuple[float, ...]
    why: str
    backing: str
    change: str


@dataclass(frozen=True, eq=False)
class Row:
    """One class: its cells, and the figures they rest on.

    Args:
        worst: the largest error of the best decoder over the points tried, one for each dimension, as a share of D.
        low, high: what the two witnesses answer at `probe`, the point where the envelope is widest.
        gap: the largest stated gap at the points tried.
    """

    entry: Entry
    function_class: FunctionClass
    evidence: Evidence
    cells: tuple[Cell, Cell, Cell]
    worst: tuple[float, ...]
    probe: Array
    low: float
    high: float
    gap: float


def find_entries(name: str | None = None) -> tuple[Entry, ...]:
    """All rows, or the one of that name.

    Raises:
        UsageError: no such row; the nearest names are offered.
    """
    if name is None:
        return ENTRIES
    found = tuple(e for e in ENTRIES if e.name == name)
    if not found:
        hint = nearest(name, [e.name for e in ENTRIES]) or "see `snellen theory`"
        raise UsageError(f'expected a class of the table, got "{name}"; {hint}')
    return found


def compute(entry: Entry) -> Row:
    """The row of the table for one class."""
    probes, shares, worst, gaps = [], [], [], []
    for dim in dict.fromkeys(entry.dims):
        function_class, evidence = entry.make(dim)
        x = _points(evidence)
        bounds = envelope(function_class, evidence, x)
        widest = int(bounds.width.argmax())
        probes.append(x[widest])
        worst.append(float(bounds.width[widest]) / 2)
        gaps.append(float(bounds.gap.max()))
        shares.append([judge(q, bounds, evidence, eps=EPS).share for q in QUESTIONS])
    function_class, evidence = entry.make(entry.dims[0])
    low, high = witnesses(function_class, evidence, probes[0])
    per_question = tuple(zip(*shares, strict=True))
    backing = _backing(low.value, high.value, probes[0])
    cells = tuple(
        Cell(q, _verdict(s), s, w, backing, entry.help)
        for q, s, w in zip(QUESTIONS, per_question, entry.why, strict=True)
    )
    return Row(
        entry, function_class, evidence, (cells[0], cells[1], cells[2]), tuple(worst), probes[0], low.value, high.value,
        max(gaps),
    )  # fmt: skip


def table(name: str | None = None) -> tuple[Row, ...]:
    """The rows of all classes, or of one."""
    return tuple(compute(entry) for entry in find_entries(name))


def _points(evidence: Evidence) -> Array:
    """Uniform points of the domain, and its far places: where an envelope is widest is often a corner."""
    rng = np.random.default_rng(0)
    domain = evidence.domain
    return np.concatenate([domain.sample(_POINTS, rng), _extremes(evidence, rng)])


def _extremes(evidence: Evidence, rng: np.random.Generator) -> Array:
    """Boundary points that are no evidence, among them one far from both pictures; few against the uniform ones."""
    half = np.where(np.arange(evidence.domain.dim) % 2, 1.0, -1.0)
    slopes = [half, -half, *rng.normal(size=(2, evidence.domain.dim))]
    places = [evidence.domain.farthest(s) for s in slopes]
    known = [n.place for n in evidence.nodes()]
    fresh = [p for p in places if all(np.abs(p - k).max() > 1e-9 for k in known)]
    return np.array(fresh).reshape(len(fresh), evidence.domain.dim)


def _verdict(shares: tuple[float, ...]) -> str:
    if min(shares) == 1.0:
        return "yes"
    return "no" if max(shares) == 0.0 else "in part"


def _backing(low: float, high: float, probe: Array) -> str:
    place = ", ".join(f"{v:.2f}" for v in probe)
    if high - low < 1e-6:
        return f"bound: lo = up; two members both answer {low:.3f} at ({place})"
    return f"witnesses: two members with the same pictures answer {low:.3f} and {high:.3f} at ({place})"
