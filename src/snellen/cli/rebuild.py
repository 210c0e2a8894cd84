"""snellen rebuild: the last layer of a network put together again from its pictures."""

from pathlib import Path
from typing import Annotated

import typer

from snellen.cli import options


def rebuild(
    model: options.Model = "builtin",
    *,
    images: Annotated[
        str | None, typer.Option(metavar="DIR", help="Natural images; by default the built-in photographs.")
    ] = None,
    steps: options.Steps = None,
    size: options.Size = None,
    out: Annotated[Path | None, typer.Option(metavar="FILE", help="Write all figures to this file, as JSON.")] = None,
    seed: options.Seed = 0,
    quick: Annotated[bool, typer.Option("--quick", help="Fewer images and steps.")] = False,
    device: options.Device = "auto",
    weights: options.Weights = None,
    trust_pickle: options.TrustPickle = False,
    base: options.Base = None,
) -> None:
    """Put the last layer together again from its pictures: each class becomes its picture's direction below.

    Says how many photographs the rebuilt layer sorts as the network does, and how many right; beside it the same from
    one photograph a class. A layer that cannot be rebuilt shows pictures that are not its own.
    """
    from snellen.cli.progress import bar

    with bar("loading") as tell:
        from snellen.verbs.rebuild import rebuild as run

        finding = run(
            model,
            images=images,
            steps=steps,
            size=size,
            out=out,
            seed=seed,
            quick=quick,
            device=device,
            weights=weights,
            trust_pickle=trust_pickle,
            base=base,
            progress=tell,
        )
    typer.echo(finding.claim)
    attained = finding.evidence["attained"]
    if attained is not None:
        rho = sorted(value for value in attained["attainment"] if value is not None)
        typer.echo(
            f"attainment of the pictures: {rho[0]:.2f} to {rho[-1]:.2f}; guaranteed intervals hold "
            f"{attained['inside']:.1%} of the responses and leave {attained['width']:.0%} of the natural "
            "range open at the median"
        )
    for row in finding.rows:
        if row["figure"] is not None:
            typer.echo(f"  {row['unit']:<24} {_bar(row['figure'])} {100 * row['figure']:.0f} %")
    if finding.verdict == "suspicious":
        typer.echo("the pictures are not those of the classes: evidence of manipulation")
    if out is not None:
        typer.echo(f"figures: {out}")


def _bar(share: float, width: int = 24) -> str:
    """A share as a bar of blocks."""
    full = round(share * width)
    return "█" * full + "·" * (width - full)
