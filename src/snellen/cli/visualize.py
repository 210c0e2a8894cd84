"""snellen visualize: pictures of single units."""

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli import options


def visualize(  # noqa: PLR0913 - a command line's options
    model: options.Model,
    units: Annotated[
        list[str],
        typer.Argument(metavar="UNIT...", help='"layer:3", "layer:3@2,4", "layer:0-9", "layer:*", "deepdream(layer)".'),
    ],
    *,
    minimize: Annotated[bool, typer.Option("--minimize", help="Draw what a unit responds to least.")] = False,
    canvas: options.Canvas = "fourier",
    steps: options.Steps = None,
    size: options.Size = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the pictures.")] = Path("pictures"),
    device: options.Device = "auto",
    seed: options.Seed = 0,
    weights: options.Weights = None,
    trust_pickle: options.TrustPickle = False,
    base: options.Base = None,
    precision: options.Precision = "float32",
    compiled: options.Compile = False,
) -> None:
    """Draw what units look for: a PNG and a small JSON for each."""
    from snellen.cli.progress import bar, console

    with bar("loading") as tell:
        from snellen.models import open_model
        from snellen.verbs.visualize import visualize as draw

        loaded = open_model(model, size=size, weights=weights, trust_pickle=trust_pickle, base=base, device=device)
        for line in loaded.provenance.get("notes", ()):
            console().print(f"snellen: {loaded.name}: {line}", markup=False, soft_wrap=True)
        written = draw(
            loaded,
            units,
            minimize=minimize,
            canvas=canvas,
            steps=steps,
            out=out,
            seed=seed,
            precision=precision,
            compiled=compiled,
            progress=tell,
        )
    for picture in written:
        response = "none" if picture.response is None else f"{picture.response:.4g}"
        typer.echo(
            f"{picture.unit} {picture.direction}: {picture.status}, response {response}, {picture.path or 'no picture'}"
        )
