"""`snellen.theory.report`: what pictures can guarantee, class by class, as the command `snellen theory` prints it."""

from pathlib import Path

from snellen.progress import Watch, told
from snellen.theory.page import write_page
from snellen.theory.pictures import check_installed
from snellen.theory.table import Row, compute, find_entries
from snellen.theory.twins import Twins

_DRAWING = 10  # how much longer it takes to draw a class than to compute its row


def report(
    name: str | None = None,
    *,
    out: str | Path | None = None,
    twins: Twins | None = None,
    progress: Watch = True,
) -> tuple[Row, ...]:
    """The table of function classes and questions; with `out` also its page with pictures, OUT/index.html.

    Args:
        name: one class of the table; by default all.
        out: also write the page there.
        twins: two networks with one pair of pictures, to be shown on the page, as the command shows them where ReLU
            networks are in the table: `snellen.certificates.twins.draw_twins()`.
        progress: False for no bar; or called with (title, done, total).

    Returns:
        A row for each class.

    Raises:
        UsageError: no such class; the nearest names are offered.
        OutputError: the folder cannot be written to.
        DependencyError: the page needs matplotlib, which is not installed.
    """
    if out is not None:
        check_installed()
    with told(progress, "loading") as tell:
        entries = find_entries(name)
        steps = len(entries) * (1 if out is None else 1 + _DRAWING)
        rows = []
        for number, entry in enumerate(entries):
            tell(f"computing {entry.name}", number, steps)
            rows.append(compute(entry))
        if out is not None:

            def drawn(what: str, done: int) -> None:
                tell(what, len(rows) + _DRAWING * done, steps)

            write_page(tuple(rows), Path(out), twins=twins, progress=drawn)
    return tuple(rows)
