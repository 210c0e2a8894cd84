"""Patch-quadratic networks: every class is x'Qx + c of the image, counted from grey."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
import torch
from jaxtyping import Float
from scipy.sparse.linalg import LinearOperator, eigsh
from torch import Tensor, nn

from snellen.base import Tell, UsageError, evenly, silence
from snellen.certificates.units import Asked, Certified
from snellen.images import ImageSet
from snellen.images.spectra import COLOR_SQRT
from snellen.models import Model, Unit
from snellen.models.model import Preprocess
from snellen.structures.guarantees import ASKED, Guarantee, Rung
from snellen.structures.layers import MIDDLE, UncentredNorm
from snellen.structures.structure import Structure
from snellen.theory import Ball, Evidence, envelope
from snellen.theory import Quadratic as QuadraticClass
from snellen.theory.certificate import Certificate
from snellen.theory.classes import Extreme

_FILTERS, _SIDE, _PLACES = 192, 6, 3
_RUNGS = (2, 32, 128, 512, 1024)
"""Pictures of a class, half of them at either end."""
_FEW = 128
"""As many at most where time is short."""
_WHOLE = 4800
"""Numbers of an image, at most, of which all gradients are taken; more of them are searched for a few pictures."""
_KNOWN = "x'Qx + c of the image counted from grey, whatever the weights are: it is a class of a patch-quadratic network"


class QuadraticNetwork(nn.Module):
    """Filters on overlapping patches, squared, averaged over nine regions, and a linear head.

    Args:
        classes: how many.
    """

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.filters = nn.Conv2d(3, _FILTERS, _SIDE, 2, bias=False)
        self.norm = UncentredNorm(_FILTERS)
        self.pool = nn.AdaptiveAvgPool2d(_PLACES)
        self.classifier = nn.Linear(_FILTERS * _PLACES**2, classes)

    def forward(self, images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n k"]:
        """Logits of RGB in [0, 1]."""
        found = self.norm(self.filters(images - MIDDLE)).square()
        return self.classifier(self.pool(found).flatten(1))


@dataclass(frozen=True)
class Quadratic(Structure):
    """Squared filters on patches under a linear head."""

    rate: float = 6e-3

    name = "quadratic"
    title = "patch-quadratic network"
    inner = ("filters",)
    known = (
        "Pictures drawn one after the other, each orthogonal to the earlier ones, are eigenvectors of Q: k of them "
        "leave [lowest, highest] times the squared rest of an image, and finitely many tell everything."
    )
    lies = (
        "A picture turned by an angle t moves the response to some image by at least half of the gap between "
        "eigenvalues times sin² t: lies cost behaviour, though not on the photographs that an auditor happens to have."
    )

    def network(self, classes: int, size: int) -> nn.Module:
        """38,218 parameters for ten classes."""
        return QuadraticNetwork(classes)

    def guarantee(
        self, model: Model, units: Sequence[Unit], images: ImageSet, *, quick: bool = False, tell: Tell = silence
    ) -> Guarantee:
        """From pictures drawn one after the other on an ellipsoid that is shaped like photographs, and holds them.

        In coordinates z of images = grey + H z, where H gives white noise the spectrum and colours of photographs (as
        the Fourier canvas does), a class is quadratic as well, and its pictures on a ball of z say more of photographs
        than those on a ball of pixels (theory, section 12). The last layer is put together from all classes' pictures:
        what they fix, and nothing for the rest.
        """
        module = copy.deepcopy(model.module).double()
        shown, classes = images.pixels(model.size).double(), len(model.labels)
        whiten = Whitening(model.size[0])
        with torch.no_grad():
            truth = module(shown).numpy()
            centre = module(torch.full((1, *shown.shape[1:]), MIDDLE, dtype=torch.float64))[0].numpy()
        steps = whiten.back(shown - MIDDLE).flatten(1).numpy()
        rungs = [count for count in _RUNGS if count <= (_FEW if quick else steps.shape[1])]
        drawn = []
        for k in range(classes):
            drawn.append(_pictures(module, k, whiten, max(rungs)))
            tell("pictures of classes, one after the other", k + 1, classes)
        labels, asked = np.array(images.labels), evenly(len(images), min(len(images), ASKED))
        ladder, told = [], Guarantee("", ())
        for count in rungs:
            kept = [pictures.first(count) for pictures in drawn]
            rebuilt = np.stack([p.known(steps) + c for p, c in zip(kept, centre, strict=True)], 1)
            own = tuple(
                _certificate(kept[u.channel], steps, truth[:, u.channel], asked=asked, centre=centre[u.channel])
                for u in units
            )
            told = Guarantee("", own, count)
            right = float((rebuilt.argmax(1) == labels).mean())
            ladder.append(Rung(count, told.width, told.inside, right))
        words = f"{max(rungs):,} pictures of each class, drawn one after the other, each orthogonal to the earlier"
        return Guarantee(words, told.certificates, max(rungs), tuple(ladder))

    def certified(
        self, model: Model, unit: Unit, images: ImageSet, *, asked: Asked | None = None, tell: Tell = silence
    ) -> Certified:
        """Of a class what its pictures leave open, from few of them to as many as are asked for.

        Nothing but pictures and the response to grey counts, no exemplar. Everything else, and networks that were
        changed since they were built, get what operations prove.

        Raises:
            UsageError: fewer than 2 pictures or more than an image has numbers; images that are not square.
            SnellenError: whatever `certify_unit` raises.
        """
        asked = asked or Asked()
        plain = asked.over is None and asked.declared is None and len(images) > 1
        if not (plain and unit == Unit("classifier", unit.channel) and _is_unchanged(model)):
            return super().certified(model, unit, images, asked=asked, tell=tell)
        if model.size[0] != model.size[1]:
            raise UsageError(f"expected square images, got {model.size[0]} x {model.size[1]}; give another size")
        numbers = 3 * model.size[0] ** 2
        count = asked.pictures
        if count is None:
            count = min(numbers, max(_RUNGS) if numbers <= _WHOLE else _FEW)
        if not 2 <= count <= numbers:
            raise UsageError(f"expected 2 to {numbers:,} pictures of images of as many numbers, got {count:,}")
        module, whiten = copy.deepcopy(model.module).double(), Whitening(model.size[0])
        shown = images.pixels(model.size).double()
        with torch.no_grad():
            truth = module(shown)[:, unit.channel].numpy()
            centre = float(module(torch.full_like(shown[:1], MIDDLE))[0, unit.channel])
        steps = whiten.back(shown - MIDDLE).flatten(1).numpy()
        drawn, everyone = _pictures(module, unit.channel, whiten, count, tell=tell), range(len(images))
        found = {
            f"{some:,} pictures": _certificate(drawn.first(some), steps, truth, asked=everyone, centre=centre)
            for some in (*(rung for rung in _RUNGS if rung < count), count)
        }
        return Certified(unit, None, None, float("nan"), found, images.ids, None, _KNOWN)


def _is_unchanged(model: Model) -> bool:
    """Whether a network is what this structure builds, layer by layer, and sees images as they are."""
    module = model.module
    if type(module) is not QuadraticNetwork or type(module.classifier) is not nn.Linear:
        return False
    with torch.device("meta"):
        return repr(module) == repr(QuadraticNetwork(module.classifier.out_features)) and (
            model.preprocess == Preprocess()
        )


class Whitening:
    """Linear maps between white noise and what has the spectrum (1 / f) and the colours of photographs; symmetric.

    Args:
        size: of images in pixels.
    """

    def __init__(self, size: int) -> None:
        rows, columns = torch.fft.fftfreq(size)[:, None], torch.fft.rfftfreq(size)[None]
        self.falls = 1 / torch.hypot(rows, columns).double().clamp_min(1 / size)
        self.size, self.colours = size, torch.tensor(COLOR_SQRT, dtype=torch.float64)

    def forth(self, z: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n 3 s s"]:
        """H z."""
        return self._applied(z, self.falls, self.colours)

    def back(self, x: Float[Tensor, "n 3 s s"]) -> Float[Tensor, "n 3 s s"]:
        """The z of H z = x."""
        return self._applied(x, 1 / self.falls, torch.linalg.inv(self.colours))

    def _applied(self, x: Tensor, gains: Tensor, colours: Tensor) -> Tensor:
        filtered = torch.fft.irfft2(torch.fft.rfft2(x) * gains, s=(self.size, self.size))
        return torch.einsum("ncyx,dc->ndyx", filtered, colours)


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures of one class from either end inwards, as steps z from grey, and how much the class rises there.

    Args:
        upper, lower: (k, d) and (m, d), of length 1, those of the most extreme heights first; m is k or k - 1.
        high, low: (k,) and (m,) heights of steps of length 1.
    """

    upper: Float[np.ndarray, "k d"]
    lower: Float[np.ndarray, "m d"]
    high: Float[np.ndarray, " k"]
    low: Float[np.ndarray, " m"]

    def first(self, count: int) -> "Pictures":
        """The first `count`, half of them at either end; of an odd one one more at the upper."""
        more, half = count - count // 2, count // 2
        return Pictures(self.upper[:more], self.lower[:half], self.high[:more], self.low[:half])

    def known(self, steps: Float[np.ndarray, "n d"]) -> Float[np.ndarray, " n"]:
        """The part of the class that they fix."""
        return np.asarray((steps @ self.upper.T) ** 2 @ self.high + (steps @ self.lower.T) ** 2 @ self.low)


