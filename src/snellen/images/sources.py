"""Whatever a person holds as images: a folder, an archive, the built-in photographs, or something in memory."""

import os
from pathlib import Path
from typing import Any

from snellen.base import ImageError, Tell, brief
from snellen.base.files import home
from snellen.base.plugins import Group
from snellen.images.arrays import open_arrays
from snellen.images.folder import open_folder
from snellen.images.imageset import ImageSet, ImageSource
from snellen.images.memory import open_memory

SOURCES: Group[ImageSource] = Group(
    "snellen.images",
    "source of images",
    ImageSource,
    {"builtin": "snellen.images.photographs:BUILTIN", "zip": "snellen.images.archive:ARCHIVE"},
)
ImagesLike = str | Path | ImageSet | Any
"""What every function takes as `images`; see `open_images`."""


def open_images(spec: ImagesLike, *, progress: Tell | None = None) -> ImageSet:
    """Open a set of natural images.

    Args:
        spec: "builtin" (held-out regions of the built-in photographs), "builtin:train", a folder of class folders, a
            flat folder, "zip:FILE", "FILE.npz" or "FILE.npz:SPLIT"; or in memory a tensor or array (n, 3, h, w) or
            (n, h, w, 3) of uint8 or of floats in [0, 1], alone or in a pair with labels; a list of PIL images; a data
            set of PyTorch or of Hugging Face; an `ImageSet`.
        progress: told (title, checked, all) while images are checked.

    Examples:
        >>> images = snellen.open_images("builtin")
        >>> len(images) > 100
        True
        >>> len(snellen.open_images(torch.zeros(4, 3, 64, 64)))
        4

    Raises:
        ImageError: nothing is there, or nothing that can be used.
    """
    if isinstance(spec, ImageSet):
        return spec
    if not isinstance(spec, str | Path):
        return open_memory(spec, progress)
    text = str(spec)
    word, colon, name = text.partition(":")
    if isinstance(spec, str) and (colon or word == "builtin") and word in SOURCES.parts:
        return SOURCES.load(word).open(name, progress)
    path = home(spec)
    if os.path.isdir(path):
        return open_folder(path, progress)
    stem, colon, split = text.rpartition(":")
    if colon and stem.endswith(".npz") and not os.path.exists(path):
        return open_arrays(_existing(home(stem)), split)
    if _existing(path).suffix == ".npz":
        return open_arrays(path)
    raise ImageError(f"expected a folder or an .npz file, got the file {path}; give the folder that it lies in")


def _existing(path: Path) -> Path:
    if not os.path.exists(path):  # False also of names that no file can have
        got = brief(str(path))
        raise ImageError(f'expected a folder of images, an .npz file or "builtin", got "{got}", which does not exist')
    return path
