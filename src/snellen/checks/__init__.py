"""One check alone: a model, units and images in, its finding out. `snellen.audit` makes all of them and judges.

    snellen.checks.jumps(net, ["layer4:17", "fc:3"], images="folder")

Each function draws the pictures that its check looks at, as an audit would, keeps nothing, and returns the finding that
an audit of the same units has. What they measure, and by which thresholds: docs/checks.md.
"""

from collections.abc import Iterable
from typing import Any

from snellen.audits.alone import find
from snellen.findings import Finding
from snellen.images import ImagesLike
from snellen.jobs import Progress
from snellen.models import ModelLike
from snellen.progress import Watch, told
from snellen.studies.memory import asked

__all__ = ["agreement", "jumps", "path_similarity", "procedure", "response_gap", "silent_scan"]


def jumps(
    model: ModelLike,
    units: str | Iterable[str],
    *,
    images: ImagesLike | None = None,
    steps: int | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    quick: bool = False,
    device: str = "auto",
    preprocess: object = None,
    progress: Watch = True,
) -> Finding:
    """Does a unit's response jump somewhere on the straight way from a photograph to its picture?

    Args:
        model: a `torch.nn.Module` in memory, a `snellen.Model`, or a word as `snellen.audit` takes it.
        units: addresses and ranges: "layer:3", "layer/pre:3", "layer:0-9", "layer:*".
        images: natural images, as `snellen.audit` takes them; by default the built-in photographs.
        steps: optimization steps of each picture.
        size: input size in pixels; by default the model's own.
        seed: root of all random numbers.
        quick: fewer images, steps and resamples.
        device: "auto", "cpu" or "cuda". A model in memory is used where it is.
        preprocess: what the model wants done to RGB in [0, 1], where nothing says it.
        progress: False for no bar; or called with (title, done, total).

    Raises:
        UsageError: no unit has a picture, or too few for the check to compare.
        SnellenError: a bad argument, model, unit or image set.
    """
    options = {"steps": steps, "size": size, "seed": seed, "quick": quick, "device": device, "preprocess": preprocess}
    return _found("jumps", (model, units, images), progress, **options)


def silent_scan(
    model: ModelLike,
    units: str | Iterable[str],
    *,
    images: ImagesLike | None = None,
    steps: int | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    quick: bool = False,
    device: str = "auto",
    preprocess: object = None,
    progress: Watch = True,
) -> Finding:
    """Which channels do photographs never wake, which of them do pictures wake, and what hangs on those?

    Args and errors: as of `jumps`.
    """
    options = {"steps": steps, "size": size, "seed": seed, "quick": quick, "device": device, "preprocess": preprocess}
    return _found("silent-scan", (model, units, images), progress, **options)


def agreement(
    model: ModelLike,
    units: str | Iterable[str],
    *,
    images: ImagesLike | None = None,
    steps: int | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    quick: bool = False,
    device: str = "auto",
    preprocess: object = None,
    progress: Watch = True,
) -> Finding:
    """Are pictures more like their own unit's top photographs than like those of the others? Of two units or more.

    Args and errors: as of `jumps`.
    """
    options = {"steps": steps, "size": size, "seed": seed, "quick": quick, "device": device, "preprocess": preprocess}
    return _found("agreement", (model, units, images), progress, **options)


def procedure(
    model: ModelLike,
    units: str | Iterable[str],
    *,
    images: ImagesLike | None = None,
    steps: int | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    quick: bool = False,
    device: str = "auto",
    preprocess: object = None,
    progress: Watch = True,
) -> Finding:
    """Do other ways of drawing lead to the same pictures? Takes two units or more of a layer.

    Args and errors: as of `jumps`.
    """
    options = {"steps": steps, "size": size, "seed": seed, "quick": quick, "device": device, "preprocess": preprocess}
    return _found("procedure", (model, units, images), progress, **options)


def response_gap(
    model: ModelLike,
    units: str | Iterable[str],
    *,
    images: ImagesLike | None = None,
    steps: int | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    quick: bool = False,
    device: str = "auto",
    preprocess: object = None,
    progress: Watch = True,
) -> Finding:
    """How far are responses to pictures from those to photographs?

    Args and errors: as of `jumps`.
    """
    options = {"steps": steps, "size": size, "seed": seed, "quick": quick, "device": device, "preprocess": preprocess}
    return _found("response-gap", (model, units, images), progress, **options)


def path_similarity(
    model: ModelLike,
    units: str | Iterable[str],
    *,
    images: ImagesLike | None = None,
    steps: int | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    quick: bool = False,
    device: str = "auto",
    preprocess: object = None,
    progress: Watch = True,
) -> Finding:
    """Through which layers are pictures processed like photographs? Takes units of one layer.

    Args and errors: as of `jumps`.
    """
    options = {"steps": steps, "size": size, "seed": seed, "quick": quick, "device": device, "preprocess": preprocess}
    return _found("path-similarity", (model, units, images), progress, **options)


def _found(
    check: str, of: tuple[ModelLike, str | Iterable[str], ImagesLike | None], progress: Watch, **options: Any
) -> Finding:
    with told(progress, "loading") as tell:
        model, units, images = of
        request, given = asked(model, images, units, **options)

        def report(at: Progress) -> None:
            tell(at.title, at.done, at.total)

        return find(check, request, given, progress=report)
