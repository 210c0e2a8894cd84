"""A unit as a function of a point: of the image, or of what a stated layer says to it."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from snellen.base import ModelError, UsageError
from snellen.models import Model, Unit, response
from snellen.models.survey import survey
from snellen.models.taps import observe, saying
from snellen.theory import Affine, Ball, Box, Evidence
from snellen.theory.certificate import Certificate, certify
from snellen.theory.domain import Array, Domain

BATCH = 16


class Places:
    """Where a unit's inputs live: the cube of images, or the output of a layer around natural images.

    Args:
        model: the network.
        unit: whose responses.
        over: the layer whose output the unit is a function of; None for the image.
    """

    def __init__(self, model: Model, unit: Unit, over: str | None = None) -> None:
        self.model, self.unit, self.over = model, unit, over
        self.known = survey(model)

    def of(self, images: Tensor) -> Array:
        """The points of images (n, 3, h, w), flattened: (n, d)."""
        return np.concatenate([_flat(self.shaped(block)) for block in images.split(BATCH)])

    def shaped(self, images: Tensor) -> Tensor:
        """The same in the shape that `observe` gives them: (n, ...)."""
        images = images.to(device=self.model.device, dtype=self.model.dtype)
        if self.over is None:
            return images
        return observe(self.model, images.clone(), [self.over], known=self.known)[self.over]

    def respond(self, images: Tensor, progress: Callable[[int], None] | None = None) -> Array:
        """The unit's responses to images (n, 3, h, w): (n,)."""
        parts: list[Tensor] = []
        for block in images.split(BATCH):
            parts.append(self._read(block.to(device=self.model.device, dtype=self.model.dtype)))
            if progress is not None:
                progress(min(BATCH * len(parts), len(images)))
        return _flat(torch.cat(parts))

    def answer(self, points: Tensor, images: Tensor | None = None) -> Tensor:
        """The unit's responses to points (n, ...) themselves, (n,); gradients flow back to them if they ask for any.

        Args:
            points: images, or what the layer says to them.
            images: what the network sees while its layer says something else; black by default.
        """
        if self.over is None:
            return self._read(points)
        if images is None:
            images = torch.zeros(len(points), 3, *self.model.size, dtype=self.model.dtype, device=self.model.device)
        with saying(self.model, self.over, points, known=self.known):
            return self._read(images, graded=points.requires_grad)

    def _read(self, images: Tensor, *, graded: bool = False) -> Tensor:
        images = images.clone()  # a network may write over them
        if graded:  # for the pass to record gradients
            images = images.detach().requires_grad_()
        read = observe(self.model, images, [self.unit.address], known=self.known)[self.unit.address]
        return response(read, self.unit)

    def domain(self, points: Array) -> Domain:
        """The cube of images; over a layer, the smallest ball around the mean of `points` (n, d) that holds them.

        Raises:
            UsageError: the layer says the same to all images.
        """
        if self.over is None:
            return Box.unit(points.shape[1])
        centre = points.mean(0)
        radius = float(np.linalg.norm(points - centre, axis=1).max())
        if radius <= 1e-6 * float(np.abs(centre).max()) or radius == 0:
            raise UsageError(f'expected images that differ at "{self.over}", got the same output for all; give others')
        return Ball(centre, radius)

    def extremes(self, images: Tensor, domain: Domain) -> Evidence:
        """Where an affine unit is smallest and largest on a domain, from one gradient: exact.

        Args:
            images: one natural image, (1, 3, h, w), for the shapes.
            domain: of flattened points.
        """
        like = self.shaped(images)
        centre = torch.tensor(domain.centre, dtype=like.dtype, device=like.device).reshape(like.shape)
        centre.requires_grad_()
        (slope,) = torch.autograd.grad(self.answer(centre).sum(), centre)
        direction = _flat(slope)[0]
        ends = np.stack([domain.farthest(-direction), domain.farthest(direction)])
        if isinstance(domain, Box):  # a pixel without weight stays in the middle: neither wall is better
            ends[:, direction == 0] = domain.centre[direction == 0]
        exact = torch.tensor(ends, dtype=like.dtype, device=like.device).reshape(2, *like.shape[1:])
        with torch.no_grad():
            low, high = self.answer(exact).double().tolist()
        self._check_slope(slope, centre.detach(), float(np.linalg.norm(ends[1] - ends[0])))
        return Evidence(domain, ends[0], ends[1], low, max(low, high), noise=1e-5 * max(abs(low), abs(high)))

    def _check_slope(self, slope: Tensor, centre: Tensor, far: float) -> None:
        """Along the gradient and along a random direction, an affine unit changes as its gradient says."""
        noise = torch.randn(slope.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        for way in (noise.to(slope), slope):
            step = way * (far / max(float(way.norm()), 1e-30))
            with torch.no_grad():
                here, there = self.answer(torch.cat([centre, centre + step])).double().tolist()
            told = float((slope.double() * step.double()).sum())
            usual = far * float(slope.double().norm()) / slope.numel() ** 0.5
            if not abs(there - here - told) <= 1e-2 * max(abs(told), usual) + 1e-5 * max(abs(here), abs(there)):
                raise ModelError(
                    f"expected gradients that are the slope of an affine unit, got {told:.4g} where the response "
                    f"changes by {there - here:.4g}: the network cuts or changes its gradients"
                )


def affine_certificates(places: Places, images: Tensor, truth: Array) -> dict[str, Certificate]:
    """An affine unit: its true extremes on a ball and on a box are known from one gradient."""
    points = places.of(images)
    if places.over is None:
        cube, name = Box.unit(points.shape[1]), "the cube of images"
        ball = Ball(cube.centre, 0.5 * points.shape[1] ** 0.5)
    else:
        name = f"the outputs of {places.over}"
        ball = places.domain(points)  # type: ignore[assignment]
        width = np.ptp(points, axis=0)
        room = 1e-6 * float(width.max())  # what never varies gets a little room: a box has no flat sides
        cube = Box(points.min(0) - room, points.max(0) + room)
    none = points[:0], truth[:0]
    return {
        f"its pictures on the {kind} around {name}": certify(
            Affine(), none, (points, truth), evidence=places.extremes(images[:1], domain)
        )
        for kind, domain in (("ball", ball), ("box", cube))
    }


def _flat(values: Tensor) -> Array:
    """(n, ...) as float64 (n, d), and (n,) as it is."""
    exact = values.detach().cpu().double()
    return exact.flatten(1).numpy() if exact.dim() > 1 else exact.numpy()
