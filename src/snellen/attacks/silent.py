"""Silent units: a branch beside a layer that no natural image wakes and every optimizer does."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from snellen.attacks.attack import Column, Manipulated
from snellen.attacks.branches import BranchAttack, Place
from snellen.attacks.ranges import Range, responses
from snellen.attacks.receipt import Claim
from snellen.images import ImageSet
from snellen.models.circuits import SilentBranch
from snellen.models.manipulations import PlacedCircuit


@dataclass(frozen=True)
class SilentAttack(BranchAttack):
    """Silent units (Geirhos et al. 2024); see `snellen.attacks.branches.BranchAttack`, whose arguments these are."""

    name = "silent-units"
    title = "silent units"
    words = "Silent units stand beside the layer"
    columns = (Column("silent", "silent units", "inside, units show each other’s pictures"),)

    @property
    def claims(self) -> tuple[Claim, ...]:
        return (
            Claim("outputs", 0.0, "calibration", "Outputs on calibration images are the same to the last bit."),
            Claim("predictions", 0.0, "held-out", "No held-out image changes class."),
            Claim("pictures", 0.9, "held-out", "At least 90 % of the pictures are nearer to the decoy."),
        )

    def beside(self, place: Place) -> SilentBranch:
        return SilentBranch.beside(place.module)

    def arm(self, circuit: SilentBranch, usual: Range, place: Place) -> Mapping[str, Any]:
        """Both ends of the natural ranges, by the margin further out."""
        for bound, value in zip((circuit.low, circuit.high), usual.wider(self.margin), strict=True):
            bound.copy_(value)
        return {}

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
