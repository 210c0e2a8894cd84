"""snellen theory: what pictures can guarantee, class by class."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from snellen.theory.table import Row

_DRAWING = 10  # how much longer it takes to draw a class than to compute its row


def theory(
    *,
    name: Annotated[
        str | None, typer.Option("--class", metavar="NAME", help="One class of the table; by default all.")
    ] = None,
    out: Annotated[
        str | None, typer.Option("--out", metavar="DIR", help="Also write the page with its pictures there.")
    ] = None,
) -> None:
    """Print the table of function classes and questions; with --out also make its page."""
    from snellen.cli.progress import bar

    with bar("loading") as tell:
        from pathlib import Path

        from snellen.theory.table import compute, find_entries

        entries = find_entries(name)
        steps = len(entries) * (1 if out is None else 1 + _DRAWING)
        rows = []
        for number, entry in enumerate(entries):
            tell(f"computing {entry.name}", number, steps)
            rows.append(compute(entry))
        page = None
        if out is not None:
            from snellen.theory.page import write_page

            page = write_page(
                tuple(rows), Path(out), progress=lambda what, done: tell(what, len(rows) + _DRAWING * done, steps)
            )
    _print_table(tuple(rows))
    if name is not None:
        _print_reasons(rows[0])
    if page is not None:
        typer.echo(f"page: {page}")


def _print_table(rows: "tuple[Row, ...]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False)
    console.width = max(console.width, 120) if not console.is_terminal else console.width
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for title in ("name", "class", "exactly", "within 0.1 D", "nearer to which", "worst error"):
        table.add_column(title, no_wrap=title == "name")
    for row in rows:
        cells = [_cell(cell.verdict, cell.shares) for cell in row.cells]
        table.add_row(row.entry.name, row.entry.title, *cells, ", ".join(f"{w:.2f} D" for w in row.worst))
    console.print(table)
    dims = "shares of the domain and worst errors in 2 and in 8 dimensions; D is the range between the two pictures"
    console.print(dims, style="dim")
    for row in rows:
        if row.gap > 0:
            console.print(f"{row.entry.name}: {_short_of(row)}", style="dim")


def _cell(verdict: str, shares: tuple[float, ...]) -> str:
    if verdict != "in part":
        return verdict
    return f"in part ({', '.join('<1%' if s < 0.01 else f'{s:.0%}' for s in shares)})"


def _print_reasons(row: "Row") -> None:
    for cell in row.cells:
        typer.echo(f"{cell.question}: {cell.verdict}: {cell.why}")
    typer.echo(row.cells[0].backing)
    if row.gap > 0:
        typer.echo(_short_of(row))
    typer.echo(f"would change it: {row.entry.help}")


def _short_of(row: "Row") -> str:
    return f"the bounds hold, and may fall short of the tightest by at most {row.gap:.2f} D"
