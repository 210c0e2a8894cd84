"""A set of natural images: names, labels and pixels on demand; nothing is held in memory that is not in use."""

import hashlib
import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from snellen.base import Tell, UsageError
from snellen.images.crop import fit, to_tensor

Prefetched = tuple[list[int], list[Future[Tensor]]]


@dataclass(frozen=True)
class Skipped:
    """A file that was meant as an image but cannot serve as one, and why."""

    name: str
    reason: str


@runtime_checkable
class Pictures(Protocol):
    """Where pixels come from. Members are numbered; both methods must be safe to call from several threads."""

    def picture(self, member: int, at_least: int) -> Image.Image:
        """Member as upright 8-bit RGB; may be a reduced version whose shorter side is still `at_least` or more."""

    def content(self, member: int) -> bytes:
        """The bytes that identify a member's content."""


@dataclass(frozen=True, eq=False)
class ImageSet:
    """Natural images in a fixed order.

    Args:
        name: what to call the set.
        ids: one name for each image, unique.
        labels: for each image the index of its class in `class_names`; None where there are no classes.
        class_names: names of the classes, in order.
        skipped: what was left out, and why.
        source: where the pixels come from.
        members: which member of the source each image is.
    """

    name: str
    ids: tuple[str, ...]
    labels: tuple[int, ...] | None
    class_names: tuple[str, ...]
    skipped: tuple[Skipped, ...]
    source: Pictures
    members: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, index: int, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
        """One image, shorter side scaled to the target and centre cropped.

        Args:
            index: 0 <= index < len(self).
            size: (h, w).

        Returns:
            float32 RGB in [0, 1].

        Raises:
            ImageError: the file has gone or changed since the set was opened.
        """
        return to_tensor(fit(self.source.picture(self.members[index], max(size)), size))

    def pixels(self, size: tuple[int, int]) -> Float[Tensor, "n 3 h w"]:
        """All images in memory, each as `load` gives it; what holds many is for `batches`.

        Args:
            size: (h, w).
        """
        if not len(self):
            return torch.empty(0, 3, *size)
        return torch.stack([self.load(index, size) for index in range(len(self))])

    def batches(
        self, size: tuple[int, int], batch: int, indices: Sequence[int] | None = None
    ) -> Iterator[tuple[list[int], Float[Tensor, "n 3 h w"]]]:
        """All images (or those at `indices`) in order, decoded ahead by a few threads, at most two batches in memory.

        Args:
            size: (h, w) of every image.
            batch: images in one step, >= 1; the last step may have fewer.
            indices: which images, in this order.
        """
        if batch < 1:
            raise UsageError(f"expected a batch of at least 1 image, got {batch}")
        wanted = list(range(len(self)) if indices is None else indices)
        chunks = [wanted[start : start + batch] for start in range(0, len(wanted), batch)]
        workers = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1), thread_name_prefix="snellen-images")
        try:
            yield from self._ahead(workers, chunks, size)
        finally:
            workers.shutdown(wait=True, cancel_futures=True)

    def thumbnail(self, index: int, px: int) -> bytes:
        """The centre square of an image at px x px, as a JPEG file."""
        file = io.BytesIO()
        square = fit(self.source.picture(self.members[index], px), (px, px))
        square.save(file, "JPEG", quality=90, subsampling=0, optimize=True)
        return file.getvalue()

    def digest(self, progress: Tell | None = None) -> str:
        """SHA-256 over the id, the class and the content of every image, in order; read once and remembered.

        Args:
            progress: told (read, all).
        """
        known = self.__dict__.get("_digest")
        if known is None:
            total = hashlib.sha256()
            for index, (identity, member) in enumerate(zip(self.ids, self.members, strict=True)):
                label = "" if self.labels is None else self.class_names[self.labels[index]]
                for part in (identity.encode(), label.encode(), self.source.content(member)):
                    total.update(hashlib.sha256(part).digest())
                if progress is not None:
                    progress("reading images", index + 1, len(self))
            known = self.__dict__["_digest"] = total.hexdigest()
        return str(known)

    def subset(self, indices: Sequence[int]) -> "ImageSet":
        """The images at `indices`, in that order, with all class names and no list of skipped files."""
        return replace(
            self,
            ids=tuple(self.ids[i] for i in indices),
            labels=None if self.labels is None else tuple(self.labels[i] for i in indices),
            members=tuple(self.members[i] for i in indices),
            skipped=(),
        )

    def _ahead(
        self, workers: ThreadPoolExecutor, chunks: list[list[int]], size: tuple[int, int]
    ) -> Iterator[tuple[list[int], Tensor]]:
        waiting: list[Prefetched] = []
        for chunk in chunks:
            waiting.append((chunk, [workers.submit(self.load, index, size) for index in chunk]))
            if len(waiting) == 2:
                yield _collect(waiting.pop(0))
        for last in waiting:
            yield _collect(last)


def _collect(prefetched: Prefetched) -> tuple[list[int], Tensor]:
    chunk, futures = prefetched
    return chunk, torch.stack([future.result() for future in futures])


@dataclass(frozen=True)
class ImageSource:
    """Sets of natural images by name: "WORD:NAME" is `open("NAME", progress)`.

    Args:
        name: the word.
        what: stands behind the colon, for messages.
        open: the name and who is told how many images are checked -> the images.
    """

    name: str
    what: str
    open: Callable[[str, Tell | None], ImageSet]
