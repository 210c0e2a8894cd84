"""Images in a NumPy archive: SPLIT_x (uint8, NHWC) and SPLIT_y, or x and y; optionally the names in `classes`."""

import math
import os
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from snellen.base import ImageError, brief, nearest
from snellen.base.files import open_regular
from snellen.images.imageset import ImageSet

_PREFERRED = ("test", "val", "valid", "validation", "")
_MOST_NAMES = 2**20
_LONGEST_NAME = 1000


@dataclass(frozen=True)
class Head:
    """What an array says of itself before it is read."""

    shape: tuple[int, ...]
    dtype: np.dtype

    @property
    def bytes(self) -> int:
        """That it takes in memory."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __str__(self) -> str:
        return f"{self.dtype} of shape {self.shape}"


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
        with warnings.catch_warnings(), open_regular(file) as stream, zipfile.ZipFile(stream) as archive:
            warnings.simplefilter("ignore")  # numpy's, about headers that Python 2 wrote
            keys = [name.removesuffix(".npy") for name in archive.namelist()]
            chosen = _split(file, keys, split)
            pixels_key, labels_key = (f"{chosen}_x", f"{chosen}_y") if chosen else ("x", "y")
            pixels = _array(archive, pixels_key, lambda array: _check_pixels(file, array))
            labels = names = None
            if labels_key in keys:
                labels = _array(archive, labels_key, lambda array: _check_labels(file, array, len(pixels)))
            if labels is not None and "classes" in keys:
                names = _array(archive, "classes", lambda array: _check_names(file, array))
    except ImageError:
        raise
    except Exception as error:  # zipfile, zlib and numpy raise anything on damaged bytes
        text = " ".join(str(error).split())[:120]
        raise ImageError(f"expected a NumPy archive of plain arrays, got {file}: {text}") from error
    numbers, class_names = (None, ()) if labels is None else _classes(file, labels, names)
    prefix = f"{chosen}/" if chosen else ""
    return ImageSet(
        name=f"{file.stem}:{chosen}" if chosen else file.stem,
        ids=tuple(f"{prefix}{i:06d}" for i in range(len(pixels))),
        labels=numbers,
        class_names=class_names,
        skipped=(),
        source=Stack(pixels),
        members=tuple(range(len(pixels))),
    )


def _array(archive: zipfile.ZipFile, key: str, check: Callable[[Head], None]) -> np.ndarray:
    """One array, its type and shape checked before anything of its size is asked for."""
    member = archive.getinfo(f"{key}.npy" if f"{key}.npy" in archive.namelist() else key)
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read(stream)
    head = Head(shape, dtype)
    check(head)
    if head.bytes > member.file_size:
        raise ValueError(f"{key} is truncated")
    if head.bytes > _memory():
        raise ValueError(f"{key} takes {head.bytes / 2**30:.0f} GB, more than this machine's memory")
    with archive.open(member) as stream:
        return np.lib.format.read_array(stream, allow_pickle=False)


def _memory() -> int:
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, OSError, ValueError):
        return 2**36


def _split(file: Path, keys: list[str], wanted: str | None) -> str:
    splits = [key[:-2] for key in keys if key.endswith("_x")] + ([""] if "x" in keys else [])
    if not splits:
        got = brief(", ".join(keys)) or "none"
        raise ImageError(f"expected arrays x (or SPLIT_x) in {file}, got {got}")
    if wanted is None:
        return next((name for name in _PREFERRED if name in splits), splits[0])
    if wanted not in splits or not wanted:
        there = brief(", ".join(name for name in splits if name)) or "no splits"
        raise ImageError(
            f'expected a split of {file}, got "{brief(wanted)}"; it has {there} {nearest(wanted, splits)}'.strip()
        )
    return wanted


def _check_pixels(file: Path, pixels: Head) -> None:
    channels_fit = len(pixels.shape) == 3 or (len(pixels.shape) == 4 and pixels.shape[-1] in (1, 3))
    if pixels.dtype != np.uint8 or not channels_fit or min(pixels.shape) < 1:
        raise ImageError(f"expected images in {file} as uint8 of shape (n, h, w, 3), got {pixels}")


def _check_labels(file: Path, labels: Head, count: int) -> None:
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise ImageError(f"expected labels in {file} as {count} integers from 0 up, got {labels}")


def _check_names(file: Path, names: Head) -> None:
    if len(names.shape) != 1 or names.shape[0] > _MOST_NAMES or names.dtype.kind not in "SUiu":
        raise ImageError(f"expected classes of {file} as at most {_MOST_NAMES:,} names, got {names}")
    if names.dtype.itemsize > 4 * _LONGEST_NAME:
        raise ImageError(f"expected names of at most {_LONGEST_NAME} characters in classes of {file}, got longer ones")


def _classes(file: Path, labels: np.ndarray, names: np.ndarray | None) -> tuple[tuple[int, ...], tuple[str, ...]]:
    """For each image the index of its class, and the classes' names: those of the file, or the numbers that occur."""
    if labels.min() < 0:
        raise ImageError(f"expected labels in {file} as integers from 0 up, got {labels.min()}")
    if names is None:
        occurring, members = np.unique(labels, return_inverse=True)
        return tuple(members.tolist()), tuple(map(str, occurring.tolist()))
    needed = int(labels.max()) + 1
    if len(names) < needed:
        raise ImageError(f"expected {needed} names in classes of {file}, got {len(names)}")
    return tuple(labels.tolist()), tuple(_name(file, name) for name in names.tolist())


def _name(file: Path, name: bytes | str | int) -> str:
    try:
        text = name.decode() if isinstance(name, bytes) else str(name)
        text.encode()
    except UnicodeError as error:
        raise ImageError(f"expected names of classes in {file} as text, got {ascii(name)[:60]}") from error
    return text
