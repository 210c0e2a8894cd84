"""Receipts: what an attack claimed and what was measured."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from snellen.attacks.behaviour import Behaviour
from snellen.attacks.gallery import Gallery

FORMAT = 1


@dataclass(frozen=True)
class Claim:
    """What an attack's author says of its result.

    Args:
        subject: "outputs" (share of images with any changed bit in the outputs), "predictions" (share of images with
            another top class) or "pictures" (share of drawn units nearer to the decoy by both distances).
        bound: the most that the share may be; for pictures the least.
        on: "calibration" or "held-out" images; of no consequence for pictures.
        text: one sentence for people.
    """

    subject: Literal["outputs", "predictions", "pictures"]
    bound: float
    on: Literal["calibration", "held-out"]
    text: str

    @property
    def exact(self) -> bool:
        """Whether nothing at all may change."""
        return self.subject == "outputs" and self.bound == 0


def kept_predictions(changed: float) -> tuple[Claim, Claim]:
    """That hardly any image changes its class, neither of those that were learned from nor of others.

    Args:
        changed: the largest share that may.
    """
    most = f"{100 * changed:g} %"
    return (
        Claim("predictions", changed, "calibration", f"At most {most} of the training images change class."),
        Claim("predictions", changed, "held-out", f"At most {most} of held-out images change class."),
    )


@dataclass(frozen=True)
class Measured:
    """A claim and its figure.

    Args:
        claim: what was said.
        figure: the share that was found; NaN where nothing was measured.
        count: of images or units.
    """

    claim: Claim
    figure: float
    count: int

    @property
    def kept(self) -> bool | None:
        """Whether the claim holds; None where nothing was measured."""
        if self.count == 0 or math.isnan(self.figure):
            return None
        return self.figure >= self.claim.bound if self.claim.subject == "pictures" else self.figure <= self.claim.bound


@dataclass(frozen=True, eq=False)
class Receipt:
    """What the house measured of a manipulated model.

    Args:
        method: the attack's name.
        title: of what it makes.
        words: a sentence on what was done to the layer, without its name.
        layer: that was manipulated.
        claims: each with its figure.
        behaviour: on natural images, by set.
        gallery: pictures before and after.
        facts: how it was made.
    """

    method: str
    title: str
    words: str
    layer: str
    claims: tuple[Measured, ...]
    behaviour: Mapping[str, Behaviour]
    gallery: Gallery
    facts: Mapping[str, Any]

    @property
    def honest(self) -> bool:
        """Whether no claim was found broken."""
        return all(measured.kept is not False for measured in self.claims)

    def as_data(self) -> dict[str, Any]:
        """Plain data, without the pictures; infinite and missing numbers become None."""
        claims = [
            {**asdict(m.claim), "exact": m.claim.exact, "figure": m.figure, "count": m.count, "kept": m.kept}
            for m in self.claims
        ]
        data = {
            "format": FORMAT,
            "method": self.method,
            "title": self.title,
            "words": self.words,
            "layer": self.layer,
            "claims": claims,
            "behaviour": {name: asdict(b) for name, b in self.behaviour.items()},
            "gallery": self.gallery.as_data(),
            "facts": dict(self.facts),
        }
        return json.loads(json.dumps(data), parse_constant=lambda _: None)
