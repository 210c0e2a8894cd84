"""What one picture says of a linear unit: how far it attains the largest response, and what that leaves open.

A unit f(x) = w.phi(x) + b of features phi of norm at most R has its picture at p = phi(x_max). Its *attainment* is
rho = w.p / (|w| R), the part that the picture reaches of the largest response that features of this norm allow.

Theorem 1. |f(x) - b - |w| phi(x).p / R| <= |w| |phi(x)| sqrt(1 + |p|^2 / R^2 - 2 rho)
                                      <= |w| |phi(x)| sqrt(2 (1 - rho)).

Proof. f(x) - b - |w| phi(x).p / R = |w| phi(x).(w / |w| - p / R), at most |w| |phi(x)| |w / |w| - p / R| by Cauchy and
Schwarz, and |w / |w| - p / R|^2 = 1 + |p|^2 / R^2 - 2 rho, where |p| <= R. QED

Theorem 2. With c = w.p / |p|^2 (the picture's own response less b, over |p|^2) and s = sqrt(|w|^2 - (w.p)^2 / |p|^2),
|f(x) - b - c phi(x).p| <= s |phi(x) - (phi(x).p / |p|^2) p|, and no smaller bound holds for all x, whatever R is.

Proof. w - c p is orthogonal to p and of length s, so f(x) - b - c phi(x).p = (w - c p).phi(x) = (w - c p).q with q the
part of phi(x) orthogonal to p. Cauchy and Schwarz give the bound, which q along w - c p attains. QED

Theorem 2 is never worse: its prediction is the best multiple of phi(x).p, and the part of phi(x) along p costs nothing.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from snellen.base import UsageError

Array = np.ndarray


@dataclass(frozen=True, eq=False)
class Attained:
    """Linear units and what their pictures leave open.

    Args:
        attainment: (u,) rho; nan for a unit without weights.
        lo, up: (u, n) between which each unit's response to each image lies.
    """

    attainment: Float[Array, " u"]
    lo: Float[Array, "u n"]
    up: Float[Array, "u n"]


def attained(
    weights: Float[Array, "u d"],
    biases: Float[Array, " u"],
    pictures: Float[Array, "u d"],
    features: Float[Array, "n d"],
    *,
    radius: float,
) -> Attained:
    """Theorem 2 for units of one layer, and their attainment.

    Of the weights nothing is used but their length and the pictures' responses.

    Args:
        weights, biases: of the units.
        pictures: features of each unit's largest picture.
        features: of the images that are asked about.
        radius: R, that no norm of a feature vector exceeds.

    Raises:
        UsageError: a picture's or an image's features are longer than the radius.
    """
    lengths = np.linalg.norm(np.concatenate([pictures, features]), axis=1)
    if lengths.max(initial=0.0) > radius * (1 + 1e-9):
        raise UsageError(
            f"expected features of norm at most {radius:.6g}, got {lengths.max():.6g}; give a larger radius"
        )
    reached = (weights * pictures).sum(1)
    squares = np.maximum((pictures**2).sum(1), 1e-300)
    norms = np.linalg.norm(weights, axis=1)
    along = pictures @ features.T
    apart = np.sqrt(np.maximum((features**2).sum(1) - along**2 / squares[:, None], 0.0))
    unknown = np.sqrt(np.maximum(norms**2 - reached**2 / squares, 0.0))
    guess = biases[:, None] + (reached / squares)[:, None] * along
    room = unknown[:, None] * apart
    with np.errstate(invalid="ignore", divide="ignore"):
        rho = np.where(norms > 0, reached / (norms * radius), np.nan)
    return Attained(rho, guess - room, guess + room)
