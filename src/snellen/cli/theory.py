"""snellen theory: what pictures can guarantee, class by class."""

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from snellen.theory.table import Row


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
    from pathlib import Path

    from snellen.theory.table import compute, find_entries

    rows = tuple(compute(entry) for entry in find_entries(name))
    _print_table(rows)
    if name is not None:
        _print_reasons(rows[0])
    if out is not None:
        from snellen.theory.page import write_page

        typer.echo(f"page: {write_page(rows, Path(out))}")


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


def _cell(verdict: str, shares: tuple[float, ...]) -> str:
    if verdict != "in part":
        return verdict
    return f"in part ({', '.join('<1%' if s < 0.01 else f'{s:.0%}' for s in shares)})"


def _print_reasons(row: "Row") -> None:
    for cell in row.cells:
        typer.echo(f"{cell.question}: {cell.verdict}: {cell.why}")
    typer.echo(row.cells[0].backing)
    if row.gap > 0:
        typer.echo(f"the bounds hold, and may fall short of the tightest by at most {row.gap:.2f} D")
    typer.echo(f"would change it: {row.entry.help}")
