"""Decoys for fooling circuits: another unit, or one picture for all units."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from snellen.base import UsageError
from snellen.models import Layer, Model
from snellen.models.circuits import Decoy, Likeness, Permutation
from snellen.models.survey import survey
from snellen.models.unit import Place

PAPERS_SHIFT = 100
CONTRAST = 1.5


def default_shift(units: int) -> int:
    """The paper's 100 where it moves every unit, else half of the units.

    Raises:
        UsageError: there is only one unit.
    """
    if units < 2:
        raise UsageError(f"expected a layer with at least 2 units to permute, got {units}; show a picture instead")
    return PAPERS_SHIFT if units > PAPERS_SHIFT else units // 2


def moving_shift(layer: Layer, shift: int | None) -> int:
    """A shift as it was wished for, or the default one.

    Raises:
        UsageError: it leaves units where they are.
    """
    wanted = default_shift(layer.units) if shift is None else shift
    if wanted % layer.units == 0:
        raise UsageError(f"expected a shift that moves all {layer.units} units, got {wanted}; choose another")
    return wanted


def unit_axis(model: Model, layer: str) -> int:
    """The axis of a layer's output that counts its units, as the network itself holds it.

    Raises:
        LayerError: no such layer, or one that cannot be read.
        UsageError: its first axis does not count the pictures alone.
    """
    layout = survey(model).layout(Place(layer, pre=False, position=None))
    if layout.batch or layout.folded:
        raise UsageError(f'expected "{layer}" to return one tensor with a row for each picture; choose another layer')
    return layout.channel


def permuting(model: Model, layer: str, shift: int) -> Decoy:
    """Unit i says what unit (i + shift) says."""
    return Permutation(shift, unit_axis(model, layer))


@dataclass(frozen=True, eq=False)
class Levels:
    """What values a layer's units have.

    Args:
        middle: of every unit: the response to nothing in particular.
        reach: how far above it the target takes it.
    """

    middle: Float[Tensor, " u"]
    reach: Float[Tensor, " u"]


def picturing(model: Model, layer: str, picture: Float[Tensor, "3 h w"], levels: Levels) -> Likeness:
    """Every unit says how like one target the picture is.

    The target's contrast is raised by half (`CONTRAST`), because an optimizer's transforms blur what it draws. Likeness
    is 1 for the target and 0 for its mean colour; unit i says middle_i + reach_i times it, so that the values a person
    reads beside the pictures are such as the unit really has.

    Args:
        model: the honest network.
        layer: whose units lie.
        picture: the target, RGB in [0, 1].
        levels: of the units.

    Raises:
        UsageError: the picture is of one colour.
    """
    like = {"dtype": torch.float32, "device": "cpu"}
    picture = picture.to(**like)  # type: ignore[call-overload]
    mean = picture.mean((1, 2), keepdim=True)
    if float((picture - mean).abs().mean()) < 1e-3:
        raise UsageError("expected a picture that shows something, got one of a single colour")
    bold, flat = mean + CONTRAST * (picture - mean), mean.expand_as(picture)
    target, blank = model.preprocess(torch.stack([bold, flat]))
    grey = torch.full((1, 3, 1, 1), 0.5, **like)  # type: ignore[call-overload]
    gain = (model.preprocess(grey + 0.25) - model.preprocess(grey - 0.25))[0] / 0.5
    weight = gain**-2
    decoy = Likeness((target.shape[0], target.shape[1], target.shape[2]), len(levels.middle), unit_axis(model, layer))
    decoy.target.copy_(target)
    decoy.weight.copy_(weight / ((blank - target).square() * weight).mean())
    decoy.offset.copy_(levels.middle)
    decoy.gain.copy_(levels.reach.clamp_min(1e-3 * float(levels.reach.abs().mean()) + 1e-6))
    return decoy.to(model.device)


class _Alone(nn.Module):
    def __init__(self, likeness: Likeness) -> None:
        super().__init__()
        self.still = nn.Parameter(torch.zeros(()), requires_grad=False)
        self.likeness = likeness

    def forward(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 1"]:
        return self.likeness(x.new_zeros(len(x), 1), x)


def alone(model: Model, decoy: Likeness) -> Model:
    """A network that is nothing but a picture's decoy: its unit "likeness:0" draws what fooled units will draw."""
    single = Likeness((decoy.target.shape[0], decoy.target.shape[1], decoy.target.shape[2]), 1, 1)
    single.target.copy_(decoy.target)
    single.weight.copy_(decoy.weight)
    return Model(_Alone(single).to(model.device), "decoy", model.size, model.preprocess)
