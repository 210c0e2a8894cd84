"""Addresses: which number inside a network is meant."""

import math
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from snellen.base import LayerError, UnitError, brief, nearest

_AT = r"(?:@(?P<h>[0-9]{1,9}),(?P<w>[0-9]{1,9}))?"
_ADDRESS = re.compile(r"(?P<layer>.{1,1000}):(?P<channels>\*|[0-9]{1,9}(?:-[0-9]{1,9})?)" + _AT)
_PLACE = re.compile(r"(?P<layer>.*?)(?P<pre>/pre)?" + _AT, re.DOTALL)
_PRE = "/pre"


@dataclass(frozen=True, order=True)
class Unit:
    """One channel of one layer, averaged over positions (or tokens), or read at one position.

    Written `layer:channel`, `layer:channel@h,w`, and `layer/pre:channel` for the value that enters the ReLU which
    closes the layer (a ReLU's output has no minimum worth a picture: everything below zero looks the same to it).

    Args:
        layer: dotted path of a submodule, as in `module.named_modules()`.
        channel: 0 or more.
        position: row and column in the layer's own map (for tokens: in its grid of patches).
        pre: read before the closing ReLU.
    """

    layer: str
    channel: int
    position: tuple[int, int] | None = None
    pre: bool = False

    @staticmethod
    def parse(text: str) -> "Unit":
        """The unit that `str(unit)` writes.

        Raises:
            UnitError: the text is no address of a single unit.
        """
        found = parse_range(text)
        if found.first is None or found.first != found.last:
            raise UnitError(f'expected one unit as in "layer:17", got "{brief(text)}"')
        return Unit(found.layer, found.first, found.position, found.pre)

    @property
    def address(self) -> str:
        """What `observe` reads it from: the layer's path, then /pre before the ReLU, then @h,w at one position."""
        return f"{self.layer}{_PRE * self.pre}{self._at}"

    @property
    def _at(self) -> str:
        return "" if self.position is None else f"@{self.position[0]},{self.position[1]}"

    def __str__(self) -> str:
        return f"{self.layer}{_PRE * self.pre}:{self.channel}{self._at}"


@dataclass(frozen=True)
class Place:
    """What an address names: a layer, before or after its closing ReLU, at all positions or at one."""

    layer: str
    pre: bool
    position: tuple[int, int] | None

    @staticmethod
    def parse(address: str) -> "Place":
        """The place that `Unit.address` writes."""
        match = _PLACE.fullmatch(address)
        if match is None:
            raise LayerError(f'expected a layer as in "layer3.1", got "{address}"')
        position = (int(match["h"]), int(match["w"])) if match["h"] else None
        return Place(match["layer"], match["pre"] is not None, position)


def unknown_layer(name: str, known: Iterable[str]) -> LayerError:
    """The one line for a layer that a network does not have.

    Args:
        name: that was asked for.
        known: that there are.
    """
    hint = nearest(name, filter(None, known)) or "`snellen layers MODEL` lists them"
    return LayerError(f'expected a layer of the model, got "{name}"; {hint}')


@dataclass(frozen=True)
class UnitRange:
    """What a person writes on a command line: a layer and one, some (`0-9`) or all (`*`) of its channels."""

    layer: str
    first: int | None
    last: int | None
    position: tuple[int, int] | None
    pre: bool


@dataclass(frozen=True)
class Layer:
    """One submodule, as one forward pass of one picture found it.

    Args:
        name: dotted path.
        kind: class name of the module.
        shape: of its output for one picture, as `observe` gives it: (c, h, w), (tokens, d), (d,), or channels last.
        units: number of channels.
        main: whether it is one of the blocks a reader would draw in a diagram of the network.
        rectified: whether its output is that of a ReLU, so that `/pre` exists.
        depth: how many submodules had finished before it.
        grid: rows and columns of its positions; None where it has none that can be named.
        prefix: tokens before those of the grid (class and register tokens).
        drawable: whether gradients flow from it to the picture.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    units: int
    main: bool
    rectified: bool
    depth: int
    grid: tuple[int, int] | None = None
    prefix: int = 0
    drawable: bool = True


def parse_range(text: str) -> UnitRange:
    """Reads `layer:channel`, `layer:channel@h,w`, `layer:0-9` or `layer:*`.

    Raises:
        UnitError: the text is none of these.
    """
    match = _ADDRESS.fullmatch(text)
    if match is None:
        raise UnitError(
            f'expected a unit as in "layer:17", "layer:17@3,4", "layer:0-9" or "layer:*", got "{brief(text)}"'
        )
    layer, channels = match["layer"], match["channels"]
    first, _, last = channels.partition("-")
    position = (int(match["h"]), int(match["w"])) if match["h"] else None
    low, high = (None, None) if channels == "*" else (int(first), int(last or first))
    return UnitRange(layer.removesuffix(_PRE), low, high, position, layer.endswith(_PRE))


def expand(text: str, known: Callable[[str], Layer]) -> tuple[Unit, ...]:
    """The units that `text` names among the layers of a model.

    Args:
        text: as `parse_range` reads it.
        known: the layer of a name; raises a LayerError for one that the model does not have.

    Raises:
        LayerError: no such layer; the message offers the nearest names.
        UnitError: a channel or position outside the layer.
    """
    wanted = parse_range(text)
    try:
        layer = known(wanted.layer)
    except LayerError:
        if not wanted.pre:
            raise
        layer, wanted = known(wanted.layer + _PRE), replace(wanted, pre=False)  # a name that ends so
    first, last = (0, layer.units - 1) if wanted.first is None or wanted.last is None else (wanted.first, wanted.last)
    if not first <= last < layer.units:
        raise UnitError(f'expected a channel of "{layer.name}" in 0-{layer.units - 1}, got "{text.split(":")[-1]}"')
    if wanted.pre and not layer.rectified:
        raise UnitError(f'expected a layer that ends in a ReLU for "/pre", got "{layer.name}"; leave "/pre" away')
    grid = layer.grid
    if wanted.position and (grid is None or wanted.position[0] >= grid[0] or wanted.position[1] >= grid[1]):
        what = f"positions up to {grid[0] - 1},{grid[1] - 1}" if grid else "no positions"
        raise UnitError(f'expected a position of "{layer.name}", which has {what}, got "{text}"')
    template = Unit(layer.name, first, wanted.position, wanted.pre)
    return tuple(replace(template, channel=c) for c in range(first, last + 1))


def channel_axis(shape: tuple[int, ...]) -> int:
    """Which axis of one picture's activation holds the channels: the first of maps, the last of vectors and tokens."""
    return 0 if len(shape) == 3 else len(shape) - 1


def is_channels_last(shape: tuple[int, ...], size: tuple[int, int]) -> bool:
    """Whether a module gave its map as (h, w, c), as Swin's do; told from the proportions of the picture.

    Args:
        shape: of one picture's activation.
        size: height and width of the picture.
    """
    if len(shape) != 3:
        return False
    first, middle, last = shape
    h, w = size
    if h == w:
        return first == middle != last
    if middle == last and first * w != middle * h:  # pooled to a square
        return False
    fits = abs(first * w - middle * h) <= max(h, w)  # to a pixel of the smaller map
    return fits and abs(math.log(first * w / (middle * h))) < abs(math.log(middle * w / (last * h)))
