"""The frieze that the report opens with: some units' pictures above the photographs that excite the same units most."""

from collections.abc import Iterable
from dataclasses import dataclass

from snellen.base import evenly
from snellen.reports.cards import Card, Drawing, Photograph


@dataclass(frozen=True)
class Pair:
    """A unit's picture and the photograph that excites it most."""

    title: str
    href: str
    picture: Drawing
    photograph: Photograph


def frieze(cards: Iterable[Card], most: int = 6) -> tuple[Pair, ...]:
    """Up to `most` pairs, spread evenly over the units that have both; none where fewer than three have."""
    pairs = [pair for card in cards if (pair := _pair(card))]
    if len(pairs) < 3:
        return ()
    return tuple(pairs[i] for i in evenly(len(pairs), min(most, len(pairs)) // 3 * 3))


def _pair(card: Card) -> Pair | None:
    drawings = [d for column in card.columns[:1] for d in column.drawings]
    photographs = [p for column in card.columns for p in column.photographs]
    if not drawings or not photographs or drawings[0].image is None or photographs[0].image is None:
        return None
    return Pair(card.title if card.named else card.address, f"#{card.anchor}", drawings[0], photographs[0])
