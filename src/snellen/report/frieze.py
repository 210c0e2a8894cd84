"""The frieze that the report opens with: some units' pictures above the photographs that excite the same units most."""

from collections.abc import Iterable
from dataclasses import dataclass

from snellen.report.cards import Card, Drawing, Photograph


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
    most = min(most, len(pairs)) // 3 * 3
    return tuple(pairs[i * len(pairs) // most] for i in range(most))


def _pair(card: Card) -> Pair | None:
    first = card.columns[0] if card.columns else None
    if first is None or not first.drawings or not first.photographs:
        return None
    drawing, photograph = first.drawings[0], first.photographs[0]
    if drawing.image is None or photograph.image is None:
        return None
    return Pair(card.title, f"#{card.anchor}", drawing, photograph)
