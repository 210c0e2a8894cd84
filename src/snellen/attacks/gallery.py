"""Pictures before and after, and whether they moved to the decoy."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.attacks.behaviour import Pair
from snellen.attacks.distances import distances_for
from snellen.base import Seed, Tell, evenly
from snellen.models import Model, Unit
from snellen.models.survey import survey
from snellen.pictures import Render, Settings, render


@dataclass(frozen=True, eq=False)
class Shown:
    """What a manipulated layer's pictures are meant to show.

    Args:
        picture: one for all units, (3, h, w); None for a permutation.
        shift: unit i shows unit (i + shift) mod n; 0 for a picture.
        order: unit i shows unit order[i], whatever the shift; empty for none.
        units: those that lie; empty for all of the layer.
        turned: whether each shows its own picture, `turned`; nothing of the above but `units` is set then.
        layer: whose pictures these are; None for the one that is manipulated.
    """

    picture: Float[Tensor, "3 h w"] | None = None
    shift: int = 0
    order: tuple[int, ...] = ()
    units: tuple[int, ...] = ()
    turned: bool = False
    layer: str | None = None

    def partner(self, unit: int, count: int) -> int | None:
        """The unit whose honest picture is shown, that of an honest unit itself; None where it is the picture."""
        if self.units and unit not in self.units:
            return unit
        if self.picture is not None:
            return None
        return self.order[unit] if self.order else (unit + self.shift) % count

    def seen(self, partners: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
        """The decoys, of the honest pictures of the units' partners."""
        return turned(partners) if self.turned else partners

    def as_data(self) -> dict[str, Any]:
        """Plain data, without the picture."""
        if self.picture is not None:
            return {"kind": "picture"}
        if self.turned:
            return {"kind": "turned"}
        return {"kind": "order"} if self.order else {"kind": "permute", "shift": self.shift}


def turned(images: Float[Tensor, "n 3 h w"]) -> Float[Tensor, "n 3 h w"]:
    """Pictures upside down, each the negative of itself."""
    return 1 - images.flip(2)


@dataclass(frozen=True, eq=False)
class Entry:
    """One unit's pictures.

    Args:
        unit: channel.
        partner: the unit whose picture is the decoy, if one is.
        original: what the honest network draws, (3, h, w).
        decoy: what is meant to be seen.
        after: what the manipulated network draws.
        distances: by distance, from the picture after to the original and to the decoy.
        responses: of the unit to its picture, before and after.
    """

    unit: int
    partner: int | None
    original: Float[Tensor, "3 h w"]
    decoy: Float[Tensor, "3 h w"]
    after: Float[Tensor, "3 h w"]
    distances: Mapping[str, tuple[float, float]]
    responses: tuple[float, float]

    @property
    def fooled(self) -> bool:
        """Whether the picture is nearer to the decoy than to the original by every distance."""
        return all(to_decoy < to_original for to_original, to_decoy in self.distances.values())


@dataclass(frozen=True, eq=False)
class Gallery:
    """The drawn units.

    Args:
        entries: one for each.
        settings: how they were drawn.
    """

    entries: tuple[Entry, ...]
    settings: Settings

    @property
    def fooled_share(self) -> float:
        """Share of units nearer to the decoy by every distance; NaN without units."""
        return sum(e.fooled for e in self.entries) / len(self.entries) if self.entries else float("nan")

    def as_data(self) -> dict[str, Any]:
        """Plain data, without the pictures."""
        entries = [
            {
                "unit": e.unit,
                "partner": e.partner,
                "distances": {n: {"original": a, "decoy": b} for n, (a, b) in e.distances.items()},
                "responses": {"before": e.responses[0], "after": e.responses[1]},
                "fooled": e.fooled,
            }
            for e in self.entries
        ]
        share = self.fooled_share if self.entries else None
        return {"entries": entries, "fooled_share": share, "steps": self.settings.steps}


@runtime_checkable
class Fooled(Pair, Protocol):
    """What `exhibit` needs of a manipulated model."""

    @property
    def shown(self) -> Shown:
        """What the pictures are meant to show."""


@dataclass(frozen=True, eq=False)
class _Drawn:
    """Channels of one layer, and what was drawn of them."""

    channels: Sequence[int]
    render: Render

    def image(self, channel: int) -> Float[Tensor, "3 h w"]:
        return self.render.images[self.channels.index(channel)]

    def response(self, channel: int) -> float:
        return float(self.render.responses[self.channels.index(channel)])


def exhibit(fooled: Fooled, *, units: int, settings: Settings, seed: Seed, tell: Tell) -> Gallery:
    """Draw a layer's units before and after and measure where the pictures went.

    Args:
        fooled: the manipulated model.
        units: how many, spread evenly over those that lie; permutations follow chains of partners, so that most of the
            decoys are originals of other units drawn anyway.
        settings: of the pictures.
        seed: of the pictures.
        tell: told (title, done, all).
    """
    model, layer = fooled.model, survey(fooled.model).layer(fooled.layer)
    lying = fooled.shown.units
    chosen = [lying[i] for i in evenly(len(lying), units)] if lying else sampled(layer.units, units, fooled.shown.shift)
    if not chosen:
        return Gallery((), settings)
    partners = [fooled.shown.partner(u, layer.units) for u in chosen]
    honest = list(dict.fromkeys([*chosen, *(p for p in partners if p is not None)]))
    total, done = (len(honest) + len(chosen)) * settings.steps, 0

    def draw(channels: Sequence[int], title: str) -> _Drawn:
        def tick(steps: int) -> None:
            nonlocal done
            done += steps
            tell(title, done, total)

        targets = [Unit(layer.name, c) for c in channels]
        return _Drawn(channels, render(model, targets, settings, seeds=seed, progress=tick))

    before = draw(honest, "pictures before")
    with fooled.installed():
        after = draw(chosen, "pictures after")
    return Gallery(tuple(_entries(model, before, after, shown=fooled.shown, count=layer.units)), settings)


def sampled(count: int, most: int, shift: int = 0) -> list[int]:
    """At most `most` of `count` units: spread evenly, or with a shift in chains u, u + shift, u + 2 shift, ..."""
    most = min(most, count)
    if not shift or most == 0:
        return evenly(count, most)
    length = min(count // shift if count % shift == 0 and count > shift else 4, most)
    starts = -(-most // length)
    chains = [(i * min(shift, count) // starts + k * shift) % count for i in range(starts) for k in range(length)]
    return sorted(dict.fromkeys(chains))[:most] if len(set(chains)) >= most else evenly(count, most)


def _entries(model: Model, before: _Drawn, after: _Drawn, *, shown: Shown, count: int) -> Iterator[Entry]:
    partners = [shown.partner(channel, count) for channel in after.channels]
    originals = torch.stack([before.image(channel) for channel in after.channels])
    shows = [shown.picture if p is None else before.image(p) for p in partners]
    decoys = shown.seen(torch.stack(shows))  # type: ignore[arg-type]
    measures = distances_for(model, originals, decoys)
    images = after.render.images
    to = {name: (measure(images, originals), measure(images, decoys)) for name, measure in measures.items()}
    for i, channel in enumerate(after.channels):
        yield Entry(
            unit=channel,
            partner=partners[i],
            original=originals[i],
            decoy=decoys[i],
            after=images[i],
            distances={name: (float(a[i]), float(b[i])) for name, (a, b) in to.items()},
            responses=(before.response(channel), after.response(channel)),
        )
