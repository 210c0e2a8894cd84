"""Additive functions f(x) = sum_i f_i(x_i): a linear program over the values that matter (docs, section 7)."""

from dataclasses import dataclass

import numpy as np
from scipy.sparse import coo_array, csr_array
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.classes import FunctionClass
from snellen.theory.domain import Array, Ball
from snellen.theory.evidence import Evidence
from snellen.theory.frames import framed
from snellen.theory.programs import Program


@dataclass(frozen=True, eq=False)
class AdditiveProgram:
    """Program whose variables are a, then u_i = f_i(x_max_i), then f_i(t) for every other t that occurs.

    f_i is shifted so that f_i(x_min_i) = 0; then 0 <= f_i <= u_i everywhere and f(x) = a + sum_i f_i(x_i). All values
    are those of (f - low) / unit; places stay as they are: all that counts of them is which entries are equal.
    """

    program: Program
    grids: tuple[Array, ...]
    columns: tuple["np.ndarray[tuple[int], np.dtype[np.int64]]", ...]
    objective: Array
    low: float
    unit: float


def additive_envelope(
    function_class: FunctionClass, evidence: Evidence, x: "Array | Tensor"
) -> tuple[Array, Array] | tuple[Array, Array, Array]:
    """On a box: the range of f(x), exact. On a ball: [a, b] with the gap stated, see docs/theory.md, section 7."""
    rows = np.asarray(x, dtype=np.float64)
    if isinstance(evidence.domain, Ball):
        return _on_ball(evidence, rows)
    if evidence.x_min is None or evidence.x_max is None:
        raise UsageError("expected x_min and x_max for an additive class; give both")
    if not len(evidence.values) and np.isfinite(evidence.spread) and (evidence.x_min != evidence.x_max).any():
        return _two_pictures(evidence, rows)
    lo, up = np.empty(len(rows)), np.empty(len(rows))
    for i, row in enumerate(rows):
        posed = additive_program(evidence, row)
        up[i] = posed.low + posed.unit * posed.program.extreme(posed.objective)[0]
        lo[i] = posed.low - posed.unit * posed.program.extreme(-posed.objective)[0]
    return lo, up


def additive_program(evidence: Evidence, x: Array) -> AdditiveProgram:
    """The program for one point x (d,)."""
    if evidence.x_min is None or evidence.x_max is None:
        raise UsageError("expected x_min and x_max for an additive class; give both")
    places = [n.place for n in evidence.nodes() if n.value is not None]
    names = [n.name for n in evidence.nodes() if n.value is not None]
    frame = framed(evidence)[0]
    values = (evidence.known_values - frame.low) / frame.unit
    asked = np.array([*places, x]).reshape(len(places) + 1, -1)
    layout = _Layout(evidence.x_min, evidence.x_max, asked)
    rows = csr_array(np.stack([layout.row(p) for p in asked]))
    lower = np.zeros(layout.size)
    lower[0] = -np.inf
    matrix, limits = layout.caps()
    upper = np.full(layout.size, np.inf)
    upper[layout.idle] = 0.0
    slack = evidence.slack / frame.unit
    program = Program(csr_array(rows[: len(places)]), values, tuple(names), lower, upper, matrix, limits, slack)
    objective = rows[[len(places)]].toarray()[0]
    return AdditiveProgram(program, layout.grids, layout.columns, objective, frame.low, frame.unit)


class _Layout:
    """Which variable holds f_i(t): column 0 is a, column 1 + i is u_i, the rest in order of coordinate and t."""

    def __init__(self, x_min: Array, x_max: Array, asked: Array) -> None:
        self.x_min, self.x_max, dim = x_min, x_max, len(x_min)
        self.size = 1 + dim
        self.idle = [1 + i for i in range(dim) if x_min[i] == x_max[i]]
        self.index: list[dict[float, int]] = []
        for i in range(dim):
            place: dict[float, int] = {float(x_min[i]): -1}
            place.setdefault(float(x_max[i]), 1 + i)
            for t in np.unique(asked[:, i]).tolist():
                if t not in place:
                    place[t] = self.size
                    self.size += 1
            self.index.append(place)
        self.grids = tuple(np.array(sorted(p)) for p in self.index)
        self.columns = tuple(np.array([p[t] for t in sorted(p)]) for p in self.index)

    def row(self, x: Array) -> Array:
        """Coefficients of a + sum_i f_i(x_i)."""
        row = np.zeros(self.size)
        row[0] = 1.0
        for i, t in enumerate(x.tolist()):
            if self.index[i][t] >= 0:
                row[self.index[i][t]] += 1.0
        return row

    def caps(self) -> tuple[csr_array | None, Array | None]:
        """f_i(t) <= u_i."""
        pairs = [(c, 1 + i) for i, p in enumerate(self.index) for c in p.values() if c > len(self.x_min)]
        if not pairs:
            return None, None
        number = np.arange(len(pairs))
        cells = np.array(pairs)
        data = np.concatenate([np.ones(len(pairs)), -np.ones(len(pairs))])
        where = (np.concatenate([number, number]), np.concatenate([cells[:, 0], cells[:, 1]]))
        return csr_array(coo_array((data, where), shape=(len(pairs), self.size))), np.zeros(len(pairs))


def _two_pictures(evidence: Evidence, x: Array) -> tuple[Array, Array]:
    """up = b where a coordinate that differs between the pictures is not x_min's, else a; likewise lo."""
    moving = evidence.x_min != evidence.x_max
    a, b = float(evidence.value_min or 0.0), float(evidence.value_max or 0.0)
    up = np.where(((x != evidence.x_min) & moving).any(1), b, a)
    return np.where(((x != evidence.x_max) & moving).any(1), a, b), up


def _on_ball(evidence: Evidence, x: Array) -> tuple[Array, Array, Array]:
    """[a, b]; exact without exemplars where x is off x_min, and off x_max, in coordinates in which these two differ."""
    a = -np.inf if evidence.value_min is None else evidence.value_min
    b = np.inf if evidence.value_max is None else evidence.value_max
    lo, up, gap = np.full(len(x), a), np.full(len(x), b), np.full(len(x), b - a)
    if evidence.x_min is not None and evidence.x_max is not None:
        _refuse_contradictions(evidence, evidence.x_min, evidence.x_max)
        moving = evidence.x_min != evidence.x_max
        free = ((x != evidence.x_min) & moving).any(1) & ((x != evidence.x_max) & moving).any(1)
        gap[free & (len(evidence.values) == 0)] = 0.0
    for node in evidence.nodes():
        if node.value is not None:
            here = (x == node.place).all(1)
            lo[here] = up[here] = node.value
    return lo, up, np.where(lo == up, 0.0, gap)


def _refuse_contradictions(evidence: Evidence, x_min: Array, x_max: Array) -> None:
    """Some curves add up to all known values, as on a rectangle, where opposite corners have equal sums."""
    nodes = [n for n in evidence.nodes() if n.value is not None]
    if not nodes:
        return
    layout = _Layout(x_min, x_max, np.array([n.place for n in nodes]))
    rows, free = csr_array(np.stack([layout.row(n.place) for n in nodes])), np.full(layout.size, np.inf)
    frame = framed(evidence)[0]
    values, slack = (evidence.known_values - frame.low) / frame.unit, evidence.slack / frame.unit
    Program(rows, values, tuple(n.name for n in nodes), -free, free, slack=slack).extreme(np.zeros(layout.size))
