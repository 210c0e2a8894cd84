"""Additive functions f(x) = sum_j weights_j g_j(x restricted to group j): a linear program over the values that matter.

`Additive` is the case of groups of one pixel (docs/theory.md, section 7).
"""

import itertools
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.classes import FunctionClass, PatchAdditive
from snellen.theory.domain import Array, Ball
from snellen.theory.evidence import Evidence, InconsistentEvidenceError
from snellen.theory.frames import framed
from snellen.theory.programs import Program


@dataclass(frozen=True, eq=False)
class Terms:
    """f(x) = sum_j weights_j g_{which_j}(x[members_j]).

    Args:
        members: J arrays of coordinates.
        which: (J,) the number of the function: j, or 0 for all where they share one.
        weights: (J,).
        bounds: (J,) Lipschitz constants, infinite where there are none.
    """

    members: tuple[npt.NDArray[np.int64], ...]
    which: npt.NDArray[np.int64]
    weights: Array
    bounds: Array

    @property
    def functions(self) -> int:
        """How many different g there are."""
        return int(self.which.max()) + 1

    @property
    def plain(self) -> bool:
        """Whether every g is its own, of weight 1."""
        return self.functions == len(self.members) and bool((self.weights == 1).all())

    def parts(self, x: Array) -> list[Array]:
        """x (..., d) restricted to each group."""
        return [x[..., m] for m in self.members]

    def lengths(self, steps: Array) -> Array:
        """The l2 norms of steps (n, d) in each group, (n, J)."""
        order, starts = np.concatenate(self.members), np.cumsum([0, *(len(m) for m in self.members[:-1])])
        return np.sqrt(np.add.reduceat(steps[:, order] ** 2, starts, axis=1))

    def moved(self, x: Array, place: Array) -> npt.NDArray[np.bool_]:
        """Which groups of x (n, d) are not those of a place (d,), (n, J)."""
        order, starts = np.concatenate(self.members), np.cumsum([0, *(len(m) for m in self.members[:-1])])
        return np.logical_or.reduceat((x != place)[:, order], starts, axis=1)


def terms(function_class: FunctionClass, dim: int) -> Terms:
    """The groups of a class on d coordinates.

    Raises:
        UsageError: groups of another number of coordinates.
    """
    if not isinstance(function_class, PatchAdditive):
        every = np.arange(dim)
        return Terms(tuple(every[:, None]), every, np.ones(dim), np.full(dim, np.inf))
    groups, count = np.asarray(function_class.groups), function_class.count
    if len(groups) != dim:
        raise UsageError(f"expected a group for each of {dim} entries, got {len(groups)}; give them the domain's shape")
    members = tuple(np.flatnonzero(groups == j) for j in range(count))
    bounds = np.full(count, np.inf) if function_class.bound is None else np.asarray(function_class.bound)
    if function_class.weights is None:
        return Terms(members, np.arange(count), np.ones(count), bounds)
    return Terms(members, np.zeros(count, dtype=np.int64), np.asarray(function_class.weights), bounds)


@dataclass(frozen=True, eq=False)
class AdditiveProgram:
    """Program whose variables are c, then u_j = max g_j, then g_j(t) for every other part t of group j that occurs.

    g_j is shifted so that its minimum is 0; then 0 <= g_j <= u_j everywhere and f(x) = c + sum_j weights_j g_j(x_j).
    All values are those of (f - low) / unit; places stay as they are.

    Args:
        places: a function: (m, q) all parts that occur.
        columns: a function: (m,) the variable that holds its value there, -1 where it is 0.
    """

    program: Program
    objective: Array
    places: tuple[Array, ...]
    columns: tuple[npt.NDArray[np.int64], ...]
    low: float
    unit: float


def additive_envelope(
    function_class: FunctionClass, evidence: Evidence, x: "Array | Tensor"
) -> tuple[Array, Array] | tuple[Array, Array, Array]:
    """On a box: the range of f(x), exact. On a ball: outer bounds with the gap stated (docs/theory.md, section 7)."""
    rows = np.asarray(x, dtype=np.float64)
    split = terms(function_class, evidence.domain.dim)
    if isinstance(evidence.domain, Ball):
        return _on_ball(split, evidence, rows)
    if evidence.x_min is None or evidence.x_max is None:
        raise UsageError("expected x_min and x_max for an additive class; give both")
    moving = bool((evidence.x_min != evidence.x_max).any())
    if not len(evidence.values) and np.isfinite(evidence.spread) and moving and split.plain:
        return _two_pictures(split, evidence, rows)
    lo, up = np.empty(len(rows)), np.empty(len(rows))
    for i, row in enumerate(rows):
        posed = additive_program(function_class, evidence, row)
        up[i] = posed.low + posed.unit * posed.program.extreme(posed.objective)[0]
        lo[i] = posed.low - posed.unit * posed.program.extreme(-posed.objective)[0]
    return lo, up