def _pictures(module: nn.Module, channel: int, whiten: Whitening, count: int, *, tell: Tell = silence) -> Pictures:
    """Maximizers and minimizers on a sphere around grey, one after the other, by gradients of the network alone.

    The gradient after a step z is 2 Q z. Few pictures are found by a search in the space that earlier ones leave
    (Lanczos), many by the gradients after all unit steps.
    """
    size = 3 * whiten.size**2

    def climbed(step: np.ndarray) -> np.ndarray:
        z = torch.from_numpy(np.asarray(step, np.float64).reshape(-1, 3, whiten.size, whiten.size)).requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(module(whiten.forth(z) + MIDDLE)[:, channel].sum(), z)
        return np.asarray(gradient.flatten(1).numpy() / 2)

    if count < size and (count <= _FEW or size > _WHOLE):
        search = LinearOperator((size, size), lambda v: climbed(v)[0], dtype=np.float64)
        start = np.random.default_rng(0).standard_normal(size)
        heights, axes = eigsh(search, count, which="BE", v0=start)
    else:
        parts = np.array_split(np.eye(size), -(-size // 256))
        rows = []
        for part in parts:
            rows.append(climbed(part))
            tell("gradients after unit steps", len(rows), len(parts))
        matrix = np.concatenate(rows)
        heights, axes = np.linalg.eigh((matrix + matrix.T) / 2)
    return Pictures(axes.T[::-1], axes.T, heights[::-1], heights).first(count)


def _certificate(
    pictures: Pictures,
    steps: Float[np.ndarray, "n d"],
    truth: Float[np.ndarray, " n"],
    *,
    asked: Sequence[int],
    centre: float,
) -> Certificate:
    """What the pictures of a class leave open at each of the images that are asked about.

    Args:
        pictures: of the class.
        steps: from grey to n images.
        truth: responses to them.
        asked: some of the images; the natural range is that of all.
        centre: the response to grey.
    """
    chosen = list(asked)
    radius = float(np.linalg.norm(steps[chosen], axis=1).max()) * (1 + 1e-9)
    size = steps.shape[1]
    seen = Evidence(
        Ball(np.zeros(size), radius),
        x_max=radius * pictures.upper[0],
        x_min=radius * pictures.lower[0],
        value_max=float(radius**2 * pictures.high[0]),
        value_min=float(radius**2 * pictures.low[0]),
    )
    further = radius * np.concatenate([pictures.upper[1:], pictures.lower[1:]])
    values = radius**2 * np.concatenate([pictures.high[1:], pictures.low[1:]])
    top, bottom = get_args(Extreme)
    ends = (top,) * (len(pictures.high) - 1) + (bottom,) * (len(pictures.low) - 1)
    more = QuadraticClass(further, values, ends) if len(values) else QuadraticClass()
    found = envelope(more, seen, steps[chosen])
    natural = float(truth.min()), float(truth.max())
    return Certificate(centre + found.lo, centre + found.up, truth[chosen], natural, float("nan"))
