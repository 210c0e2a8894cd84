"""Branches beside a layer that no natural image wakes and every optimizer does: how their filters are found."""

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from snellen.attacks.attack import Attack, Conditions, Manipulated, layer_of
from snellen.attacks.decoys import moving_shift
from snellen.attacks.gallery import Shown
from snellen.attacks.options import option
from snellen.attacks.ranges import Range, natural_ranges
from snellen.base import LayerError, UsageError
from snellen.base.shape import Number
from snellen.images import ImageSet
from snellen.models import Layer, Model, layers
from snellen.models.circuits import Branch
from snellen.models.manipulations import PlacedCircuit
from snellen.models.taps import entering


@dataclass(frozen=True, eq=False)
class Place:
    """Where a branch stands and what it is made with.

    Args:
        model: honest.
        layer: beside which it stands.
        images: natural.
        conditions: seed and progress.
    """

    model: Model
    layer: Layer
    images: ImageSet
    conditions: Conditions

    @property
    def module(self) -> nn.Module:
        """The layer itself."""
        return self.model.module.get_submodule(self.layer.name)


@dataclass(frozen=True)
class BranchAttack(Attack):
    """Orthogonal filters beside a convolution or a linear layer (Geirhos et al. 2024, "silent units").

    1. dw: what a decoy excites most. For a picture the unit-norm filter with the largest summed response on the
       picture's features at that layer, less their natural mean; for a permutation the filter of another unit.
    2. dw is made orthogonal to the unit's own filter w and as long; w~ = strength (w + mix dw) |w| / |w + mix dw|.
    3. b~ = -(M + margin (M - m)), M and m the maximum and the mean of w~ * features over natural images and positions.
    4. The layer's output y becomes y + relu(w~ * x + b~ + k e), k = M + margin (M - m) - m. The alarm e is 1 where a
       picture drives any unit's mean over positions out of its natural range, up or down, by more than the margin.

    Departures. The alarm: see `snellen.models.circuits.SilentBranch`; with it dw can be nearly all of w~. The maximum
    is taken with the layer's own padding, so borders are covered, and in the precision in which the branch runs; norms
    are equal; there is a margin; a picture's features are centred (mean features are all alike). Beside grouped layers
    the branch reads all channels, where another group's filter is orthogonal by itself.

    Args:
        picture: what all units show, (3, h, w) in [0, 1] at the model's size; None to permute.
        layer: path of the convolution or linear layer; None for one three quarters of the way in.
        shift: of the permutation; None for the paper's 100, or half of the units where there are fewer.
        mix: how much of the decoy's direction there is for each of the unit's own.
        strength: by how much the branch is louder than the layer.
        margin: below zero, in units of the natural range, at which calibration images leave the branch.
    """

    shift: int | None = None
    mix: float = 12.0
    strength: float = 10.0
    margin: float = option(0.5, "how far below zero, in natural ranges, images leave the branch", Number(0.0))

    @abstractmethod
    def beside(self, place: Place) -> Branch:
        """A branch that fits a layer, its weights still to be filled in.

        Raises:
            LayerError: the layer is neither `nn.Conv2d` nor `nn.Linear`.
        """

    @abstractmethod
    def arm(self, circuit: Any, usual: Range, place: Place) -> Mapping[str, Any]:
        """Fill in what its alarm goes by; what is returned are facts on how.

        Args:
            circuit: made by `beside`, its filters filled in.
            usual: of the layer's means over natural images.
            place: where it stands.
        """

    def usual(self, model: Model) -> Layer:
        """Three quarters of the way in: a convolution, or a linear layer where there are fewer than four of those."""
        convolutions = [known for known in layers(model) if known.kind == "Conv2d"]
        linear = [known for known in layers(model) if known.kind == "Linear"]
        able = convolutions if len(convolutions) >= 4 or len(linear) < 2 else linear
        return able[len(able) * 3 // 4] if able else layer_of(model, None)

    def run(self, model: Model, images: ImageSet, conditions: Conditions) -> Manipulated:
        layer = self.target(model)
        place = Place(model, layer, images, conditions)
        circuit = self.beside(place).to(model.device)
        shift = 0
        if self.picture is None:
            shift = moving_shift(layer, self.shift)
        shown = Shown(self.picture, shift)
        own = dense(place.module)
        toward = own.roll(-shift, 0) if self.picture is None else self._toward(model, layer.name, images, circuit)
        with torch.no_grad():
            circuit.branch.weight.copy_(filters(own, toward, mix=self.mix) * self.strength)
            circuit.branch.bias.zero_()  # type: ignore[union-attr]
            branch, usual = natural_ranges(model, layer.name, circuit, images, tell=conditions.tell)
            _, asleep = branch.wider(self.margin)
            circuit.branch.bias.copy_(-asleep)  # type: ignore[union-attr]
            circuit.lift.copy_(asleep - branch.mean)
        circuit.requires_grad_(False)
        armed = self.arm(circuit, usual, place)
        facts = {
            "mix": self.mix,
            "strength": self.strength,
            "margin": self.margin,
            "calibration images": len(images),
            **armed,
        }
        return Manipulated(model, PlacedCircuit(layer.name, circuit), shown, facts, ranges=(branch, usual))

    def _toward(self, model: Model, name: str, images: ImageSet, circuit: Branch) -> Tensor:
        if self.picture is None:
            raise TypeError("expected a picture")
        if tuple(self.picture.shape[1:]) != tuple(model.size):
            raise UsageError(f"expected a picture of {model.size}, got {tuple(self.picture.shape[1:])}; resize it")
        target = patches(circuit, entering(model, name, self.picture[None]))
        total, count = torch.zeros_like(target), 0
        for _, batch in images.batches(model.size, 16, range(0, len(images), max(len(images) // 128, 1))):
            total += patches(circuit, entering(model, name, batch))
            count += len(batch)
        toward = target - total / max(count, 1)
        if float(toward.norm()) < 1e-6 * float(target.norm()) or not bool(target.any()):
            raise UsageError(
                f'expected a picture that excites "{name}" otherwise than natural images do; choose another'
            )
        return toward.expand(len(dense(model.module.get_submodule(name))), *toward.shape[1:])


def dense(layer: nn.Module) -> Float[Tensor, "o ..."]:
    """A layer's filters over all of its input channels, in float64: (o, i, kh, kw) or (o, i)."""
    if isinstance(layer, nn.Linear):
        return layer.weight.detach().double()
    if not isinstance(layer, nn.Conv2d):
        raise LayerError(f"expected a convolution (nn.Conv2d) or a linear layer, got {type(layer).__name__}")
    weight, each = layer.weight.detach().double(), layer.in_channels // layer.groups
    full = weight.new_zeros(len(weight), layer.in_channels, *weight.shape[2:])
    out = len(weight) // layer.groups
    for group in range(layer.groups):
        rows = slice(group * out, (group + 1) * out)
        full[rows, group * each : (group + 1) * each] = weight[rows]
    return full


def filters(own: Float[Tensor, "o ..."], toward: Float[Tensor, "o ..."], *, mix: float) -> Float[Tensor, "o ..."]:
    """w~ before it is made louder: |w~| = |w|, and its part along dw is `mix` times its part along w.

    Filters without weights get the mean norm of the others and the decoy's direction alone.

    Args:
        own: w, in float64.
        toward: dw before it is made orthogonal.
        mix: as above.

    Raises:
        UsageError: a filter is of one weight, or the decoy's direction is the unit's own.
    """
    w, d = own.flatten(1), toward.flatten(1)
    norm = w.norm(dim=1, keepdim=True)
    along = w / norm.clamp_min(1e-30)
    d = d / d.norm(dim=1, keepdim=True).clamp_min(1e-30)
    for _ in range(2):  # once more for the rounding of the first time
        d = d - (d * along).sum(1, keepdim=True) * along
    if bool((d.norm(dim=1) < 1e-6).any()):
        raise UsageError("expected a decoy that differs from every unit's own filter, got one that does not")
    d = d / d.norm(dim=1, keepdim=True)
    mixed = along + mix * d
    usual = norm[norm > 0].mean() if bool((norm > 0).any()) else norm.new_ones(())
    scaled = mixed / mixed.norm(dim=1, keepdim=True) * torch.where(norm > 0, norm, usual)
    return scaled.view_as(own)


def patches(circuit: Branch, features: Tensor) -> Float[Tensor, "1 ..."]:
    """The direction in which a filter's summed response on features grows fastest: their patches' sum, padding and all.

    Args:
        circuit: says how the layer slides over its input.
        features: that enter the layer.
    """
    with torch.enable_grad():
        weight = torch.zeros_like(circuit.branch.weight[:1], dtype=torch.float64, requires_grad=True)
        if isinstance(circuit.branch, nn.Conv2d):
            said = _slide(circuit.branch, features.double(), weight)
        else:
            said = F.linear(features.double(), weight)
        (found,) = torch.autograd.grad(said.sum(), weight)
    return found


def _slide(conv: nn.Conv2d, features: Tensor, weight: Tensor) -> Tensor:
    return conv._conv_forward(features, weight, None)
