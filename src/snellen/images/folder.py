"""Image folders: a folder of class folders, or a flat one."""

import os
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from PIL import Image

from snellen.base import ImageError, Tell
from snellen.images.decoder import EXTENSIONS, UnusableError, decode
from snellen.images.imageset import ImageSet, Skipped

_SPLIT = re.compile(r"(train|training|val|valid|validation|dev|eval|test|testing)(_?\d{4})?")
PROBE = 8  # shorter side asked for when a file is only checked: a JPEG is then decoded at an eighth of its size


T = TypeVar("T")


@dataclass(frozen=True)
class Files:
    """Pictures in files."""

    paths: tuple[Path, ...]

    def picture(self, member: int, at_least: int) -> Image.Image:
        """The file's picture; see `decode`."""
        try:
            return decode(self.paths[member], at_least)
        except UnusableError as reason:
            raise self._gone(member, str(reason)) from reason

    def content(self, member: int) -> bytes:
        """The file's bytes."""
        try:
            return self.paths[member].read_bytes()
        except OSError as error:
            raise self._gone(member, error.strerror or "unreadable") from error

    def _gone(self, member: int, reason: str) -> ImageError:
        path = self.paths[member]
        return ImageError(f"expected {path} as it was when the images were opened, got: {reason}; open them again")


def open_folder(root: Path, progress: Tell | None = None) -> ImageSet:
    """The images of a folder, each decoded once to see that it is whole.

    If any folder inside holds images, each folder inside is a class, with whatever lies below it; else the folder is
    flat, without classes. Hidden files and files without an image's extension are ignored; links are followed once.

    Args:
        root: the folder.
        progress: told how many images have been checked.

    Raises:
        ImageError: there is no such folder, or no image in it that can be used; the folders in it are not classes but
            parts of a data set.
    """
    classes = {folder.name: list(_below(folder)) for folder in _visible(root) if folder.is_dir()}
    loose = [path for path in _visible(root) if _is_image(path)]
    if any(classes.values()):
        inside = any(len(path.relative_to(root).parts) > 2 for paths in classes.values() for path in paths)
        refuse_parts(root, [name for name, paths in classes.items() if paths], inside=inside)
        found = [(path, name) for name, paths in classes.items() for path in paths]
        skipped = [Skipped(_shown(path, root), "beside the class folders, not in one") for path in loose]
    else:
        found, skipped = [(path, "") for path in loose], []
    reasons = examined(_reason, [path for path, _ in found], progress)
    skipped += [Skipped(_shown(p, root), why) for (p, _), why in zip(found, reasons, strict=True) if why is not None]
    good = [pair for pair, why in zip(found, reasons, strict=True) if why is None]
    if not good:
        raise ImageError(_nothing(root, skipped))
    names = tuple(dict.fromkeys(name for _, name in good if name))
    return ImageSet(
        name=root.resolve().name,
        ids=tuple(_shown(path, root) for path, _ in good),
        labels=tuple(names.index(name) for _, name in good) if names else None,
        class_names=tuple(_printable(name) for name in names),
        skipped=tuple(skipped),
        source=Files(tuple(path for path, _ in good)),
        members=tuple(range(len(good))),
    )


def refuse_parts(root: Path, parts: Sequence[str], *, inside: bool) -> None:
    """Refuse folders that are called train and val: they would be read as two classes.

    Args:
        root: what they are in.
        parts: names of the folders with images.
        inside: whether one of them holds folders itself.

    Raises:
        ImageError: they are parts of a data set.
    """
    if all(_SPLIT.fullmatch(name.casefold()) for name in parts) and (len(parts) > 1 or inside):
        one = root / next((name for name in parts if not name.casefold().startswith("train")), parts[0])
        got = ", ".join(parts)
        raise ImageError(f"expected a folder of class folders, got {root} with {got}; give one of them: {one}")


def _visible(folder: Path) -> list[Path]:
    try:
        return sorted(path for path in folder.iterdir() if not path.name.startswith((".", "__MACOSX")))
    except OSError as error:
        raise ImageError(f"expected a folder that can be read, got {folder}: {error.strerror}") from error


def _below(folder: Path) -> Iterator[Path]:
    seen: set[Path] = set()
    waiting = [folder]
    found: list[Path] = []
    while waiting:
        here = waiting.pop()
        real = here.resolve()
        if real in seen:
            continue
        seen.add(real)
        inside = _visible(here)
        waiting += [path for path in inside if path.is_dir()]
        found += [path for path in inside if _is_image(path)]
    return iter(sorted(found))


def _is_image(path: Path) -> bool:
    """Whether a name promises an image; what is no regular file (a pipe, a device) would block and is left out."""
    return path.suffix.lower() in EXTENSIONS and (path.is_file() or (path.is_symlink() and not path.exists()))


def examined(reason_of: Callable[[T], str | None], members: Sequence[T], progress: Tell | None) -> list[str | None]:
    """For each member why it cannot serve as an image, several at a time; None where it can.

    Args:
        reason_of: what says so of one.
        members: in order.
        progress: told (title, checked, all).
    """
    reasons: list[str | None] = []
    with warnings.catch_warnings(), ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as workers:
        warnings.filterwarnings("error", module=r"PIL\.")  # a warning there becomes that file's reason
        for reason in workers.map(reason_of, members):
            reasons.append(reason)
            if progress is not None:
                progress("checking images", len(reasons), len(members))
    return reasons


def _reason(path: Path) -> str | None:
    try:
        decode(path, PROBE)
    except UnusableError as reason:
        return str(reason)
    return None


def _nothing(root: Path, skipped: list[Skipped]) -> str:
    expected = f"expected images in {root} (a folder of class folders, or a flat one)"
    if skipped:
        first = f'"{skipped[0].name}": {skipped[0].reason}'
        return f"{expected}, got {len(skipped)} that cannot be used, the first {first}; give whole 8-bit images"
    return f"{expected}, got none; give a folder with .jpg, .png, .webp or other image files"


def _shown(path: Path, root: Path) -> str:
    return _printable(path.relative_to(root).as_posix())


def _printable(name: str) -> str:
    return os.fsencode(name).decode("utf-8", "backslashreplace")
