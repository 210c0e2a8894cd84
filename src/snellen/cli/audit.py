"""snellen audit: pictures, natural images and how far they agree, as a report."""

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli import options


def audit(  # noqa: PLR0913 - a command line's options
    model: options.Model = "builtin",
    *,
    images: Annotated[
        str | None,
        typer.Option(
            metavar="DIR",
            help="Folder of class folders, flat folder or .npz file; by default the built-in photographs.",
        ),
    ] = None,
    units: Annotated[
        list[str] | None,
        typer.Option(
            metavar="SPEC", help='"layer:3", "layer:3@2,4", "layer:0-9" or "layer:*"; can be given several times.'
        ),
    ] = None,
    layers: Annotated[
        str, typer.Option(metavar="auto|NAME,...", help="Layers of the similarity curve; auto: the main layers.")
    ] = "auto",
    steps: options.Steps = None,
    size: options.Size = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the run; by default runs/NAME-KEY.")
    ] = None,
    device: options.Device = "auto",
    seed: options.Seed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer units, images and steps.")] = False,
    weights: options.Weights = None,
    trust_pickle: options.TrustPickle = False,
    base: options.Base = None,
    precision: options.Precision = "float32",
    compiled: options.Compile = False,
    canvas: options.Canvas = "fourier",
    workers: Annotated[
        int, typer.Option(min=1, max=1024, metavar="N", help="Processes that draw pictures; more than one needs Ray.")
    ] = 1,
    viewer: Annotated[
        str,
        typer.Option(metavar="MODEL", help="Another network, with whose eyes the pictures are looked at; empty: none."),
    ] = "builtin",
    labels: Annotated[
        str | None, typer.Option(metavar="FILE", help="Names of the classes, one a line, where the model has none.")
    ] = None,
) -> None:
    """Draw what units look for, set natural images beside it, and report how far the pictures can be trusted.

    The folder that it writes can be continued: after a crash or Ctrl-C the same command goes on where it was.
    """
    from snellen.cli.progress import bar, console

    told = console()
    with bar("loading") as tell:
        from snellen.verbs.audit import audit as run

        done = run(
            model,
            images=images,
            units=units,
            layers=layers,
            steps=steps,
            size=size,
            out=out,
            device=device,
            seed=seed,
            quick=quick,
            weights=weights,
            trust_pickle=trust_pickle,
            base=base,
            precision=precision,
            compiled=compiled,
            canvas=canvas,
            workers=workers,
            labels=labels,
            viewer=viewer,
            progress=tell,
            note=lambda line: told.print(f"snellen: {line}", markup=False, soft_wrap=True),
        )
    typer.echo(f"record: {done / 'audit.json'}")
    typer.echo(f"report: {done.page}")
