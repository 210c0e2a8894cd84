"""snellen doctor: what can be read of a network, and whether it is read right."""

import typer

from snellen.cli import options


def doctor(
    model: options.Model,
    *,
    size: options.Size = None,
    device: options.Device = "auto",
    weights: options.Weights = None,
    trust_pickle: options.TrustPickle = False,
    base: options.Base = None,
) -> None:
    """Establish for every layer which axes count pictures and channels, and whether it is read and drawn right."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from snellen.cli.progress import bar
    from snellen.verbs.doctor import COLUMNS, cells
    from snellen.verbs.doctor import doctor as examine

    with bar("loading") as tell:
        found = examine(
            model, size=size, device=device, weights=weights, trust_pickle=trust_pickle, base=base, progress=tell
        )
    console = Console(highlight=False)
    console.width = max(console.width, 140) if not console.is_terminal else console.width
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for layer in found.layers:
        style = {"wrong": "bold red", "refused": "dim", "read only": "yellow"}.get(layer.verdict, "")
        table.add_row(*(Text(cell) for cell in cells(layer)), style=style)
    console.print(table)
    for note in found.notes:
        console.print(f"note: {note}", markup=False, soft_wrap=True)
    console.print(str(found), markup=False, soft_wrap=True)
    if found.wrong:
        raise typer.Exit(1)
