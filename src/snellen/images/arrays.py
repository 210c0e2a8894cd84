"""Images in a NumPy archive: SPLIT_x (uint8, NHWC) and SPLIT_y, or x and y; optionally the names in `classes`."""

import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from snellen.base import ImageError, nearest
from snellen.images.imageset import ImageSet

_PREFERRED = ("test", "val", "valid", "validation", "")


@dataclass(frozen=True, eq=False)
class Stack:
    """Pictures in one array, (n, h, w, 3) or (n, h, w, 1) or (n, h, w), uint8."""

    pixels: np.ndarray

    def picture(self, member: int, at_least: int) -> Image.Image:
        """The member's pixels at their own size."""
        return Image.fromarray(np.squeeze(self.pixels[member], -1) if self._grey else self.pixels[member]).convert(
            "RGB"
        )

    def content(self, member: int) -> bytes:
        """Shape and pixels."""
        return repr(self.pixels[member].shape).encode() + self.pixels[member].tobytes()

    @property
    def _grey(self) -> bool:
        return self.pixels.ndim == 4 and self.pixels.shape[-1] == 1


def open_arrays(file: Path, split: str | None = None) -> ImageSet:
    """The images of an archive, or of one split of it. Pickled content is never read.

    Args:
        file: an .npz file.
        split: which split; None takes the test split where there is one.

    Raises:
        ImageError: the file is damaged, holds no such split, or its arrays have another type or shape.
    """
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as archive:
            chosen = _split(file, archive.files, split)
            pixels = archive[f"{chosen}_x" if chosen else "x"]
            labels_key = f"{chosen}_y" if chosen else "y"
            labels = archive[labels_key] if labels_key in archive.files else None
            names = archive["classes"] if "classes" in archive.files else None
    except (OSError, ValueError, EOFError, KeyError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        text = " ".join(str(error).split())[:120]
        raise ImageError(f"expected a NumPy archive of plain arrays, got {file}: {text}") from error
    _check_pixels(file, pixels)
    numbers = None if labels is None else _check_labels(file, labels, len(pixels))
    prefix = f"{chosen}/" if chosen else ""
    return ImageSet(
        name=f"{file.stem}:{chosen}" if chosen else file.stem,
        ids=tuple(f"{prefix}{i:06d}" for i in range(len(pixels))),
        labels=numbers,
        class_names=_class_names(file, names, numbers),
        skipped=(),
        source=Stack(pixels),
        members=tuple(range(len(pixels))),
    )


def _split(file: Path, keys: list[str], wanted: str | None) -> str:
    splits = [key[:-2] for key in keys if key.endswith("_x")] + ([""] if "x" in keys else [])
    if not splits:
        raise ImageError(f"expected arrays x (or SPLIT_x) in {file}, got {', '.join(keys) or 'none'}")
    if wanted is None:
        return next((name for name in _PREFERRED if name in splits), splits[0])
    if wanted not in splits or not wanted:
        there = ", ".join(name for name in splits if name) or "no splits"
        raise ImageError(
            f'expected a split of {file}, got "{wanted}"; it has {there} {nearest(wanted, splits)}'.strip()
        )
    return wanted


def _check_pixels(file: Path, pixels: np.ndarray) -> None:
    channels_fit = pixels.ndim == 3 or (pixels.ndim == 4 and pixels.shape[-1] in (1, 3))
    if pixels.dtype != np.uint8 or not channels_fit or pixels.size == 0:
        got = f"{pixels.dtype} of shape {pixels.shape}"
        raise ImageError(f"expected images in {file} as uint8 of shape (n, h, w, 3), got {got}")


def _check_labels(file: Path, labels: np.ndarray, count: int) -> tuple[int, ...]:
    if labels.shape != (count,) or not np.issubdtype(labels.dtype, np.integer) or labels.min() < 0:
        got = f"{labels.dtype} of shape {labels.shape}"
        raise ImageError(f"expected labels in {file} as {count} integers from 0 up, got {got}")
    return tuple(int(label) for label in labels)


def _class_names(file: Path, names: np.ndarray | None, labels: tuple[int, ...] | None) -> tuple[str, ...]:
    if labels is None:
        return ()
    needed = max(labels) + 1
    if names is None:
        return tuple(str(i) for i in range(needed))
    if names.ndim != 1 or len(names) < needed:
        raise ImageError(f"expected {needed} names in classes of {file}, got shape {names.shape}")
    return tuple(name.decode() if isinstance(name, bytes) else str(name) for name in names.tolist())
