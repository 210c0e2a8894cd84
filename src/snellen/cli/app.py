"""The program: its commands."""

import os
import signal
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from snellen.cli import (
    audit,
    certify,
    deceive,
    doctor,
    layers,
    matrix,
    plugins,
    rebuild,
    report,
    structure,
    theory,
    visualize,
)

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
app.command("rebuild")(rebuild.rebuild)
app.command("deceive", cls=deceive.MethodCommand)(deceive.deceive)
app.command("matrix")(matrix.matrix)
app.command("plugins")(plugins.plugins)
app.add_typer(structure.app, name="structure")


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


def run(arguments: Sequence[str] | None = None) -> None:
    """Run a command; whatever goes wrong is raised, for `snellen.cli.main` to put into words.

    Args:
        arguments: words after the program's name; by default those it was called with.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # spinning threads stall each other on a busy machine
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    command = typer.main.get_command(app)
    try:
        with command.make_context("snellen", words) as context:  # not command.main(): it has its own way with Ctrl-C
            command.invoke(context)
    except typer.Exit as asked:
        if asked.exit_code:
            sys.exit(asked.exit_code)
