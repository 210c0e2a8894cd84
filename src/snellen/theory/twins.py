"""Two networks with one pair of pictures, shown: what the page needs of them (`audit.twins` draws them)."""

from dataclasses import dataclass

import numpy as np

from snellen.theory.domain import Array


@dataclass(frozen=True, eq=False)
class Twins:
    """Two ReLU networks with the same unique maximizer and minimizer that disagree about a photograph.

    Args:
        photograph, x_max, x_min: images (h, w, 3) in [0, 1].
        drawn: for either network the maximizing and the minimizing picture that a visualizer draws, (h, w, 3) each.
        responses: of either network to the photograph; those to x_min and x_max are 0 and 1.
        steps: of the visualizer.
    """

    photograph: Array
    x_max: Array
    x_min: Array
    drawn: tuple[tuple[Array, Array], tuple[Array, Array]]
    responses: tuple[float, float]
    steps: int

    @property
    def largest_difference(self) -> float:
        """Of any pixel between the pictures of the two networks."""
        return max(float(np.abs(one - other).max()) for one, other in zip(*self.drawn, strict=True))
