"""What images do to channels: where they rest, and how far they move them. Merges in any order, exactly."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int


@dataclass(frozen=True, eq=False)
class Rest:
    """The lowest and highest values of each of c channels, and how many images never leave them; a commutative monoid.

    An image is at rest at the low end where its largest value is the smallest value of all images: a rectifier's zero
    on all positions, a threshold's "no". Likewise at the high end.

    Args:
        images: how many were seen.
        lows: (s + 1, c) the smallest values of s + 1 different images, over positions, the least first; inf for images
            that were not seen.
        highs: (s + 1, c) the largest values of s + 1 different images, the greatest first; -inf likewise.
        at_low, at_high: (c,) images that are at that extreme at every position.
    """

    images: int
    lows: Float[np.ndarray, "s c"]
    highs: Float[np.ndarray, "s c"]
    at_low: Int[np.ndarray, " c"]
    at_high: Int[np.ndarray, " c"]

    @classmethod
    def empty(cls, channels: int, spare: int = 0) -> "Rest":
        """The neutral element."""
        none, nothing = np.zeros(channels, np.int64), np.full((spare + 1, channels), np.inf)
        return cls(0, nothing, -nothing, none, none)

    @classmethod
    def of(cls, least: Float[np.ndarray, "n c"], most: Float[np.ndarray, "n c"], spare: int = 0) -> "Rest":
        """Of n images.

        Args:
            least, most: each image's smallest and largest value in each channel, over its positions.
            spare: images that `band` leaves out at either end.
        """
        if not len(least):
            return cls.empty(least.shape[1], spare)
        lows, highs = _first(least, spare + 1), -_first(-most, spare + 1)
        return cls(len(least), lows, highs, (most == lows[0]).sum(0), (least == highs[0]).sum(0))

    @property
    def low(self) -> Float[np.ndarray, " c"]:
        """The smallest value of all; inf where nothing was seen."""
        return np.asarray(self.lows[0])

    @property
    def high(self) -> Float[np.ndarray, " c"]:
        """The largest value of all; -inf where nothing was seen."""
        return np.asarray(self.highs[0])

    @property
    def band(self) -> tuple[Float[np.ndarray, " c"], Float[np.ndarray, " c"]]:
        """Lowest and highest values but for those of `spare` images at either end."""
        return np.asarray(self.lows[-1]), np.asarray(self.highs[-1])

    def merge(self, other: "Rest") -> "Rest":
        """Of both sets of images together, which spare the same."""
        count = len(self.lows)
        lows = _first(np.concatenate([self.lows, other.lows]), count)
        highs = -_first(-np.concatenate([self.highs, other.highs]), count)
        return Rest(
            self.images + other.images,
            lows,
            highs,
            self.at_low * (self.low == lows[0]) + other.at_low * (other.low == lows[0]),
            self.at_high * (self.high == highs[0]) + other.at_high * (other.high == highs[0]),
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

    def fits(self, other: "Rest | None") -> bool:
        """Whether others were seen, of as many channels."""
        return other is not None and len(self.low) == len(other.low)

    def excursions(self, other: "Rest") -> Float[np.ndarray, " c"]:
        """How far others leave the band, in widths of the band: 0 inside, inf where it has none to speak of.

        Args:
            other: images of another kind.
        """
        low, high = self.band
        known = np.isfinite(low) & np.isfinite(high) & np.isfinite(other.low) & np.isfinite(other.high)
        far = np.where(known, np.maximum(low - other.low, other.high - high), 0.0)
        width = np.where(known, high - low, np.inf)
        rounding = 1e-6 * np.where(known, np.maximum(np.abs(low), np.abs(high)), 0.0)  # of what is constant but for it
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(far > rounding, far / width, 0.0)


def _first(values: Float[np.ndarray, "n c"], count: int) -> Float[np.ndarray, "s c"]:
    """The smallest values of each column in order, filled up with inf."""
    if len(values) < count:
        values = np.concatenate([values, np.full((count - len(values), values.shape[1]), np.inf)])
    return np.sort(np.partition(values, count - 1, axis=0)[:count], axis=0)
