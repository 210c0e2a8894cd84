"""Images in a zip archive, as data sets are handed around: "zip:FILE". Nothing is unpacked."""

import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path, PurePosixPath

from PIL import Image

from snellen.base import ImageError, Tell
from snellen.base.files import home
from snellen.images.decoder import EXTENSIONS, UnusableError, decode
from snellen.images.folder import PROBE, examined, refuse_parts
from snellen.images.imageset import ImageSet, ImageSource, Skipped

_MOST = 2**28
"""Bytes of one image, unpacked, at most."""


@dataclass(frozen=True, eq=False)
class Members:
    """Pictures in an archive, which stays open."""

    archive: zipfile.ZipFile
    names: tuple[str, ...]

    def picture(self, member: int, at_least: int) -> Image.Image:
        """The member's picture; see `decode`."""
        try:
            return decode(io.BytesIO(self._bytes(member)), at_least)
        except UnusableError as reason:
            raise self._gone(member, reason) from reason

    def content(self, member: int) -> bytes:
        """The member's bytes."""
        try:
            return self._bytes(member)
        except UnusableError as reason:
            raise self._gone(member, reason) from reason

    def unusable(self, member: int) -> str | None:
        """Why a member cannot serve as an image; None where it can."""
        try:
            decode(io.BytesIO(self._bytes(member)), PROBE)
        except UnusableError as reason:
            return str(reason)
        return None

    def _gone(self, member: int, reason: UnusableError) -> ImageError:
        where = f"{self.names[member]} in {self.archive.filename}"
        return ImageError(f"expected {where} as it was when the images were opened, got: {reason}; open them again")

    def _bytes(self, member: int) -> bytes:
        """Those of the member, unpacked, at most so many.

        Raises:
            UnusableError: it is damaged, encrypted or too large, whatever its head says.
        """
        try:
            with self.archive.open(self.names[member]) as file:
                data = file.read(_MOST + 1)
        except Exception as error:  # zipfile and zlib raise anything on damaged bytes
            raise UnusableError(f"cannot be read: {' '.join(str(error).split())[:120]}") from error
        if len(data) > _MOST:
            raise UnusableError(f"more than {_MOST / 2**20:.0f} MB unpacked")
        return data


def open_archive(file: str | Path, progress: Tell | None = None) -> ImageSet:
    """The images of a zip archive, each decoded once to see that it is whole.

    Folders that all images share are left out; if any folder remains, each first one is a class, and images beside them
    are skipped; else there are no classes. Hidden files and files without an image's extension are ignored.

    Args:
        file: of the archive.
        progress: told how many images have been checked.

    Raises:
        ImageError: there is no such archive, or no image in it that can be used; the folders in it are not classes but
            parts of a data set.
    """
    path = home(file)
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile, ValueError) as error:
        raise ImageError(f"expected a zip archive of images, got {path}: {' '.join(str(error).split())}") from error
    shared, names = _named(archive)
    classes = [PurePosixPath(name).parts for name in names]
    folders = any(len(parts) > 1 for parts in classes)
    if folders:
        inside = any(len(parts) > 2 for parts in classes)
        refuse_parts(path, list(dict.fromkeys(parts[0] for parts in classes if len(parts) > 1)), inside=inside)
    members = Members(archive, tuple(shared + name for name in names))
    reasons = ["beside the class folders, not in one" if folders and len(c) < 2 else None for c in classes]
    found = examined(lambda i: reasons[i] or members.unusable(i), range(len(names)), progress)
    good = [i for i, why in enumerate(found) if why is None]
    skipped = tuple(Skipped(names[i], why) for i, why in enumerate(found) if why is not None)
    if not good:
        first = f", the first {skipped[0].name}: {skipped[0].reason}" if skipped else ""
        raise ImageError(f"expected images in {path}, got {len(skipped)} that cannot be used{first}; give whole ones")
    labels = list(dict.fromkeys(classes[i][0] for i in good)) if folders else []
    return ImageSet(
        name=path.stem,
        ids=tuple(names[i] for i in good),
        labels=tuple(labels.index(classes[i][0]) for i in good) if folders else None,
        class_names=tuple(labels),
        skipped=skipped,
        source=members,
        members=tuple(good),
    )


def _named(archive: zipfile.ZipFile) -> tuple[str, list[str]]:
    """The folders that all images share, and the images' names below them, sorted; each name once."""
    found = []
    for info in archive.infolist():
        parts = PurePosixPath(info.filename).parts
        hidden = any(part.startswith((".", "__MACOSX")) for part in parts)
        if not info.is_dir() and not hidden and PurePosixPath(info.filename).suffix.lower() in EXTENSIONS:
            found.append(info.filename)
    found = sorted(dict.fromkeys(found))
    folders = [name.split("/")[:-1] for name in found]
    shared = "".join(f"{parts[0]}/" for parts in takewhile(_alike, zip(*folders, strict=False)))
    return shared, [name.removeprefix(shared) for name in found]


def _alike(parts: Sequence[str]) -> bool:
    return len(set(parts)) == 1


ARCHIVE = ImageSource("zip", "the path of an archive", open_archive)
