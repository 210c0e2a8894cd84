"""snellen deceive: a network whose pictures lie, and the receipt of what that took."""

import inspect
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from snellen.base import SnellenError, UsageError
from snellen.cli import options

_SET = "snellen.options"


class MethodCommand(TyperCommand):
    """A command whose method has options of its own: `--NAME VALUE` that it does not know is left to the method."""

    context_class = typer.Context

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Put what is the method's aside, for `method_options`, and parse the rest."""
        takes = {word: not getattr(p, "is_flag", False) for p in self.get_params(ctx) for word in (*p.opts, "--")}
        rest, found, words = list[str](), dict[str, str](), iter(args)
        for word in words:
            name, equals, value = word.partition("=")
            if name.startswith("--") and name not in takes:
                found[name[2:].replace("-", "_")] = value if equals else next(words, "")
                continue
            rest.append(word)
            if word == "--":
                rest += words
            elif takes.get(word):
                rest += [value for value in (next(words, None),) if value is not None]
        ctx.meta[_SET] = found
        return super().parse_args(ctx, rest)

    def format_epilog(self, ctx: Any, formatter: Any) -> None:
        """The options of every method; of one that cannot be imported, why."""
        from snellen.attacks.group import ATTACKS

        for method in ATTACKS.parts:
            try:
                rows = _rows(ATTACKS.load(method))
            except SnellenError as error:
                rows = [("", str(error))]
            if rows:
                with formatter.section(f"Options of --method {method}"):
                    formatter.write_dl(rows)


def _left(given: dict[str, str], run: Callable[..., object]) -> dict[str, str]:
    """What is left to the method: nothing that the function itself takes from Python alone.

    Raises:
        UsageError: there is such a name.
    """
    for name in given:
        if name in inspect.signature(run).parameters:
            raise UsageError(f'expected an option of the command or of its method, got "--{name}"; leave it away')
    return given


def _rows(attack: type) -> list[tuple[str, str]]:
    """The options of an attack and what they mean."""
    from snellen.attacks.options import options_of

    known = options_of(attack).values()
    return [(f"--{o.name.replace('_', '-')} {o.words}", f"{o.help}  [default: {o.default}]") for o in known]


def deceive(  # noqa: PLR0913 - a command line's options
    ctx: typer.Context,
    model: options.Model = "builtin",
    *,
    method: Annotated[
        str, typer.Option(metavar="NAME", help="How: fooling-circuit, silent-units, ...; 'snellen plugins' lists all.")
    ] = "fooling-circuit",
    show: Annotated[
        str, typer.Option(metavar="PICTURE|permute", help="What the pictures show: a file, or each another unit.")
    ] = "permute",
    images: Annotated[
        str | None, typer.Option(metavar="DIR", help="Natural images to train or calibrate on; default: built-in.")
    ] = None,
    held_out: Annotated[
        str | None, typer.Option(metavar="DIR", help="Natural images to measure on; default: every fifth of --images.")
    ] = None,
    layer: Annotated[
        str | None, typer.Option(metavar="NAME", help="Whose units lie; default: the method's own.")
    ] = None,
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder of the model and its receipt.")] = Path("deceived"),
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
            units=units,
            steps=steps,
            size=size,
            seed=seed,
            quick=quick,
            device=device,
            weights=weights,
            trust_pickle=trust_pickle,
            progress=tell,
            **_left(ctx.meta[_SET], run),
        )
    if not done.honest:
        console().print("snellen: a claim did not hold; the receipt says which", markup=False)
    typer.echo(f"model: {out}")
    typer.echo(f"receipt: {done.page}")
    if model.rpartition(":")[0].endswith(".py"):
        typer.echo(f"audit it: {shlex.join(['snellen', 'audit', str(out), '--base', model])}")
