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
        for loose in (False, True):
            found = self._solve(objective, loose)
            if found is not None:
                return found
        raise InconsistentEvidenceError("no member of the class has all these values", self.conflict())

    def conflict(self) -> tuple[str, ...]:
        """Names of rows of which every one is needed for the contradiction (a deletion filter)."""
        kept = list(range(len(self.names)))
        zero = np.zeros(len(self.lower))
        for row in range(len(self.names)):
            fewer = [k for k in kept if k != row]
            if self._restricted(fewer)._solve(zero, True) is None:
                kept = fewer
        return tuple(self.names[k] for k in kept)

    def _restricted(self, kept: Sequence[int]) -> "Program":
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