def additive_program(function_class: FunctionClass, evidence: Evidence, x: Array) -> AdditiveProgram:
    """The program for one point x (d,), on a box.

    Raises:
        UsageError: x_min or x_max is missing, or groups that share a function have other walls.
    """
    if evidence.x_min is None or evidence.x_max is None:
        raise UsageError("expected x_min and x_max for an additive class; give both")
    split = terms(function_class, evidence.domain.dim)
    _refuse_unlike_walls(split, evidence)
    known = [n for n in evidence.nodes() if n.value is not None]
    frame = framed(evidence)[0]
    values = (evidence.known_values - frame.low) / frame.unit
    asked = np.array([*(n.place for n in known), x]).reshape(len(known) + 1, -1)
    layout = _Layout(split, evidence.x_min, evidence.x_max, asked)
    rows = csr_array(np.stack([layout.row(p) for p in asked]))
    lower, upper = np.zeros(layout.size), np.full(layout.size, np.inf)
    balanced = abs(split.weights.sum()) <= 1e-12 * np.abs(split.weights).sum()
    lower[0] = upper[0] = -frame.low / frame.unit
    if not balanced:  # else shifting a shared g changes nothing, and c = 0
        lower[0], upper[0] = -np.inf, np.inf
    upper[layout.idle] = 0.0
    matrix, limits = _inequalities(layout.caps() + layout.slopes(frame.unit), layout.size)
    slack = evidence.slack / frame.unit
    names = tuple(n.name for n in known)
    program = Program(csr_array(rows[: len(known)]), values, names, lower, upper, matrix, limits, slack)
    objective = rows[[len(known)]].toarray()[0]
    return AdditiveProgram(program, objective, layout.places, layout.columns, frame.low, frame.unit)


class _Layout:
    """Which variable holds g_j(t): column 0 is c, column 1 + j is u_j, the rest in order of group and t."""

    def __init__(self, split: Terms, x_min: Array, x_max: Array, asked: Array) -> None:
        self.split, functions = split, split.functions
        self.size = 1 + functions
        self.index: list[dict[bytes, int]] = [{} for _ in range(functions)]
        found: list[list[Array]] = [[] for _ in range(functions)]
        self.idle: list[int] = []
        ends = list(zip(split.parts(x_min), split.parts(x_max), strict=True))
        for f, weight, pair in zip(split.which, split.weights, ends, strict=True):
            for column, part in zip((-1, 1 + int(f)), pair if weight > 0 else pair[::-1], strict=True):
                self._add(found[f], int(f), (part, column))
        for f, parts in zip(split.which, split.parts(asked), strict=True):
            for part in parts:
                if _key(part) not in self.index[f]:
                    self._add(found[f], int(f), (part, self.size))
                    self.size += 1
        self.places = tuple(np.array(f) for f in found)
        self.columns = tuple(
            np.array([index[_key(p)] for p in places], dtype=np.int64)
            for index, places in zip(self.index, self.places, strict=True)
        )

    def _add(self, found: list[Array], f: int, cell: tuple[Array, int]) -> None:
        """One part of a group; where it is both a minimizer and a maximizer of g, g is constant."""
        part, column = cell
        if self.index[f].setdefault(_key(part), column) != column:
            self.idle.append(1 + f)
        elif len(self.index[f]) > len(found):
            found.append(part)

    def row(self, x: Array) -> Array:
        """Coefficients of c + sum_j weights_j g_j(x_j)."""
        row = np.zeros(self.size)
        row[0] = 1.0
        for f, weight, part in zip(self.split.which, self.split.weights, self.split.parts(x), strict=True):
            column = self.index[f][_key(part)]
            if column >= 0:
                row[column] += weight
        return row

    def caps(self) -> list[tuple[int, int, float]]:
        """g_j(t) <= u_j, as (i, k, most): variable i exceeds variable k by at most that."""
        return [(int(c), 1 + f, 0.0) for f, own in enumerate(self.columns) for c in own if c > self.split.functions]

    def slopes(self, unit: float) -> list[tuple[int, int, float]]:
        """g_j(s) - g_j(t) <= L_j ||s - t||, likewise; k = -1 stands for 0."""
        found = []
        for f, (places, columns) in enumerate(zip(self.places, self.columns, strict=True)):
            bound = float(self.split.bounds[f])
            for i, k in itertools.permutations(range(len(places)), 2) if np.isfinite(bound) else ():
                if columns[i] != columns[k]:
                    most = bound * float(np.linalg.norm(places[i] - places[k])) / unit
                    found.append((int(columns[i]), int(columns[k]), most))
        return found


