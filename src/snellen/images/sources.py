"""One word that says which images: a folder, an archive, or the built-in photographs."""

import os
from pathlib import Path

from snellen.base import ImageError, brief
from snellen.base.files import home
from snellen.images.arrays import open_arrays
from snellen.images.folder import Progress, open_folder
from snellen.images.imageset import ImageSet
from snellen.images.photographs import open_photographs


def open_images(spec: str | Path, *, progress: Progress | None = None) -> ImageSet:
    """Open a set of natural images.

    Args:
        spec: "builtin" (held-out regions of the built-in photographs), "builtin:train", a folder of class folders, a
            flat folder, "FILE.npz" or "FILE.npz:SPLIT".
        progress: told (checked, all) while the files of a folder are checked.

    Raises:
        ImageError: nothing is there, or nothing that can be used.
    """
    text = str(spec)
    if isinstance(spec, str) and (text == "builtin" or text.startswith("builtin:")):
        return open_photographs(text.partition(":")[2] or "test")
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
