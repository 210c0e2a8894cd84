"""Partners: another one for each, so that all pairs together are most alike, or least."""

import numpy as np
from jaxtyping import Float
from scipy.optimize import linear_sum_assignment


def partners(alike: Float[np.ndarray, "u u"], *, far: bool) -> tuple[int, ...]:
    """Another one for each of several, every one once.

    Args:
        alike: how alike any two are; at least two of them.
        far: whether those are paired that are least alike.
    """
    cost = np.where(np.eye(len(alike), dtype=bool), 1e6, alike if far else -alike)
    return tuple(int(other) for other in linear_sum_assignment(cost)[1])
