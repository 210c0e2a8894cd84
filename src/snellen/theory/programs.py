"""Linear programs: one feasible set, many objectives, and who is to blame where the set is empty."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import LinearConstraint, linprog, milp
from scipy.sparse import csr_array, vstack

from snellen.base import SnellenError
from snellen.theory.domain import Array
from snellen.theory.evidence import InconsistentEvidenceError

_OPTIONS = {"primal_feasibility_tolerance": 1e-9, "dual_feasibility_tolerance": 1e-9}


def cheapest(columns: Array, target: Array, costs: Array) -> tuple[Array, Array] | None:
    """Weights w >= 0 with columns w = target and the least costs . w, and the rows' prices; None if there are none.

    Args:
        columns: (m, p); target: (m,); costs: (p,), all of the size of 1 or less.
    """
    if not len(costs):
        return None
    for presolve in (True, False):
        found = linprog(costs, A_eq=columns, b_eq=target, method="highs", options=_OPTIONS | {"presolve": presolve})
        if found.status == 0:
            return np.maximum(found.x, 0.0), np.asarray(found.eqlin.marginals)
        if found.status == 2:
            return None
    return None


@dataclass(frozen=True, eq=False)
class Program:
    """{z : lower <= z <= upper, rows[i] . z = values[i], matrix z <= limits}, row i known as names[i].

    Args:
        rows: (m, p), dense or sparse; values: (m,); names: m names of pieces of evidence.
        lower, upper: (p,).
        matrix, limits: further inequalities, (q, p) and (q,), or None.
        slack: (m,) how far from its value a row may be where exact equality is infeasible (rounding of evidence).
        binary: the last `binary` variables are 0 or 1.
    """

    rows: "Array | csr_array"
    values: Array
    names: tuple[str, ...]
    lower: Array
    upper: Array
    matrix: "Array | csr_array | None" = None
    limits: Array | None = None
    slack: float = 0.0
    binary: int = 0

    def extreme(self, objective: Array) -> tuple[float, Array | None]:
        """(max objective . z, a maximizer); (inf, None) where unbounded.

        Raises:
            InconsistentEvidenceError: the set is empty; names a smallest set of rows that exclude each other.
        """
        return Programs((self,)).extreme(objective)

    @property
    def size(self) -> int:
        """The number of variables."""
        return len(self.lower)

    def find(self, objective: Array) -> tuple[float, Array | None] | None:
        """As `extreme`; None where the set is empty. Rows hold exactly if they can, else within the slack."""
        exact = self._solve(objective, False)
        return self._solve(objective, True) if exact is None else exact

    def restricted(self, kept: Sequence[int]) -> "Program":
        """With some of the rows only."""
        index = np.array(kept, dtype=int)
        names = tuple(self.names[k] for k in kept)
        return Program(
            self.rows[index], self.values[index], names, self.lower, self.upper, self.matrix, self.limits,
            self.slack, self.binary,
        )  # fmt: skip

    def _solve(self, objective: Array, loose: bool) -> tuple[float, Array | None] | None:
        """None where infeasible; rows hold exactly, or within the slack if `loose`."""
        if self.binary:
            return self._solve_mixed(objective, loose)
        matrix, limits = self.matrix, self.limits
        if loose and len(self.values):
            both = [csr_array(self.rows), csr_array(-self.rows)]
            sides = [self.values + self.slack, self.slack - self.values]
            matrix = vstack([*both, csr_array(matrix)] if matrix is not None else both)
            limits = np.concatenate([*sides, limits] if limits is not None else sides)
        equal = {} if loose or not len(self.values) else {"A_eq": self.rows, "b_eq": self.values}
        result = linprog(
            -objective, A_ub=matrix, b_ub=limits, **equal,
            bounds=np.stack([self.lower, self.upper], 1), method="highs", options=_OPTIONS,
        )  # fmt: skip
        return _read(result.status, result.x, objective, self)

    def _solve_mixed(self, objective: Array, loose: bool) -> tuple[float, Array | None] | None:
        give = self.slack if loose else 0.0
        constraints = [LinearConstraint(self.rows, self.values - give, self.values + give)]
        if self.matrix is not None:
            constraints.append(LinearConstraint(self.matrix, -np.inf, self.limits))
        kinds = np.zeros(len(objective))
        kinds[len(kinds) - self.binary :] = 1
        result = milp(
            -objective, constraints=constraints, bounds=(self.lower, self.upper), integrality=kinds,
            options={"mip_rel_gap": 0.0},
        )  # fmt: skip
        return _read(result.status, result.x, objective, self)


@dataclass(frozen=True, eq=False)
class Programs:
    """The union of sets that share their rows."""

    each: tuple[Program, ...]

    @property
    def size(self) -> int:
        """The number of variables."""
        return self.each[0].size

    def extreme(self, objective: Array) -> tuple[float, Array | None]:
        """(max objective . z over all sets, a maximizer); (inf, None) where unbounded.

        Raises:
            InconsistentEvidenceError: all sets are empty; names a smallest set of rows that exclude each other.
        """
        found = [ends for ends in (program.find(objective) for program in self.each) if ends is not None]
        if not found:
            raise InconsistentEvidenceError("no member of the class has all these values", self.conflict())
        return max(found, key=lambda ends: ends[0])

    def conflict(self) -> tuple[str, ...]:
        """Names of rows of which every one is needed for the contradiction (a deletion filter)."""
        names, zero = self.each[0].names, np.zeros(self.size)
        kept = list(range(len(names)))
        for row in range(len(names)):
            fewer = [k for k in kept if k != row]
            if all(program.restricted(fewer).find(zero) is None for program in self.each):
                kept = fewer
        return tuple(names[k] for k in kept)


def _read(status: int, z: Array | None, objective: Array, program: Program) -> tuple[float, Array | None] | None:
    if status == 0 and z is not None:
        return float(objective @ z), z
    if status == 3:
        return float("inf"), None
    if status == 2:
        return None
    if status == 4:  # HiGHS could not tell infeasible from unbounded: ask without the objective
        if not objective.any():
            return None
        feasible = program._solve(np.zeros_like(objective), False) or program._solve(np.zeros_like(objective), True)
        return None if feasible is None else (float("inf"), None)
    raise SnellenError(f"expected the linear program to be solved, got HiGHS status {status}; rescale the evidence")