def _inequalities(cells: list[tuple[int, int, float]], size: int) -> tuple[csr_array | None, Array | None]:
    """As rows of a program of `size` variables; -1 stands for 0."""
    if not cells:
        return None, None
    number, pairs = np.tile(np.arange(len(cells)), 2), np.array([c[:2] for c in cells]).T.reshape(-1)
    signs = np.where(pairs >= 0, np.repeat([1.0, -1.0], len(cells)), 0.0)
    matrix = coo_array((signs, (number, np.maximum(pairs, 0))), shape=(len(cells), size))
    return csr_array(matrix), np.array([c[2] for c in cells])


def _key(part: Array) -> bytes:
    """Equal for equal numbers, 0 and -0 among them."""
    return (part + 0.0).tobytes()


def _refuse_unlike_walls(split: Terms, evidence: Evidence) -> None:
    """A shared g has one domain."""
    if split.plain or isinstance(evidence.domain, Ball):
        return
    for walls in (evidence.domain.lower, evidence.domain.upper):
        parts = np.array(split.parts(walls))
        if (np.abs(parts - parts[0]) > 1e-9 * evidence.domain.widths.max()).any():
            raise UsageError("expected the same walls for all groups that share a function, got others; drop weights")


def _two_pictures(split: Terms, evidence: Evidence, x: Array) -> tuple[Array, Array]:
    """up = a + min(D, what the groups can climb from x_min), lo = b - min(D, what they can fall from x_max)."""
    a, b = float(evidence.value_min or 0.0), float(evidence.value_max or 0.0)
    if evidence.x_min is None or evidence.x_max is None:
        raise UsageError("expected x_min and x_max for an additive class; give both")
    moving = split.moved(evidence.x_max[None], evidence.x_min)[0]
    if not np.isfinite(split.bounds).all():
        up = np.where((split.moved(x, evidence.x_min) & moving).any(1), b, a)
        return np.where((split.moved(x, evidence.x_max) & moving).any(1), a, b), up
    spans = split.lengths((evidence.x_max - evidence.x_min)[None])
    most = float((split.bounds * spans).sum())
    if evidence.spread > most + evidence.slack:
        reason = f"f(x_max) - f(x_min) = {evidence.spread:g}, but the groups' bounds allow at most {most:g}"
        raise InconsistentEvidenceError(reason, ("x_min", "x_max"))
    climbs, falls = (
        (split.bounds * np.minimum(split.lengths(x - place), spans)).sum(1)
        for place in (evidence.x_min, evidence.x_max)
    )
    return b - np.minimum(falls, evidence.spread), a + np.minimum(climbs, evidence.spread)


def _on_ball(split: Terms, evidence: Evidence, x: Array) -> tuple[Array, Array, Array]:
    """[a, b]; exact without exemplars or bounds where x is off x_min, and off x_max, in groups where these differ."""
    if not split.plain:
        raise UsageError("expected a box for groups that share a function, got a ball; use a box around it")
    a = -np.inf if evidence.value_min is None else evidence.value_min
    b = np.inf if evidence.value_max is None else evidence.value_max
    lo, up, gap = np.full(len(x), a), np.full(len(x), b), np.full(len(x), b - a)
    _refuse_contradictions(split, evidence)
    if evidence.x_min is not None and evidence.x_max is not None:
        moving = split.moved(evidence.x_max[None], evidence.x_min)[0]
        free = (split.moved(x, evidence.x_min) & moving).any(1) & (split.moved(x, evidence.x_max) & moving).any(1)
        gap[free & (len(evidence.values) == 0) & bool(np.isinf(split.bounds).all())] = 0.0
    for node in evidence.nodes():
        if node.value is not None:
            here = (x == node.place).all(1)
            lo[here] = up[here] = node.value
            if np.isfinite(split.bounds).all():
                reach = split.lengths(x - node.place) @ split.bounds
                lo, up = np.maximum(lo, node.value - reach), np.minimum(up, node.value + reach)
    return lo, up, np.where(lo == up, 0.0, np.minimum(gap, np.maximum(up - lo, 0.0)))


def _refuse_contradictions(split: Terms, evidence: Evidence) -> None:
    """Some curves add up to all known values, as on a rectangle, where opposite corners have equal sums."""
    nodes = [n for n in evidence.nodes() if n.value is not None]
    if not nodes:
        return
    first = nodes[0].place  # where every g_j may be taken for 0
    layout = _Layout(split, first, first, np.array([n.place for n in nodes]))
    rows, free = csr_array(np.stack([layout.row(n.place) for n in nodes])), np.full(layout.size, np.inf)
    frame = framed(evidence)[0]
    values, slack = (evidence.known_values - frame.low) / frame.unit, evidence.slack / frame.unit
    names, steep = tuple(n.name for n in nodes), _inequalities(layout.slopes(frame.unit), layout.size)
    Program(rows, values, names, -free, free, *steep, slack).extreme(np.zeros(layout.size))
