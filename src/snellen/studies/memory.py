"""From what a person holds to a request of plain data, and what is in memory beside it."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from snellen.images import ImagesLike, open_images
from snellen.models import ModelLike, open_model
from snellen.models.sources.load import chosen_device
from snellen.studies.request import MEMORY, Request
from snellen.studies.world import Given


def asked(
    model: ModelLike,
    images: ImagesLike | None,
    units: str | Iterable[str] | None,
    *,
    device: str,
    preprocess: object,
    **options: Any,
) -> tuple[Request, Given | None]:
    """The request, and what no word of it can name; None where words name all of it.

    Args:
        model: a word, a module in memory or a `Model`.
        images: a word, or images in memory; None for the built-in photographs.
        units: addresses and ranges.
        device: "auto", "cpu" or "cuda"; a model in memory is used where it is.
        preprocess: instead of the model's own.
        options: fields of `Request`.

    Raises:
        SnellenError: they make no sense.
    """
    for file in ("weights", "labels"):
        if options.get(file) is not None:
            options[file] = str(options[file])
    named = isinstance(model, str | Path)
    pixels = images is None or isinstance(images, str | Path)
    opened = None
    if not named or preprocess is not None:
        words = {name: options[name] for name in ("size", "weights", "trust_pickle", "base") if name in options}
        opened = open_model(model, preprocess=preprocess, device=device, **words)
    request = Request(
        model=str(model) if named else MEMORY,
        images=None if images is None else str(images) if pixels else MEMORY,
        units=(units,) if isinstance(units, str) else tuple(units or ()),
        device=chosen_device(device) if named else str(opened.device) if opened is not None else "cpu",
        preprocess=opened.preprocess if opened is not None and preprocess is not None else None,
        **options,
    )
    held = None if named else opened
    if held is None and pixels:
        return request, None
    return request, Given(held, None if pixels else open_images(images))
