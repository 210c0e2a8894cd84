"""Lowest and highest of many cones, fast: min_j (high_j + L ||x - p_j||) and max_j (low_j - L ||x - p_j||)."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from snellen.theory.classes import Norm
from snellen.theory.domain import Array

_BLOCK = 1 << 21
"""Numbers in one block of points: small enough to stay in a cache, large enough for a fast matrix product."""

_ROUNDING = 1e-7

_ORDER = {"l1": 1.0, "l2": 2.0, "linf": float("inf")}


@dataclass(frozen=True, eq=False)
class Cones:
    """Cones over `apexes` (k, d) that start at `high` (upwards) and `low` (downwards), (k,), infinite where unknown."""

    apexes: Array
    low: Array
    high: Array
    bound: float
    norm: Norm = "l2"

    @property
    def rounding(self) -> float:
        """What distances in float32 may cost, as a share of the range of the values."""
        known = np.concatenate([self.low, self.high])
        extent = float(np.ptp(known[np.isfinite(known)])) if np.isfinite(known).any() else 0.0
        longest = float(np.linalg.norm(self.apexes, axis=1).max(initial=0.0))
        return self.bound * longest * 2.0**-24 / extent if extent > 0 else np.inf

    def __call__(self, x: "Array | Tensor") -> tuple[Array, Array]:
        """(lo, up) at x (n, d): lo = max_j (low_j - L r_j), up = min_j (high_j + L r_j), r_j = ||x - p_j||.

        All is worked out in float64, but for float32 points so near the origin that rounding in float32 costs less than
        a millionth of the values' range (images); memory beyond x is a few blocks. In l2 the distances come from one
        matrix product (see `_Kernel.rough`); where that cancels, the distance to the cone that wins is taken again from
        the difference x - p_j. So each bound is one that the class implies, to rounding.
        """
        points = torch.as_tensor(x)
        dtype = torch.float32 if points.dtype == torch.float32 and self.rounding <= _ROUNDING else torch.float64
        rows = min(max(_BLOCK // max(points.shape[1], len(self.apexes), 1), 1), max(len(points), 1))
        lo = torch.empty(len(points), dtype=torch.float64)
        up = torch.empty(len(points), dtype=torch.float64)
        threads = min(torch.get_num_threads(), -(-len(points) // rows))
        share = -(-len(points) // max(threads, 1))

        def work(start: int) -> None:
            kernel = _Kernel(self, dtype, rows)
            stop = min(start + share, len(points))
            with torch.no_grad():
                for first in range(start, stop, rows):
                    block = slice(first, min(first + rows, stop))
                    lo[block], up[block] = kernel.block(points[block].to(dtype))

        _in_parallel(work, range(0, len(points), max(share, 1)))
        return lo.numpy(), up.numpy()


def _in_parallel(work: Callable[[int], None], starts: range) -> None:
    """One thread a share of the points, each with operators of one thread: blocks never wait for each other."""
    if len(starts) <= 1:
        for start in starts:
            work(start)
        return
    threads = torch.get_num_threads()
    try:
        with ThreadPoolExecutor(len(starts), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            list(pool.map(work, starts))
    finally:
        torch.set_num_threads(threads)


class _Kernel:
    """The tensors of `Cones` in the dtype of the points, and room to work in: nothing large is allocated in a block."""

    def __init__(self, cones: Cones, dtype: torch.dtype, rows: int) -> None:
        self.apexes = torch.as_tensor(np.ascontiguousarray(cones.apexes)).to(dtype)
        middle = self.apexes.mean(0)
        centred = self.apexes - middle
        self.factors = torch.cat([-2.0 * centred, middle[None]]).T.contiguous()
        self.squares = torch.cat([(centred**2).sum(1) + 2.0 * (centred @ middle), middle.new_zeros(1)])
        self.middle = float((middle**2).sum())
        self.least = 0.1 * ((centred**2).sum(1) + self.middle)
        self.low = torch.as_tensor(cones.low)
        self.high = torch.as_tensor(cones.high)
        finite = self.low[self.low.isfinite()]
        middle_value = float(finite.mean()) if len(finite) else 0.0
        self.ends = torch.stack([self.high - middle_value, middle_value - self.low]).to(dtype)
        self.bound, self.order = cones.bound, _ORDER[cones.norm]
        self.total = torch.empty((rows, len(self.apexes) + 1), dtype=dtype)

    def block(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.order == 2.0:
            r, lengths = self.rough(x)
        else:
            r, lengths = torch.cdist(x, self.apexes, p=self.order), None
        rise = r * self.bound
        over, under = (rise + self.ends[0]).argmin(1), rise.add_(self.ends[1]).argmin(1)
        up = self.high[over] + self.bound * self.away(x, r, over, lengths)
        return self.low[under] - self.bound * self.away(x, r, under, lengths), up

    def rough(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Euclidean distances (n, k), and ||x||^2 (n,).

        With c the apexes' mean, ||x - p||^2 = ||x||^2 - 2 x.c + ||c||^2 - 2 (x - c).(p - c) + ||p - c||^2 takes the
        products of x with every p - c and with c. Rows where that cancels all but a thousandth are done directly.
        """
        lengths = torch.linalg.vector_norm(x, dim=1).square_()
        total = torch.addmm(self.squares, x, self.factors, out=self.total[: len(x)])
        r = total[:, :-1].add_((lengths - 2.0 * total[:, -1] + self.middle)[:, None])
        close = (r.amin(1) < 1e-3 * lengths).nonzero()[:, 0]
        r.clamp_(min=0.0).sqrt_()
        for i in close.tolist():
            r[i] = torch.linalg.vector_norm(x[i] - self.apexes, dim=1)
        return r, lengths

    def away(self, x: Tensor, r: Tensor, j: Tensor, lengths: Tensor | None) -> Tensor:
        """Distances (n,) in float64 to apexes j; taken again where more than nine tenths of a product cancelled."""
        found = r.gather(1, j[:, None])[:, 0]
        if lengths is not None:
            again = (found.square() < 0.1 * lengths + self.least[j]).nonzero()[:, 0]
            if len(again):
                found[again] = torch.linalg.vector_norm(x[again] - self.apexes[j[again]], dim=1)
        return found.to(torch.float64)
