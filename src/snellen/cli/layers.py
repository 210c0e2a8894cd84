"""snellen layers: what a network consists of, for one input."""

from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli import options

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.text import Text
    from rich.tree import Tree

    from snellen.models import Layer, Model


def layers(
    model: options.Model,
    *,
    size: options.Size = None,
    weights: options.Weights = None,
    trust_pickle: options.TrustPickle = False,
    base: options.Base = None,
    main: Annotated[bool, typer.Option("--main", help="Only the main layers.")] = False,
) -> None:
    """Print the tree of layers with output shapes and unit counts."""
    from pathlib import Path

    from rich.console import Console

    from snellen.models import layers as layers_of
    from snellen.models.sources import load_model

    file = None if weights is None else Path(weights)
    loaded = load_model(model, weights=file, size=size, trust_pickle=trust_pickle, base=base)
    found = [layer for layer in layers_of(loaded) if layer.main or not main]
    console = Console(highlight=False)
    console.width = max(console.width, 100) if not console.is_terminal else console.width
    console.print(_tree(loaded, found))
    console.print("[bold]main layers[/] in bold; a unit is written LAYER:CHANNEL, such as", end=" ")
    console.print(f"{found[-1].name}:0" if found else "layer:0", markup=False)


def _tree(model: "Model", found: "Sequence[Layer]") -> "Tree":
    from rich.text import Text
    from rich.tree import Tree

    height, width = model.size
    kind = type(model.module).__name__
    root = Tree(Text(f"{model.name}  {kind}, input {height}x{width}, {model.parameters:,} weights"))
    known = {layer.name: layer for layer in found}
    branches = {"": root}
    for name in _in_tree_order(model, known):
        parent = name.rpartition(".")[0]
        while parent not in branches:
            parent = parent.rpartition(".")[0]
        branches[name] = branches[parent].add(
            _line(name.removeprefix(f"{parent}.") if parent else name, known.get(name))
        )
    return root


def _in_tree_order(model: "Model", known: "dict[str, Layer]") -> list[str]:
    """Layers that ran, and containers of such, as the module registers them."""
    names = [name for name, _ in model.module.named_modules() if name]
    return [n for n in names if n in known or any(k.startswith(f"{n}.") for k in known)]


def _line(name: str, layer: "Layer | None") -> "Text":
    from rich.text import Text

    if layer is None:
        return Text(name, style="dim")
    line = Text(name, style="bold" if layer.main else "")
    line.append(f"  {layer.kind}", style="not bold cyan")
    line.append(f"  {'x'.join(str(side) for side in layer.shape)}", style="not bold")
    line.append(f"  {layer.units} units", style="not bold dim")
    return line
