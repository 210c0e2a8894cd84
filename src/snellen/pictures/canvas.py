"""Canvases: what the optimizer really changes, and how that becomes pictures."""

import functools
import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import Seed
from snellen.base.plugins import Group
from snellen.images.spectra import COLOR_SQRT


def generator(seed: Seed) -> torch.Generator:
    """A stream of random numbers on the CPU, so that every device draws the same ones."""
    return torch.Generator().manual_seed(seed.value)


class Canvas(ABC):
    """A parameterization of pictures. Every picture has a state of its own and depends on nothing else.

    picture = sigmoid(C plane): what a canvas has to say is how its plane comes from its state, linearly, and back.
    """

    decorrelate: bool = True

    @abstractmethod
    def start(self, size: tuple[int, int], seeds: Sequence[Seed]) -> Float[Tensor, "u ..."]:
        """One random state for each seed, near a grey picture of `size` (height, width)."""

    @abstractmethod
    def plane(self, state: Float[Tensor, "u ..."], size: tuple[int, int]) -> Float[Tensor, "u 3 h w"]:
        """The pictures before their colours are mixed and bounded."""

    @abstractmethod
    def fit(self, images: Float[Tensor, "u 3 h w"]) -> Float[Tensor, "u ..."]:
        """States that draw these pictures (RGB in [0, 1], clipped to what a sigmoid reaches)."""

    def draw(self, state: Float[Tensor, "u ..."], size: tuple[int, int]) -> Float[Tensor, "u 3 h w"]:
        """RGB pictures in (0, 1)."""
        plane = self.plane(state, size)
        return torch.sigmoid(_mix(plane, _colors(plane)) if self.decorrelate else plane)

    def unmixed(self, images: Float[Tensor, "u 3 h w"]) -> Float[Tensor, "u 3 h w"]:
        """The planes of pictures: RGB in [0, 1], clipped to what a sigmoid reaches."""
        plane = torch.logit(images, eps=1e-3)
        return _mix(plane, torch.linalg.inv(_colors(plane))) if self.decorrelate else plane

    def length(self, step: Float[Tensor, "u ..."], size: tuple[int, int]) -> Float[Tensor, " u"]:
        """By how much a step of the state changes each picture's plane, root mean square."""
        return self.plane(step, size).flatten(1).square().mean(1).sqrt()


@dataclass(frozen=True)
class Pixel(Canvas):
    """State: one number for each pixel and decorrelated colour; picture = sigmoid(C z).

    Args:
        spread: standard deviation of the first state.
        decorrelate: mix the colours as natural images do.
    """

    spread: float = 0.01
    decorrelate: bool = True

    def start(self, size: tuple[int, int], seeds: Sequence[Seed]) -> Float[Tensor, "u 3 h w"]:
        return _noise((3, *size), seeds) * self.spread

    def plane(self, state: Float[Tensor, "u 3 h w"], size: tuple[int, int]) -> Float[Tensor, "u 3 h w"]:
        return state

    def fit(self, images: Float[Tensor, "u 3 h w"]) -> Float[Tensor, "u 3 h w"]:
        return self.unmixed(images)


@dataclass(frozen=True)
class Fourier(Canvas):
    """State: the picture's real-input Fourier coefficients, preconditioned by 1 / frequency^decay.

    picture = sigmoid(C irfft2(z s)) with the orthonormal transform, s_k = 1 / (4 max(|k|, 1 / max(h, w))^decay), |k| in
    cycles per pixel, C the square root of natural images' colour covariance (Olah, Mordvintsev, Schubert 2017,
    "Preconditioning and parameterization"; scaling as in lucid). Any height and width.

    Args:
        decay: 1 gives every frequency of the first state the energy it has in natural images, and with Adam of every
            step. Steps along the gradient are preconditioned twice, in the gradient and in the picture; 0.75 is between
            1 and the 0.5 that would undo that, and leads to higher responses than either (docs/speed.md).
        spread: standard deviation of the first state.
        decorrelate: mix the colours as natural images do.
    """

    decay: float = 0.75
    spread: float = 0.01
    decorrelate: bool = True

    def start(self, size: tuple[int, int], seeds: Sequence[Seed]) -> Float[Tensor, "u 3 h f 2"]:
        return _noise((3, size[0], size[1] // 2 + 1, 2), seeds) * self.spread

    def plane(self, state: Float[Tensor, "u 3 h f 2"], size: tuple[int, int]) -> Float[Tensor, "u 3 h w"]:
        spectrum = torch.view_as_complex(state * self._scale(size, state))
        return torch.fft.irfft2(spectrum, s=size, norm="ortho")

    def fit(self, images: Float[Tensor, "u 3 h w"]) -> Float[Tensor, "u 3 h f 2"]:
        spectrum = torch.fft.rfft2(self.unmixed(images), norm="ortho")
        return torch.view_as_real(spectrum) / self._scale((images.shape[2], images.shape[3]), images)

    def length(self, step: Float[Tensor, "u 3 h f 2"], size: tuple[int, int]) -> Float[Tensor, " u"]:
        """Of steps along a gradient, by Parseval's theorem, without a transform.

        All but the first and the last column stand for two frequencies. Other steps may change the plane less, where
        several states draw the same one.
        """
        waves = step * _amplitudes(size, self.decay, step.dtype, step.device)
        return torch.linalg.vector_norm(waves.flatten(1), dim=1) / math.sqrt(3 * size[0] * size[1])

    def _scale(self, size: tuple[int, int], like: Tensor) -> Tensor:
        return _preconditioner(size, self.decay, like.dtype, like.device)


@functools.lru_cache(8)
def _preconditioner(size: tuple[int, int], decay: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """s of `Fourier`, (h, w // 2 + 1, 2): for the real and the imaginary part, which multiplies faster."""
    rows = torch.fft.fftfreq(size[0], dtype=dtype, device=device)
    columns = torch.fft.rfftfreq(size[1], dtype=dtype, device=device)
    frequency = torch.hypot(rows[:, None], columns[None, :]).clamp_min(1.0 / max(size))
    return torch.stack([frequency**-decay / 4.0] * 2, -1)


@functools.lru_cache(8)
def _amplitudes(size: tuple[int, int], decay: float, dtype: torch.dtype, device: torch.device) -> Tensor:
    """s times the square root of how many frequencies, k and -k, a column stands for."""
    scale = _preconditioner(size, decay, dtype, device).clone()
    scale[:, 1 : (size[1] + 1) // 2] *= math.sqrt(2.0)
    return scale


CANVASES: Group[type[Canvas]] = Group(
    "snellen.canvases",
    "canvas",
    Canvas,
    {"fourier": "snellen.pictures.canvas:Fourier", "pixel": "snellen.pictures.canvas:Pixel"},
    classes=True,
)


def canvas_named(name: str) -> Canvas:
    """The canvas that the command line calls by this name, as it is by default.

    Raises:
        UsageError, DependencyError: as `Group.load`.
    """
    return CANVASES.load(name)()


def _noise(shape: tuple[int, ...], seeds: Sequence[Seed]) -> Tensor:
    return torch.stack([torch.randn(shape, generator=generator(s), dtype=torch.float32) for s in seeds])


def _colors(like: Tensor) -> Tensor:
    return like.new_tensor(COLOR_SQRT)


def _mix(plane: Tensor, mixing: Tensor) -> Tensor:
    """Every pixel's three numbers through a 3 x 3 matrix."""
    return torch.matmul(mixing, plane.flatten(2)).view_as(plane)
