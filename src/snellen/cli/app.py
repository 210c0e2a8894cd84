"""The program: its commands, and one clear line for whatever goes wrong."""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated, NoReturn

import typer

from snellen.base import SnellenError
from snellen.cli import audit, certify, deceive, doctor, layers, matrix, report, theory, visualize

app = typer.Typer(
    help="An eye test for feature visualizations: draw what a network's units look for, and learn how far to trust it.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("audit")(audit.audit)
app.command("visualize")(visualize.visualize)
app.command("layers")(layers.layers)
app.command("doctor")(doctor.doctor)
app.command("report")(report.report)
app.command("theory")(theory.theory)
app.command("certify")(certify.certify)
app.command("deceive")(deceive.deceive)
app.command("matrix")(matrix.matrix)


def _version(asked: bool) -> bool:
    if asked:
        from snellen import __version__

        typer.echo(f"snellen {__version__}")
        raise typer.Exit
    return asked


@app.callback()
def program(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """An eye test for feature visualizations."""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the program and exit: 0 if all went well, 2 with one line on stderr if not.

    Args:
        arguments: words after the program's name; by default those it was called with.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads stall each other on a busy machine
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    try:
        command = typer.main.get_command(app)
        with command.make_context("snellen", words) as context:  # not command.main(): it has its own way with Ctrl-C
            command.invoke(context)
        sys.stdout.flush()
    except typer.Exit as asked:
        sys.exit(asked.exit_code)
    except SnellenError as error:
        _fail(str(error))
    except KeyboardInterrupt as error:
        _fail(str(error) or "interrupted; nothing was left half-written")
    except typer.Abort:
        _fail("interrupted; nothing was left half-written")
    except BrokenPipeError:  # the reader of our output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
    except OSError as error:
        place = f": {error.filename}" if error.filename else ""
        _fail(f"{(error.strerror or type(error).__name__).lower()}{place}")
    except Exception as error:
        if not hasattr(error, "format_message"):  # neither ours nor a misused command line: a bug, shown in full
            raise
        told = " ".join(error.format_message().split()).rstrip(".")
        _fail(f"{told}; `snellen --help` lists what there is" if told else "expected a command; try `snellen --help`")
    sys.exit(0)


def _fail(line: str) -> NoReturn:
    print(f"snellen: {' '.join(line.split())}", file=sys.stderr)  # noqa: T201 - the program's voice
    sys.exit(2)
