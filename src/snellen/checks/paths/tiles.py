"""Which layers are read in one pass over the images, so that their activations fit in memory."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from snellen.base import LayerError, UsageError


@dataclass(frozen=True)
class Pass:
    """One run over the images.

    Args:
        layers: read in it, in order; one where it is tiled.
        resident: images held at once; all, or a block of them that every later image is compared with in pieces.
        piece: images of a piece; 0 where all are resident.
    """

    layers: tuple[str, ...]
    resident: int
    piece: int = 0

    def floats(self, sizes: Mapping[str, int]) -> int:
        """Numbers held at once; a tiled layer is held both as it is and as ranks."""
        copies = 2 if self.piece else 1
        return copies * (self.resident + self.piece) * sum(sizes[layer] for layer in self.layers)


def plan(sizes: Mapping[str, int], layers: Sequence[str], images: int, memory: int) -> tuple[Pass, ...]:
    """As few passes as fit, each of consecutive layers, filled from the deepest so that the deepest passes are fewest.

    A layer that alone exceeds the memory is tiled: with room for r images beside a piece, every image but the first r
    runs again, so it takes about n / 2r + 1 / 2 times the forward passes.

    Args:
        sizes: numbers in one activation, by layer.
        layers: in execution order.
        images: how many in all.
        memory: bytes for activations; four images of the largest layer must fit.

    Raises:
        LayerError: a layer of unknown size.
        UsageError: not even four images fit.
    """
    unknown = [layer for layer in layers if layer not in sizes]
    if unknown:
        raise LayerError(f'expected a layer of the source, got "{unknown[0]}"; choose from {", ".join(sizes)}')
    passes: list[Pass] = []
    group: list[str] = []
    for layer in reversed(layers):
        if group and _bytes(sizes, [*group, layer], images) > memory:
            passes.append(Pass(tuple(reversed(group)), images))
            group = []
        if _bytes(sizes, [layer], images) > memory:
            passes.append(_tiles(layer, sizes[layer], memory))
        else:
            group.append(layer)
    return (*passes, Pass(tuple(reversed(group)), images)) if group else tuple(passes)


def _bytes(sizes: Mapping[str, int], layers: Sequence[str], images: int) -> int:
    return 4 * images * sum(sizes[layer] for layer in layers)


def _tiles(layer: str, size: int, memory: int) -> Pass:
    rows = memory // (8 * size)
    if rows < 2:
        raise UsageError(f'expected memory for 4 images of "{layer}", got {memory} bytes; give at least {16 * size}')
    piece = max(1, min(16, rows // 4))
    return Pass((layer,), rows - piece, piece)
