"""The command line's words as functions."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from snellen.audits.gallery import Picture
from snellen.audits.gallery import visualize as draw
from snellen.audits.request import Request
from snellen.audits.suite import run_audit
from snellen.jobs import Report
from snellen.models import Model
from snellen.models.sources import load_model
from snellen.models.sources.load import chosen_device


def audit(
    model: str = "builtin",
    *,
    images: str | Path | None = None,
    units: Iterable[str] = (),
    layers: str | Iterable[str] = "auto",
    out: str | Path | None = None,
    device: str = "auto",
    workers: int = 1,
    progress: Report | None = None,
    note: Callable[[str], None] | None = None,
    **options: Any,
) -> Path:
    """Audit a model and return the folder of its record; `snellen.report(folder)` makes the pages.

    Args:
        model: "builtin", "path/to/file.py:factory", "torchvision:NAME" or "timm:NAME".
        images: a folder of class folders, a flat folder or an .npz file; by default the built-in photographs.
        units: addresses and ranges; by default classes that the images show and a few inner units.
        layers: of the similarity curve; "auto" for the main layers.
        out: folder of the run; by default runs/NAME-KEY. One that holds part of the same audit is continued.
        device: "auto", "cpu" or "cuda".
        workers: processes that draw the pictures; several need Ray, and give the same record.
        progress: told how far the audit is.
        note: told what a person should know before the work starts.
        options: `steps`, `size`, `seed`, `quick`, `weights`, `trust_pickle`, `precision`, `compiled`, `canvas`,
            `labels`, as in `Request`.

    Raises:
        SnellenError: a bad argument, model, image set or folder.
        TypeError: an option that does not exist.
    """
    for file in ("weights", "labels"):
        if options.get(file) is not None:
            options[file] = str(options[file])
    request = Request(
        model=model,
        images=None if images is None else str(images),
        units=(units,) if isinstance(units, str) else tuple(units),
        layers=_names(layers),
        device=chosen_device(device),
        **options,
    )
    folder = None if out is None else Path(out)
    return run_audit(request, out=folder, workers=workers, progress=progress, note=note)


def visualize(
    model: str | Model, units: str | Iterable[str], *, out: str | Path = "pictures", **options: Any
) -> tuple[Picture, ...]:
    """Draw units and write a PNG and a small JSON for each.

    Args:
        model: a model, or what `load_model` takes.
        units: addresses and ranges.
        out: the folder.
        options: as `snellen.audits.gallery.visualize` takes them: `direction`, `canvas`, `steps`, `seed`, ...

    Raises:
        SnellenError: a bad argument, model, unit or folder.
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    return draw(loaded, (units,) if isinstance(units, str) else units, out=Path(out), **options)


def _names(layers: str | Iterable[str]) -> tuple[str, ...]:
    if isinstance(layers, str):
        return () if layers == "auto" else tuple(name.strip() for name in layers.split(","))
    return tuple(layers)
