"""Classes that bound differences, f(u) - f(v) <= c(u, v): envelopes are shortest paths (docs/theory.md, section 3).

Black-box (c = infinity off the diagonal), Lipschitz (c = L ||u - v||), monotone (c = 0 where u <= v, else infinity)
and constant (c = 0) functions are of this kind, and so is what visualizations say: f(x_min) - f(v) <= 0 and
f(u) - f(x_max) <= 0.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.classes import FLEXIBLE, Constant, FittedReLUNetwork, FunctionClass, Lipschitz, Monotone
from snellen.theory.cones import Cones
from snellen.theory.domain import Array
from snellen.theory.evidence import Evidence, InconsistentEvidenceError, Node


@dataclass(frozen=True, eq=False)
class Tightened:
    """The nodes of the evidence with the interval (low, high) that all evidence together leaves for each value."""

    nodes: tuple[Node, ...]
    places: Array
    low: Array
    high: Array
    floor: float
    ceiling: float


def costs(function_class: FunctionClass, u: "Array | Tensor", v: Array) -> Array:
    """c(u_i, v_j), the most that f(u_i) - f(v_j) can be for f in the class; u (n, d), v (k, d) -> (n, k)."""
    if isinstance(function_class, Lipschitz):
        order = {"l1": 1.0, "l2": 2.0, "linf": float("inf")}[function_class.norm]
        mode = "donot_use_mm_for_euclid_dist"
        first = torch.as_tensor(u).to(torch.float64)
        return np.asarray(function_class.bound * torch.cdist(first, torch.as_tensor(v), p=order, compute_mode=mode))
    rows = np.asarray(u, dtype=np.float64)
    if isinstance(function_class, Constant):
        return np.zeros((len(rows), len(v)))
    if isinstance(function_class, Monotone):
        return _where_all(rows, v, np.less_equal)
    if isinstance(function_class, FLEXIBLE):
        return _where_all(rows, v, np.equal)
    raise UsageError(f"expected a class that bounds differences, got {function_class.title}")


def tighten(function_class: FunctionClass, evidence: Evidence) -> Tightened:
    """Propagate all constraints between the nodes: shortest paths in the graph of difference constraints.

    Raises:
        InconsistentEvidenceError: a cycle of negative length, that is, constraints that exclude each other.
    """
    nodes = evidence.nodes()
    places = np.array([n.place for n in nodes]).reshape(len(nodes), evidence.domain.dim)
    edge = costs(function_class, places, places)
    names = [n.name for n in nodes]
    if "x_min" in names:
        edge[names.index("x_min")] = np.minimum(edge[names.index("x_min")], 0.0)
    if "x_max" in names:
        edge[:, names.index("x_max")] = np.minimum(edge[:, names.index("x_max")], 0.0)
    known = np.array([n.value is not None for n in nodes], dtype=bool)
    for k in np.flatnonzero(~known):
        edge = np.minimum(edge, edge[:, k : k + 1] + edge[k : k + 1])
    value = np.array([np.nan if n.value is None else n.value for n in nodes])
    _refuse(evidence, nodes, value[:, None] - value[None, :] - edge)
    high = np.where(known, value, np.inf)
    low = np.where(known, value, -np.inf)
    if known.any():
        high[~known] = (value[known][None] + edge[np.ix_(~known, known)]).min(1)
        low[~known] = (value[known][None] - edge[np.ix_(known, ~known)].T).max(1)
    floor = float(low[names.index("x_min")]) if "x_min" in names else -np.inf
    ceiling = float(high[names.index("x_max")]) if "x_max" in names else np.inf
    return Tightened(nodes, places, low, high, floor, ceiling)


def difference_envelope(function_class: FunctionClass, evidence: Evidence, x: "Array | Tensor") -> tuple[Array, Array]:
    """up(x) = min_j (high_j + c(x, p_j)) and lo(x) = max_j (low_j - c(p_j, x)), cut at f(x_min) and f(x_max)."""
    tight = tighten(function_class, with_training_data(function_class, evidence))
    if isinstance(function_class, Lipschitz) and len(tight.nodes):
        lo, up = Cones(tight.places, tight.low, tight.high, function_class.bound, function_class.norm)(x)
    else:
        rows = np.asarray(x, dtype=np.float64)
        lo, up = np.full(len(rows), -np.inf), np.full(len(rows), np.inf)
        for start in range(0, len(rows), 4096) if len(tight.nodes) else ():
            block = slice(start, start + 4096)
            up[block] = (tight.high + costs(function_class, rows[block], tight.places)).min(1)
            lo[block] = (tight.low - costs(function_class, tight.places, rows[block]).T).max(1)
    return np.maximum(lo, tight.floor), np.minimum(up, tight.ceiling)


def with_training_data(function_class: FunctionClass, evidence: Evidence) -> Evidence:
    """The evidence, joined by the training data of a fitted network."""
    if not isinstance(function_class, FittedReLUNetwork):
        return evidence
    return evidence.with_points(function_class.inputs, function_class.targets, "training input")


def _where_all(u: Array, v: Array, relation: np.ufunc) -> Array:
    """0 where relation(u_i, v_j) holds in every coordinate, else infinity, (n, k)."""
    holds: npt.NDArray[np.bool_] = np.array([relation(u, row).all(1) for row in v]).reshape(len(v), len(u)).T
    return np.where(holds, 0.0, np.inf)


def _refuse(evidence: Evidence, nodes: tuple[Node, ...], excess: Array) -> None:
    """Raise for the worst pair of known values whose difference the class does not allow."""
    if excess.size == 0 or np.isnan(excess).all() or np.nanmax(excess) <= evidence.slack:
        return
    i, j = np.unravel_index(np.nanargmax(excess), excess.shape)
    first, second = nodes[int(i)], nodes[int(j)]
    unknown = tuple(n.name for n in nodes if n.value is None)
    difference = (first.value or 0.0) - (second.value or 0.0)
    allowed = difference - float(excess[i, j])
    reason = f"f({first.name}) - f({second.name}) = {difference:g}, but the class allows at most {allowed:g}"
    raise InconsistentEvidenceError(reason, (first.name, second.name, *unknown))
