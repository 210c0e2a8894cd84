"""The points that are asked about: rows of the right length, inside the domain."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from snellen.base import UsageError
from snellen.theory.domain import Box, Domain, numbers

_BLOCK = 1 << 20
"""Numbers looked at in one go where the fast check does not settle it."""


def asked_points(domain: Domain, x: "npt.ArrayLike | Tensor") -> Tensor:
    """x as rows (n, d) on the CPU; float32 stays float32 (a million images are not copied), all else becomes float64.

    Args:
        domain: where f is defined; points may lie outside it by a millionth of its width, for rounding.
        x: (n, ...) with d entries each, or one point (d,).

    Raises:
        UsageError: no array of real numbers, another number of entries, or a point outside the domain.
    """
    single = (x.dtype == torch.float32) if isinstance(x, Tensor) else getattr(x, "dtype", None) == np.float32
    if single and isinstance(x, Tensor):
        rows = x.detach().cpu()
    else:
        values = np.ascontiguousarray(x if single else numbers(x, "the points asked about"))
        rows = torch.from_numpy(values if values.flags.writeable else values.copy())
    if rows.ndim <= 1 and (rows.numel() == domain.dim != 1 or rows.ndim == 0):
        rows = rows.reshape(1, -1)
    rows = rows.reshape(len(rows), -1) if len(rows) else rows.reshape(0, domain.dim)
    if rows.shape[1] != domain.dim:
        raise UsageError(
            f"expected points with {domain.dim} entries, got {rows.shape[1]}; give them the shape of the domain"
        )
    _refuse_outside(domain, rows)
    return rows


def _refuse_outside(domain: Domain, rows: Tensor) -> None:
    if isinstance(domain, Box) and rows.numel():  # one pass over memory settles it for images in a cube
        low, high = (float(end) for end in torch.aminmax(rows))
        if low >= domain.lower.max() and high <= domain.upper.min():
            return
    count = max(_BLOCK // domain.dim, 1)
    for start in range(0, len(rows), count):
        inside = domain.contains(rows[start : start + count].double().numpy())
        if not inside.all():
            number = start + int(inside.argmin())
            kind = "box" if isinstance(domain, Box) else "ball"
            raise UsageError(
                f"expected points inside the domain, got point {number} outside its {kind} (or not a number); "
                "clip it, or widen the domain of the evidence"
            )
