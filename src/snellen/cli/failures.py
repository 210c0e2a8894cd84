"""One line for whatever went wrong, and the exit code that goes with it."""

import traceback

from snellen.base import SnellenError
from snellen.base.files import why
from snellen.base.plugins import HOUSE

MOST = 2000
"""Characters of a line."""
INTERRUPTED = "interrupted; nothing was left half-written"


def told(error: BaseException) -> tuple[str, int]:
    """What to say of an error, printable and on one line, and the exit code."""
    if isinstance(error, BrokenPipeError):  # the reader of our output has left
        return "", 0
    return printable(_words(error))[:MOST], 2


def _stranger(error: BaseException) -> str:
    """The other package in whose code something went wrong, and the part of it that is known; "" where it is ours."""
    from snellen.verbs.plugins import GROUPS

    modules = [str(frame.f_globals.get("__name__", "")) for frame, _ in traceback.walk_tb(error.__traceback__)]
    packages, found = {name.partition(".")[0] for name in modules}, ""
    for group in GROUPS:
        for part in group.parts.values():
            module = part.target.partition(":")[0]
            if part.origin != HOUSE and module in modules:
                return f'the {group.noun} "{part.name}" of {part.origin}'
            if part.origin != HOUSE and module.partition(".")[0] in packages:
                found = part.origin
    return found


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
    if stranger := _stranger(error):
        return f"{kind}: {first}; raised in {stranger}: report it there, with what SNELLEN_DEBUG=1 shows"
    return f"{kind}: {first}; this is a defect of snellen: please report it with what SNELLEN_DEBUG=1 shows"
