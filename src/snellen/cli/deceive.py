"""snellen deceive: a network whose pictures lie, and the receipt of what that took."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from snellen.cli import options


def deceive(  # noqa: PLR0913 - a command line's options
    model: options.Model = "builtin",
    *,
    method: Annotated[str, typer.Option(metavar="fooling-circuit|silent-units", help="How.")] = "fooling-circuit",
    show: Annotated[
        str, typer.Option(metavar="PICTURE|permute", help="What the pictures show: a file, or each another unit.")
    ] = "permute",
    images: Annotated[
        str | None, typer.Option(metavar="DIR", help="Natural images to train or calibrate on; default: built-in.")
    ] = None,
    held_out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Natural images to measure on; default: every fifth of --images.")
    ] = None,
    layer: Annotated[str | None, typer.Option(metavar="NAME", help="Whose units lie; default: the last.")] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the model and its receipt.")] = Path("deceived"),
    detector: Annotated[str, typer.Option(metavar="cnn|readout", help="Of the fooling circuit.")] = "readout",
    margin: Annotated[
        float, typer.Option(min=0.0, help="Of silent units: how far below zero, in natural ranges, images leave them.")
    ] = 0.5,
    units: Annotated[int, typer.Option(min=0, help="Units whose pictures the receipt shows.")] = 8,
    steps: options.Steps = None,
    size: options.Size = None,
    seed: options.Seed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer pictures and steps.")] = False,
    device: options.Device = "auto",
    weights: options.Weights = None,
    trust_pickle: options.TrustPickle = False,
) -> None:
    """Manipulate a network so that its visualizations lie, for red teams and for testing audits.

    OUT becomes a model of its own (`snellen audit OUT`), with a receipt of what was changed beside it.
    """
    from snellen.cli.progress import bar, console

    with bar("loading") as tell:
        from snellen.verbs.deceive import deceive as run

        done = run(
            model,
            method=method,
            show=show,
            images=images,
            held_out=held_out,
            layer=layer,
            out=out,
            detector=detector,
            margin=margin,
            units=units,
            steps=steps,
            size=size,
            seed=seed,
            quick=quick,
            device=device,
            weights=weights,
            trust_pickle=trust_pickle,
            progress=tell,
        )
    if not done.honest:
        console().print("snellen: a claim did not hold; the receipt says which", markup=False)
    typer.echo(f"model: {out}")
    typer.echo(f"receipt: {done.page}")
    if model.rpartition(":")[0].endswith(".py"):
        typer.echo(f"audit it: {shlex.join(['snellen', 'audit', str(out), '--base', model])}")
