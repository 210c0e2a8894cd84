"""The command line: one file a command, everything heavy imported inside it."""

import os
import sys
from collections.abc import Sequence
from typing import NoReturn

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit: 0 if all went well, 2 with one line on stderr if not.

    Whatever goes wrong is one line, from the first import on; SNELLEN_DEBUG=1 shows the traceback instead.

    Args:
        arguments: words after the program's name; by default those it was called with.
    """
    try:
        _open_streams()
        from snellen.cli.app import run

        run(arguments)
        sys.stdout.flush()
    except SystemExit:
        raise
    except BaseException as error:
        from snellen.cli.failures import told

        if os.environ.get("SNELLEN_DEBUG", "") not in ("", "0"):
            raise
        _leave(*told(error))
    _leave("", 0)


def _open_streams() -> None:
    """Where a shell closed stdin, stdout or stderr, the next file to be opened would take its number and its text."""
    for number, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
        if getattr(sys, name) is None:
            setattr(sys, name, open(number, mode, closefd=False))  # noqa: SIM115 - open as long as the program


def _leave(line: str, code: int) -> NoReturn:
    """Exit with a line on stderr, even where nobody can be told any more."""
    if line:
        try:
            print(f"snellen: {line}", file=sys.stderr, flush=True)  # noqa: T201 - the program's voice
        except (OSError, ValueError):
            _silence(2)
    try:
        sys.stdout.flush()
    except (OSError, ValueError):
        _silence(1)
    sys.exit(code)


def _silence(number: int) -> None:
    """What is still buffered for a stream that is gone goes nowhere, instead of into an error at the exit."""
    void = os.open(os.devnull, os.O_WRONLY)
    os.dup2(void, number)
    os.close(void)
