"""snellen deceive: a network whose pictures lie, and the receipt of what that took."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from snellen.cli import options

if TYPE_CHECKING:
    from torch import Tensor

    from snellen.attacks import Attack, Exam
    from snellen.cli.progress import Tell
    from snellen.images import ImageSet
    from snellen.models import Model


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
        from snellen.attacks import Exam
        from snellen.base import Seed
        from snellen.models.sources import load_model
        from snellen.pictures import Settings

        _usable(out, method=method, detector=detector)
        loaded = load_model(
            model,
            weights=None if weights is None else Path(weights),
            size=size,
            trust_pickle=trust_pickle,
            device=device,
        )
        attack = _attack(loaded, method, show, layer=layer, detector=detector, margin=margin, quick=quick)
        seen, unseen = _images(images, held_out, tell)
        settings = Settings(steps=steps or (48 if quick else 64))
        exam = Exam(held_out=unseen, units=min(units, 4) if quick else units, settings=settings, seed=Seed(seed))
        page, honest = _made(loaded, attack, (seen, exam, out), tell)
    if not honest:
        console().print("snellen: a claim did not hold; the receipt says which", markup=False)
    typer.echo(f"model: {out}")
    typer.echo(f"receipt: {page}")


def _usable(out: Path, *, method: str, detector: str) -> None:
    from snellen.attacks.folder import claim
    from snellen.base import UsageError

    if method not in ("fooling-circuit", "silent-units"):
        raise UsageError(f'expected the method "fooling-circuit" or "silent-units", got "{method}"')
    if detector not in ("cnn", "readout"):
        raise UsageError(f'expected the detector "cnn" or "readout", got "{detector}"')
    claim(out)


def _attack(
    model: "Model", method: str, show: str, *, layer: str | None, detector: str, margin: float, quick: bool
) -> "Attack":
    from snellen.attacks import FoolingAttack, SilentAttack
    from snellen.attacks.corpus import Plan

    picture = None if show == "permute" else _picture(show, model.size)
    if method == "silent-units":
        return SilentAttack(picture=picture, layer=layer, margin=margin)
    small = max(model.size) <= 96
    plan = Plan(units=30 if small else 48, steps=64, copies=4, rounds=3 if small else 0)
    if quick:
        plan = Plan(units=15 if small else 16, steps=32, natural=500, copies=1)
    return FoolingAttack(picture=picture, layer=layer, detector=detector, plan=plan)  # type: ignore[arg-type]


def _picture(path: str, size: tuple[int, int]) -> "Tensor":
    from snellen.attacks.targets import open_picture

    return open_picture(Path(path), size)


def _images(images: str | None, held_out: str | None, tell: "Tell") -> "tuple[ImageSet, ImageSet | None]":
    from snellen.images import open_images

    def find(spec: str) -> "ImageSet":
        return open_images(spec, progress=lambda done, total: tell("checking images", done, total))

    if images is None:
        return find("builtin:train"), find(held_out or "builtin")
    return find(images), None if held_out is None else find(held_out)


def _made(model: "Model", attack: "Attack", places: "tuple[ImageSet, Exam, Path]", tell: "Tell") -> tuple[Path, bool]:
    from snellen.attacks import Conditions
    from snellen.attacks.folder import write_folder
    from snellen.reports.receipt import build_receipt

    seen, exam, out = places
    manipulated, receipt = attack(model, seen, exam=exam, conditions=Conditions(exam.seed, tell))
    write_folder(out, manipulated, receipt)
    return build_receipt(out), receipt.honest
