"""A distribution as a few numbers."""

import numpy as np
from jaxtyping import Shaped

from snellen.base import UsageError


def quantiles(values: Shaped[np.ndarray, " n"], points: int = 101) -> list[float]:
    """Evenly spaced quantiles from the smallest value to the largest, linear between order statistics.

    Args:
        values: (n,) finite numbers, n >= 1.
        points: how many, >= 2; 101 gives every per cent.

    Raises:
        UsageError: no values, or fewer than two points.
    """
    values = np.asarray(values, np.float64)
    if not values.size or points < 2:
        raise UsageError(f"expected values and at least 2 points, got {values.size} and {points}; give some")
    return [float(q) for q in np.quantile(values, np.linspace(0, 1, points))]
