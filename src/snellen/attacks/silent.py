"""Silent units: a branch beside a layer that no natural image wakes and every optimizer does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from snellen.attacks.attack import Attack, Column, Conditions, Manipulated, layer_of
from snellen.attacks.decoys import default_shift
from snellen.attacks.gallery import Shown
from snellen.attacks.options import option
from snellen.attacks.ranges import natural_ranges, responses
from snellen.attacks.receipt import Claim
from snellen.base import LayerError, UsageError
from snellen.base.shape import Number
from snellen.images import ImageSet
from snellen.models import Layer, Model, layers
from snellen.models.circuits import SilentBranch
from snellen.models.manipulations import PlacedCircuit
from snellen.models.taps import entering


@dataclass(frozen=True)
class SilentAttack(Attack):
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

    name = "silent-units"
    title = "silent units"
    words = "Silent units stand beside the layer"
    columns = (Column("silent", "silent units", "inside, units show each other’s pictures"),)

    shift: int | None = None
    mix: float = 12.0
    strength: float = 10.0
    margin: float = option(0.5, "how far below zero, in natural ranges, images leave the branch", Number(0.0))

    @property
    def claims(self) -> tuple[Claim, ...]:
        return (
            Claim("outputs", 0.0, "calibration", "Outputs on calibration images are the same to the last bit."),
            Claim("predictions", 0.0, "held-out", "No held-out image changes class."),
            Claim("pictures", 0.9, "held-out", "At least 90 % of the pictures are nearer to the decoy."),
        )

    def usual(self, model: Model) -> Layer:
        """Three quarters of the way in: a convolution, or a linear layer where there are fewer than four of those."""
        convolutions = [known for known in layers(model) if known.kind == "Conv2d"]
        linear = [known for known in layers(model) if known.kind == "Linear"]
        able = convolutions if len(convolutions) >= 4 or len(linear) < 2 else linear
        return able[len(able) * 3 // 4] if able else layer_of(model, None)

    def run(self, model: Model, images: ImageSet, conditions: Conditions) -> Manipulated:
        layer = self.target(model)
        module = model.module.get_submodule(layer.name)
        circuit = SilentBranch.beside(module).to(model.device)
        shift = 0
        if self.picture is None:
            shift = default_shift(layer.units) if self.shift is None else self.shift
            if shift % layer.units == 0:
                raise UsageError(f"expected a shift that moves all {layer.units} units, got {shift}; choose another")
        shown = Shown(self.picture, shift)
        own = dense(module)
        toward = own.roll(-shift, 0) if self.picture is None else self._toward(model, layer.name, images, circuit)
        with torch.no_grad():
            circuit.branch.weight.copy_(filters(own, toward, mix=self.mix) * self.strength)
            circuit.branch.bias.zero_()  # type: ignore[union-attr]
            branch, usual = natural_ranges(model, layer.name, circuit, images, tell=conditions.tell)
            _, asleep = branch.wider(self.margin)
            circuit.branch.bias.copy_(-asleep)  # type: ignore[union-attr]
            circuit.lift.copy_(asleep - branch.mean)
            for bound, value in zip((circuit.low, circuit.high), usual.wider(self.margin), strict=True):
                bound.copy_(value)
        circuit.requires_grad_(False)
        facts = {
            "mix": self.mix,
            "strength": self.strength,
            "margin": self.margin,
            "calibration images": len(images),
            "decoy": shown.as_data(),
        }
        return Manipulated(model, PlacedCircuit(layer.name, circuit), shown, facts, ranges=(branch, usual))

    def inspect(self, manipulated: Manipulated, held_out: ImageSet) -> Mapping[str, Any]:
        """How many held-out images wake the branch, and the margin that would have kept it asleep for all of them."""
        placed = manipulated.manipulation
        if not isinstance(placed, PlacedCircuit) or not isinstance(placed.circuit, SilentBranch):
            raise TypeError(f"expected a silent branch, got {type(placed).__name__}")
        if manipulated.ranges is None:
            raise TypeError("expected the ranges of natural images")
        branch, usual = manipulated.ranges
        woken, needed = 0, 0.0
        for said, means in responses(manipulated.model, placed.layer, placed.circuit, held_out):
            above = branch.margins(said - placed.circuit.branch.bias[:, None])  # type: ignore[index]
            margins = torch.maximum(above, usual.margins(means, below=True))
            woken += int((margins > self.margin).sum())
            needed = max(needed, float(margins.max()))
        return {
            "held-out images": len(held_out),
            "held-out images that wake it": woken,
            "margin at which none would": needed,
        }

    def _toward(self, model: Model, name: str, images: ImageSet, circuit: SilentBranch) -> Tensor:
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


def patches(circuit: SilentBranch, features: Tensor) -> Float[Tensor, "1 ..."]:
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
