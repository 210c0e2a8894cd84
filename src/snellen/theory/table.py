"""All classes x three questions, computed: what is decided where, the worst error, and two members that disagree."""

from dataclasses import dataclass

import numpy as np
from scipy.stats import qmc

from snellen.base import UsageError, nearest
from snellen.theory.classes import FunctionClass
from snellen.theory.domain import Array, Box, Domain
from snellen.theory.entries import ENTRIES, Entry, Mark, foot
from snellen.theory.envelope import envelope
from snellen.theory.evidence import Evidence
from snellen.theory.questions import QUESTIONS, Question, judge
from snellen.theory.witness import witnesses

EPS = 0.1
"""What "within" means in the table, as a share of D."""

LEGEND = (
    "attested: the verdict of the paper (Geirhos et al., ICML 2024) on the class, derived again here; inferred: not "
    "attested, but taken to be the paper's; ours: beyond the paper. Three words are for the three questions, in order."
)
"""What the marks of a row mean."""

_POWER = 9
"""2^9 points a class and dimension."""


@dataclass(frozen=True, eq=False)
class Cell:
    """One class and one question.

    Args:
        verdict: "yes", "no" (nowhere but at the evidence) or "in part".
        shares: of the domain that is decided, one for each dimension of the row, from points spread evenly.
        why: one line.
        backing: the bound or the two members behind it, with figures.
        change: what evidence would change it.
        paper: "attested", "inferred" or "ours": whose verdict this is.
    """

    question: Question
    verdict: str
    shares: tuple[float, ...]
    why: str
    backing: str
    change: str
    paper: Mark


@dataclass(frozen=True, eq=False)
class Row:
    """One class: its cells, and the figures they rest on.

    Args:
        worst: the largest error of the best decoder over the points tried, one for each dimension, as a share of D.
        low, high: what the two witnesses answer at `probe`, where the envelope is widest (in the worse dimension), less
            the value that counts as a.
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

    @property
    def paper(self) -> str:
        """The marks of the three cells in their order; one word where they are the same."""
        marks = [cell.paper for cell in self.cells]
        return marks[0] if len(set(marks)) == 1 else " ".join(marks)


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
    probes, shares, everywhere, worst, gaps = [], [], [], [], []
    for dim in dict.fromkeys(entry.dims):
        function_class, evidence = entry.make(dim)
        spread = _spread(evidence.domain)
        x = np.concatenate([spread, _extremes(evidence)])
        bounds = envelope(function_class, evidence, x)
        probes.append(x[bounds.width.argmax()])
        worst.append(float(bounds.width.max()) / 2)
        gaps.append(float(bounds.gap.max()))
        decided = [judge(q, bounds, evidence, eps=EPS).decided for q in QUESTIONS]
        shares.append([float(d[: len(spread)].mean()) for d in decided])
        everywhere.append([bool(d.all()) for d in decided])
    widest = int(np.argmax(np.array(worst) > max(worst) - 1e-9))
    function_class, evidence = entry.make(entry.dims[widest])
    base = foot(evidence)
    low, high = (witness.value - base for witness in witnesses(function_class, evidence, probes[widest]))
    verdicts = [
        _verdict(s, all(e)) for s, e in zip(zip(*shares, strict=True), zip(*everywhere, strict=True), strict=True)
    ]
    apart = _apart(low, high, probes[widest])
    cells = tuple(
        Cell(q, v, s, w, _bound(max(worst)) if v == "yes" else apart, entry.help, entry.paper.of(v))
        for q, v, s, w in zip(QUESTIONS, verdicts, zip(*shares, strict=True), entry.why, strict=True)
    )
    three = cells[0], cells[1], cells[2]
    return Row(
        entry, function_class, evidence, three, tuple(worst), probes[widest], low, high, max(gaps)
    )  # fmt: skip


def table(name: str | None = None) -> tuple[Row, ...]:
    """The rows of all classes, or of one."""
    return tuple(compute(entry) for entry in find_entries(name))


def _spread(domain: Domain) -> Array:
    """Points that fill the domain: on a box a Sobol sequence, which estimates shares far better than chance."""
    if isinstance(domain, Box):
        return domain.lower + (domain.upper - domain.lower) * qmc.Sobol(domain.dim, seed=0).random_base2(_POWER)
    return domain.sample(2**_POWER, np.random.default_rng(0))


def _extremes(evidence: Evidence) -> Array:
    """Boundary points that are no evidence, among them one far from both pictures: often the widest envelope."""
    rng = np.random.default_rng(0)
    odd = np.where(np.arange(evidence.domain.dim) % 2, 1.0, -1.0)
    late = np.where(np.arange(evidence.domain.dim) < evidence.domain.dim // 2, -1.0, 1.0)
    slopes = [odd, -odd, late, -late, *rng.normal(size=(2, evidence.domain.dim))]
    places = [evidence.domain.farthest(s) for s in slopes]
    known = [n.place for n in evidence.nodes()]
    fresh = [p for p in places if all(np.abs(p - k).max() > 1e-9 for k in known)]
    return np.array(fresh).reshape(len(fresh), evidence.domain.dim)


def _verdict(shares: tuple[float, ...], everywhere: bool) -> str:
    if everywhere:
        return "yes"
    return "no" if max(shares) == 0.0 else "in part"


def _apart(low: float, high: float, probe: Array) -> str:
    """What the two witnesses answer where the envelope is widest."""
    place = ", ".join(f"{v:.2f}".rstrip("0").rstrip(".") for v in probe)
    return f"witnesses: two members with the same pictures answer {response(low)} and {response(high)} at x = ({place})"


def _bound(worst: float) -> str:
    """The bound behind a yes."""
    if worst < 1e-6:
        return "bound: lo = up everywhere, and two members attain it"
    return f"bound: (up - lo) / 2 is at most {worst:.2f} D everywhere, and two members attain it"


def response(value: float) -> str:
    """A value between a = 0 and b = 1 in these letters: a, b, m, or a + 0.25 D."""
    named = {0.0: "a", 0.5: "m", 1.0: "b"}
    return named.get(round(value, 2), f"a + {value:.2f} D")
