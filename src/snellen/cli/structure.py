"""snellen structure: networks whose structure says something of their pictures."""

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli import options

app = typer.Typer(help="Train networks whose structure says something of their pictures, and compare them.")

Images = Annotated[
    str, typer.Option(metavar="DIR", help="Images with classes to train on: a folder, an .npz file, builtin:train.")
]
Held = Annotated[
    str | None, typer.Option(metavar="DIR", help="Images that are left out; by default a part of those to train on.")
]
Pixels = Annotated[int, typer.Option(min=16, metavar="PX", help="Side of the images, a multiple of 8.")]
Steps = Annotated[int | None, typer.Option(min=1, help="Steps of the optimizer.", show_default=False)]


@app.command("train")
def train(
    structure: Annotated[str, typer.Argument(metavar="STRUCTURE", help="Such as lipschitz; see snellen plugins.")],
    *,
    images: Images = "builtin:train",
    held: Held = None,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Folder of the network; default: structures/NAME-SEED.")
    ] = None,
    size: Pixels = 32,
    steps: Steps = None,
    seed: options.Seed = 0,
) -> None:
    """Train a network of one structure; a training that was stopped goes on. The folder is a model: structure:DIR."""
    from snellen.cli.progress import bar

    with bar("loading") as tell:
        from snellen.verbs.train import train as run

        folder = run(structure, images=images, held=held, out=out, size=size, steps=steps, seed=seed, progress=tell)
    typer.echo(f"network: structure:{folder}")


@app.command("compare")
def compare(
    *,
    structure: Annotated[
        list[str] | None, typer.Option("--structure", metavar="NAME", help="Several times; default: all.")
    ] = None,
    images: Images = "builtin:train",
    held: Held = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the table, its page and all networks.")] = Path(
        "comparison"
    ),
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Networks of each structure; default: 3, with --quick 1.")
    ] = None,
    size: Pixels = 32,
    steps: Steps = None,
    viewer: Annotated[str, typer.Option(metavar="MODEL", help="The independent network that looks on.")] = "builtin",
    quick: Annotated[bool, typer.Option("--quick", help="Fewer steps, photographs and units.")] = False,
) -> None:
    """Train networks of several structures alike, and compare what their pictures tell.

    The folder that it writes can be continued: after a crash or Ctrl-C the same command goes on where it was.
    """
    from snellen.cli.progress import bar, console

    said = console()
    with bar("loading") as tell:
        from snellen.verbs.compare import compare as run

        page = run(
            structure=structure,
            images=images,
            held=held,
            out=out,
            seeds=seeds,
            size=size,
            steps=steps,
            viewer=viewer,
            quick=quick,
            progress=tell,
            note=lambda line: said.print(f"snellen: {line}", markup=False, soft_wrap=True),
        )
    typer.echo(f"table: {page.with_name('comparison.json')}")
    typer.echo(f"page: {page}")
