"""snellen layers: what a network consists of, for one input."""

from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli import options

if TYPE_CHECKING:
    from rich.text import Text
    from rich.tree import Tree

    from snellen.models import Layer, Layers


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
    from rich.console import Console

    from snellen.models import layers as layers_of

    found = layers_of(model, size=size, weights=weights, trust_pickle=trust_pickle, base=base, main=main)
    console = Console(highlight=False)
    console.width = max(console.width, 100) if not console.is_terminal else console.width
    console.print(_tree(found))
    console.print("[bold]main layers[/] in bold; a unit is written LAYER:CHANNEL, such as", end=" ")
    console.print(f"{found[-1].name}:0" if found else "layer:0", markup=False)


def _tree(found: "Layers") -> "Tree":
    from rich.text import Text
    from rich.tree import Tree

    root = Tree(Text(found.title))
    branch = [root]
    for row in found.rows:
        del branch[row.depth + 1 :]
        branch.append(branch[-1].add(_line(row.label, row.layer)))
    return root


def _line(name: str, layer: "Layer | None") -> "Text":
    from rich.text import Text

    if layer is None:
        return Text(name, style="dim")
    line = Text(name, style="bold" if layer.main else "")
    line.append(f"  {layer.kind}", style="not bold cyan")
    line.append(f"  {'x'.join(str(side) for side in layer.shape)}", style="not bold")
    line.append(f"  {layer.units} units", style="not bold dim")
    return line
