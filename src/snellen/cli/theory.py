"""snellen theory: what pictures can guarantee, class by class."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from snellen.theory.table import Row

_WIDE = 124  # columns that the titles of the classes need


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
        from snellen.theory import report
        from snellen.theory.table import find_entries

        twins = None
        if out is not None and any(entry.name == "relu" for entry in find_entries(name)):
            from snellen.certificates.twins import draw_twins
            from snellen.theory.pictures import check_installed

            check_installed()
            tell("drawing two networks", 0, 1)
            twins = draw_twins()
        rows = report(name, out=out, twins=twins, progress=tell)
    _print_table(rows)
    if name is not None:
        _print_reasons(rows[0])
    else:
        typer.echo("reasons, witnesses and what would help, for one class: --class NAME")
    if out is not None:
        typer.echo(f"page: {Path(out) / 'index.html'}")


def _print_table(rows: "tuple[Row, ...]") -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    from snellen.theory.table import LEGEND

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = max(console.width, _WIDE)
    wide = console.width >= _WIDE
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, int(wide), 0, 0), show_edge=False)
    titles = ("name", *(["class"] if wide else []), "exactly", "within 0.1 D", "nearer to", "worst error", "paper")
    for title in titles:
        table.add_column(title, no_wrap=title not in ("class", "paper"), min_width={"class": 26, "paper": 9}.get(title))
    for row in rows:
        cells = [_cell(cell.verdict, cell.shares) for cell in row.cells]
        errors = ", ".join(dict.fromkeys(f"{w:.2f}" for w in row.worst)) + " D"
        table.add_row(row.entry.name, *([row.entry.title] if wide else []), *cells, errors, row.paper)
    console.print(table)
    dims = "shares of the domain, and worst errors where they differ, in 2 and in 8 dimensions; D = f(x_max) - f(x_min)"
    console.print(f"\n{dims}", style="dim")
    console.print(f"paper: {LEGEND}", style="dim")
    for row in rows:
        if row.gap > 0:
            console.print(f"{row.entry.name}: {_short_of(row)}", style="dim")


def _cell(verdict: str, shares: tuple[float, ...]) -> str:
    if verdict != "in part":
        return verdict
    return f"in {', '.join('<1%' if s < 0.01 else f'{s:.0%}' for s in shares)}"


def _print_reasons(row: "Row") -> None:
    for cell in row.cells:
        whose = "ours, beyond the paper" if cell.paper == "ours" else f"{cell.paper}, as in the paper"
        typer.echo(f"{cell.question}: {cell.verdict} ({whose}): {cell.why}")
    for backing in dict.fromkeys(cell.backing for cell in row.cells):
        typer.echo(backing)
    if row.gap > 0:
        typer.echo(_short_of(row))
    typer.echo(f"would change it: {row.entry.help}")
    typer.echo(f"paper: {row.entry.paper}")


def _short_of(row: "Row") -> str:
    return f"the bounds hold, and may fall short of the tightest by at most {row.gap:.2f} D"
