"""`snellen.rebuild`: the last layer of a network put together again from its pictures."""

import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

from snellen.base import UsageError, encode_json, try_folder, write_atomic
from snellen.checks.finding import Finding
from snellen.checks.rebuilding import Rebuilding
from snellen.images import ImagesLike
from snellen.jobs import Store
from snellen.models import ModelLike, Unit
from snellen.progress import Watch, told
from snellen.studies.memory import asked
from snellen.studies.study import classes_of_world, study_of
from snellen.studies.world import open_world


def rebuild(  # noqa: PLR0913 - a command line's options
    model: ModelLike = "builtin",
    *,
    images: ImagesLike | None = None,
    steps: int | None = None,
    size: int | tuple[int, int] | None = None,
    out: str | Path | None = None,
    seed: int = 0,
    quick: bool = False,
    device: str = "auto",
    weights: str | Path | None = None,
    trust_pickle: bool = False,
    base: str | None = None,
    preprocess: object = None,
    progress: Watch = True,
) -> Finding:
    """Replace every class that the images show by its picture's direction in the layer below, and see what is left.

    Args:
        model: a `torch.nn.Module` in memory, a `snellen.Model`, or a word as `snellen.audit` takes it.
        images: natural images, as `snellen.audit` takes them; by default the built-in photographs.
        steps: optimization steps of each picture.
        size: input size in pixels; by default the model's own.
        out: a file that gets all figures, as JSON.
        seed: root of all random numbers.
        quick: fewer images, steps and resamples.
        device: "auto", "cpu" or "cuda". A model in memory is used where it is.
        weights: local file of weights for a model that a word names.
        trust_pickle: read pickled weights, which can run any code.
        base: of a saved model, the honest network it is built from, in code of your own.
        preprocess: what the model wants done to RGB in [0, 1], where nothing says it.
        progress: False for no bar; or called with (title, done, total).

    Returns:
        The finding of `snellen.checks.Rebuilding`: in its evidence "agreement" with the network, "accuracy" against the
        images' classes, and "attained", what the theory of linear units guarantees.

    Examples:
        >>> finding = snellen.rebuild("builtin", steps=8, quick=True, progress=False)
        >>> finding.check, finding.evidence["agreement"]["share"] > 0.5
        ('rebuilding', True)

    Raises:
        UsageError: the images show too few of the network's classes.
        SnellenError: a bad argument, model or image set.
    """
    options: dict[str, Any] = {"steps": steps, "size": size, "seed": seed, "quick": quick, "base": base}
    options |= {"weights": weights, "trust_pickle": trust_pickle}
    check = Rebuilding.sized(quick=quick)
    if out is not None:
        try_folder(Path(out).parent)
    with told(progress, "loading") as tell, tempfile.TemporaryDirectory(prefix="snellen-") as folder:
        request, given = asked(model, images, None, device=device, preprocess=preprocess, **options)
        world = open_world(request, given)
        store = Store(Path(folder) / "blobs")
        units = sorted({unit for unit in classes_of_world(world, store, progress=tell).units if unit is not None})
        if world.class_layer is None or not units:
            raise UsageError("expected a network with a layer of classes, and images of some of them, got none")
        named = tuple(str(Unit(world.class_layer, unit)) for unit in units)
        study = study_of(
            replace(world, request=replace(request, units=named)),
            store,
            functions=check.functions(world),
            by_class=True,
            usable=check.usable,
            progress=tell,
        )
        findings = check.examine(study)
    if not findings:
        raise UsageError("expected pictures of at least three classes, got fewer; draw with more steps")
    finding = replace(findings[0], asks=check.asks)
    if out is not None:
        write_atomic(Path(out), encode_json(finding.as_data()))
    return finding
