"""One line for whatever went wrong, and the exit code that goes with it."""

from snellen.base import SnellenError
from snellen.base.files import why

MOST = 2000
"""Characters of a line."""
INTERRUPTED = "interrupted; nothing was left half-written"


def told(error: BaseException) -> tuple[str, int]:
    """What to say of an error, printable and on one line, and the exit code."""
    if isinstance(error, BrokenPipeError):  # the reader of our output has left
        return "", 0
    return printable(_words(error))[:MOST], 2


def printable(text: str) -> str:
    """A text on one line, without anything that a terminal would obey or cannot show."""
    line = " ".join(text.split())
    return "".join(c if c.isprintable() else c.encode("unicode-escape", "surrogatepass").decode() for c in line)


def _words(error: BaseException) -> str:
    if isinstance(error, SnellenError):
        return str(error)
    if isinstance(error, KeyboardInterrupt) or type(error).__name__ == "Abort":
        return str(error) or INTERRUPTED
    if isinstance(error, OSError):
        return why(error) + (f": {error.filename}" if error.filename else "")
    if hasattr(error, "format_message"):  # a misused command line
        said = " ".join(error.format_message().split()).rstrip(".")
        return f"{said}; `snellen --help` lists what there is" if said else "expected a command; try `snellen --help`"
    if isinstance(error, MemoryError):
        return "expected enough memory, got none; ask for less, or for smaller pictures"
    first = (str(error).strip().splitlines() or [""])[0][:300]
    kind = type(error).__name__
    return f"{kind}: {first}; this is a defect of snellen: please report it with what SNELLEN_DEBUG=1 shows"
