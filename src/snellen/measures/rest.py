"""Channels at rest: how many images leave a channel at one extreme value everywhere. Merges in any order, exactly."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Rest:
    """The lowest and highest value of each of c channels, and how many images never leave it; a commutative monoid.

    An image is at rest at the low end where its largest value is the smallest value of all images: a rectifier's zero
    on all positions, a threshold's "no". Likewise at the high end.

    Args:
        images: how many were seen.
        low, high: (c,) extremes over images and positions; inf and -inf where nothing was seen.
        at_low, at_high: (c,) images that are at that extreme at every position.
    """

    images: int
    low: Float[np.ndarray, " c"]
    high: Float[np.ndarray, " c"]
    at_low: Int[np.ndarray, " c"]
    at_high: Int[np.ndarray, " c"]

    @classmethod
    def empty(cls, channels: int) -> "Rest":
        """The neutral element."""
        none = np.zeros(channels, np.int64)
        return cls(0, np.full(channels, np.inf), np.full(channels, -np.inf), none, none)

    @classmethod
    def of(cls, least: Float[np.ndarray, "n c"], most: Float[np.ndarray, "n c"]) -> "Rest":
        """Of n images.

        Args:
            least, most: each image's smallest and largest value in each channel, over its positions.
        """
        if not len(least):
            return cls.empty(least.shape[1])
        low, high = least.min(0), most.max(0)
        return cls(len(least), low, high, (most == low).sum(0), (least == high).sum(0))

    def merge(self, other: "Rest") -> "Rest":
        """Of both sets of images together."""
        low, high = np.minimum(self.low, other.low), np.maximum(self.high, other.high)
        return Rest(
            self.images + other.images,
            low,
            high,
            self.at_low * (self.low == low) + other.at_low * (other.low == low),
            self.at_high * (self.high == high) + other.at_high * (other.high == high),
        )

    def quiet(self, tolerance: float = 0.0) -> tuple[np.ndarray, np.ndarray]:
        """Channels that all images but a few leave at rest.

        Args:
            tolerance: largest share of images that may wake a channel.

        Returns:
            (c,) which channels, and (c,) the value they rest at (that of the end at which more images are).
        """
        upper = self.at_high > self.at_low
        resting = np.where(upper, self.at_high, self.at_low)
        return (self.images - resting) <= tolerance * self.images, np.where(upper, self.high, self.low)
