"""Layers as a list that shows itself: a line in a terminal, a tree in a notebook."""

from collections.abc import Iterable
from dataclasses import dataclass

from snellen.base.markup import element
from snellen.models.model import Model
from snellen.models.unit import Layer


@dataclass(frozen=True)
class Row:
    """One line of the tree.

    Args:
        depth: 0 for what hangs on the network itself.
        label: the module's name below its parent.
        layer: None for a container that returns no tensor of its own.
    """

    depth: int
    label: str
    layer: Layer | None


class Layers(tuple[Layer, ...]):
    """A network's layers in the order in which they finish.

    Args:
        found: the layers.
        model: whose they are; it is not held.
    """

    title: str
    rows: tuple[Row, ...]

    def __new__(cls, found: Iterable[Layer], model: Model) -> "Layers":
        """Layers, the line that says whose they are, and their tree."""
        self = super().__new__(cls, found)
        height, width = model.size
        kind = type(model.module).__name__
        self.title = f"{model.name}  {kind}, input {height}x{width}, {model.parameters:,} weights"
        self.rows = _rows(self, model)
        return self

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (tuple(self), self.title, self.rows)

    def __repr__(self) -> str:
        main = sum(layer.main for layer in self)
        return f"<{len(self)} layers, {main} main, of {self.title}>"

    def _repr_html_(self) -> str:
        lines = [element("div", element("b", self.title))]
        for row in self.rows:
            space = f"padding-left:{1.5 * (row.depth + 1):g}em;white-space:nowrap"
            lines.append(element("div", *_told(row), style=space))
        hint = "main layers in bold; a unit is written LAYER:CHANNEL"
        lines.append(element("div", f"{hint}, such as {self[-1].name}:0" if self else hint, style="opacity:.7"))
        return element("div", *lines, style="font-family:monospace;line-height:1.5;max-height:40em;overflow:auto")


def _told(row: Row) -> list[str]:
    if row.layer is None:
        return [element("span", row.label, style="opacity:.6")]
    shape = "x".join(str(side) for side in row.layer.shape)
    name = element("b" if row.layer.main else "span", row.label, title=row.layer.name)
    kind = element("span", row.layer.kind, style="color:#0a7ea4")
    return [name, "  ", kind, f"  {shape}  ", element("span", f"{row.layer.units} units", style="opacity:.6")]


def _rows(found: Iterable[Layer], model: Model) -> tuple[Row, ...]:
    """Layers that ran, and containers of such, as the module registers them."""
    known = {layer.name: layer for layer in found}
    names = [name for name, _ in model.module.named_modules() if name]
    containers = {name.rsplit(".", k)[0] for name in known for k in range(1, name.count(".") + 1)}
    shown = [name for name in names if name in known or name in containers]
    depths: dict[str, int] = {"": -1}
    rows = []
    for name in shown:
        parent = name.rpartition(".")[0]
        while parent not in depths:
            parent = parent.rpartition(".")[0]
        depths[name] = depths[parent] + 1
        rows.append(Row(depths[name], name.removeprefix(f"{parent}.") if parent else name, known.get(name)))
    return tuple(rows)


def _again(found: tuple[Layer, ...], title: str, rows: tuple[Row, ...]) -> Layers:
    """What `Layers.__reduce__` took apart."""
    self = tuple.__new__(Layers, found)
    self.title, self.rows = title, rows
    return self
