"""Lowest and highest of many cones, fast: min_j (high_j + L ||x - p_j||) and max_j (low_j - L ||x - p_j||)."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snellen.theory.classes import Norm
from snellen.theory.domain import Array

_BLOCK = 1 << 21
"""Numbers in one block of points: small enough to stay in a cache, large enough for a fast matrix product."""

_ORDER = {"l1": 1.0, "l2": 2.0, "linf": float("inf")}


@dataclass(frozen=True, eq=False)
class Cones:
    """Cones over `apexes` (k, d) that start at `high` (upwards) and `low` (downwards), (k,), infinite where unknown."""

    apexes: Array
    low: Array
    high: Array
    bound: float
    norm: Norm = "l2"

    def __call__(self, x: "Array | Tensor") -> tuple[Array, Array]:
        """(lo, up) at x (n, d): lo = max_j (low_j - L r_j), up = min_j (high_j + L r_j), r_j = ||x - p_j||.

        float32 points are worked on in float32, everything else in float64; memory beyond x is a few blocks. In l2 the
        distances come from one matrix product; the distance to the cone that wins is then taken again from the
        difference x - p_j, so that each bound is one that the class really implies, to rounding.
        """
        points = torch.as_tensor(x)
        points = points if points.dtype == torch.float32 else points.to(torch.float64)
        k = _Kernel(self, points.dtype)
        rows = max(_BLOCK // max(points.shape[1], len(self.apexes), 1), 1)
        lo = torch.empty(len(points), dtype=torch.float64)
        up = torch.empty(len(points), dtype=torch.float64)
        with torch.no_grad():
            for start in range(0, len(points), rows):
                stop = start + rows
                lo[start:stop], up[start:stop] = k.block(points[start:stop])
        return lo.numpy(), up.numpy()


class _Kernel:
    """The tensors of `Cones` in the dtype of the points."""

    def __init__(self, cones: Cones, dtype: torch.dtype) -> None:
        self.apexes = torch.as_tensor(np.ascontiguousarray(cones.apexes)).to(dtype)
        self.transposed = self.apexes.T.contiguous()
        self.squares = (self.apexes**2).sum(1)
        self.low = torch.as_tensor(cones.low)
        self.high = torch.as_tensor(cones.high)
        self.ends = torch.stack([self.high, -self.low]).to(dtype)
        self.bound, self.order = cones.bound, _ORDER[cones.norm]

    def block(self, x: Tensor) -> tuple[Tensor, Tensor]:
        r = self.rough(x) if self.order == 2.0 else torch.cdist(x, self.apexes, p=self.order)
        winners = [(end + self.bound * r).argmin(1) for end in self.ends]
        up, down = (self.exact(x, j, end) for j, end in zip(winners, (self.high, -self.low), strict=True))
        return -down, up

    def rough(self, x: Tensor) -> Tensor:
        """Euclidean distances (n, k) by ||x||^2 - 2 x.p + ||p||^2; rows where that cancels are done directly."""
        total = torch.linalg.vector_norm(x, dim=1).square_()[:, None] + self.squares
        r = torch.addmm(total, x, self.transposed, alpha=-2.0)
        close = (r < 1e-3 * total).any(1).nonzero()[:, 0]
        r = r.clamp_(min=0.0).sqrt_()
        if len(close):
            r[close] = torch.stack([torch.linalg.vector_norm(x[i] - self.apexes, dim=1) for i in close.tolist()])
        return r

    def exact(self, x: Tensor, j: Tensor, end: Tensor) -> Tensor:
        away = torch.linalg.vector_norm(x - self.apexes[j], ord=self.order, dim=1)
        return end[j] + self.bound * away.to(torch.float64)
