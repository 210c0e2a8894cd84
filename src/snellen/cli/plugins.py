"""snellen plugins: what can be named, and which package it comes from."""

import typer


def plugins() -> None:
    """List checks, attacks, canvases, objectives and sources, the house's own and those of other packages."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from snellen.verbs.plugins import plugins as listed

    console = Console(highlight=False)
    console.width = max(console.width, 140) if not console.is_terminal else console.width
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("group", "name", "from", "what"):
        table.add_column(column, overflow="fold")
    for plugin in listed():
        table.add_row(*(Text(cell) for cell in (plugin.group, plugin.name, plugin.origin, plugin.what)))
    console.print(table)
    typer.echo("Other packages add theirs by entry points of these groups.")
