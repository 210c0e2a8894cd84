"""For which Lipschitz constants a picture says anything, as a function of dimension (docs/theory.md, section 4)."""

from dataclasses import dataclass

import numpy as np

from snellen.base import UsageError
from snellen.theory.classes import Norm


@dataclass(frozen=True)
class Window:
    """Lipschitz constants on the cube [0, 1]^d with D = 1 and pictures at opposite corners (multiply by D).

    Args:
        least: below it no function has these pictures (L ||x_max - x_min|| >= D).
        useless: from it on some image can have any response between a and b, and no decoder beats a coin.
        worst_at_least: the worst error of the best decoder when L = least; D / 2 is a coin's.
        any_pictures: from it on the same holds wherever the two pictures are; infinite where not known.
    """

    dim: int
    norm: Norm
    least: float
    useless: float
    worst_at_least: float
    any_pictures: float


def window(dim: int, norm: Norm = "l2") -> Window:
    """The window least <= L < useless in which a picture says something about every image.

    l2: 1 / sqrt(d) <= L < 1 / sqrt(d / 2) (d even; sqrt(d / 2 - 1 / 4) for odd d), and wherever the pictures are,
    useless from 1 / sqrt(d / 4 - 1) on. l1: 1 / d <= L < 2 / d. l-infinity: empty for d > 1.

    Args:
        dim: d >= 1, 150528 for a 224 x 224 RGB image.
    """
    if dim < 1:
        raise UsageError(f"expected a dimension >= 1, got {dim}")
    if norm == "l2":
        far = np.sqrt(dim / 2 if dim % 2 == 0 else dim / 2 - 0.25)
        least = 1 / np.sqrt(dim)
        anywhere = 1 / np.sqrt(dim / 4 - 1) if dim > 4 else np.inf
        return Window(dim, norm, float(least), float(1 / far), worst_error(dim, float(least)), float(anywhere))
    if norm == "l1":
        return Window(dim, norm, 1 / dim, 2 / dim, 0.0, float("inf"))
    if dim == 1:
        return Window(dim, norm, 1.0, 2.0, 0.0, float("inf"))
    return Window(dim, norm, 1.0, 1.0, 0.5, float("inf"))


def worst_error(dim: int, bound: float) -> float:
    """sup_x (up - lo) / 2 for L = bound >= 1 / sqrt(d) in l2, pictures at opposite corners, D = 1.

    Even d: min(1, L sqrt(2 d) - 1) / 2, at the corners with half of their pixels at 0. Odd d: on the edges between the
    two middle layers of corners, at the place where L r2 = 1 if there is one, else at their ends.
    """
    if dim % 2 == 0:
        return float(np.clip(bound * np.sqrt(2 * dim) - 1, 0.0, 1.0)) / 2
    shorter, longer = (dim - 1) / 2, (dim + 1) / 2
    if bound * np.sqrt(longer) < 1:
        return float(max(bound * (np.sqrt(shorter) + np.sqrt(longer)) - 1, 0.0)) / 2
    along = 1 - np.sqrt(max(1 / bound**2 - shorter, 0.0))
    return 0.5 if along >= 0.5 else float(min(bound * np.sqrt(shorter + along**2), 1.0)) / 2


IMAGE_SIZES: tuple[int, ...] = (32, 64, 224)
"""Sizes in pixels of the square RGB images for which the window is stated."""
