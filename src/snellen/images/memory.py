"""Images in memory: arrays and tensors, lists of pictures, data sets of PyTorch and of Hugging Face."""

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from snellen.base import ImageError, Tell
from snellen.images.arrays import Stack
from snellen.images.decoder import UnusableError, usable
from snellen.images.imageset import ImageSet

Classes = tuple[tuple[int, ...] | None, tuple[str, ...]]
"""For each image its class, or None; and what the classes are called."""
_SLACK = 1e-3  # by how much numbers may leave [0, 1] through rounding
_FORMS = (
    "a folder, an .npz file, a tensor or array (n, 3, h, w) or (n, h, w, 3), a list of PIL images, or a data set of "
    "PyTorch or Hugging Face"
)


def open_memory(images: Any, progress: Tell | None = None) -> ImageSet:
    """A set of images that are in memory, or that a data set gives one by one.

    Args:
        images: a tensor or array (n, 3, h, w) or (n, h, w, 3), or with one channel or none for grey, as uint8 or as
            floats in [0, 1] (which are rounded to 8 bits); a pair of such an array and n labels; a list of PIL images
            or of single arrays, each alone or with its label; a `torch.utils.data.Dataset` of images or of (image,
            label); a `datasets.Dataset` with a column of images. A data set is read through once, to see that its
            images can be used; it has to give the same image each time.
        progress: told (checked, all) meanwhile.

    Raises:
        ImageError: it is none of these, or an image in it cannot be used.
    """
    if isinstance(images, Tensor | np.ndarray):
        return _stacked(images, None)
    if _is_pair(images):
        return _stacked(images[0], _whole(images[1], len(images[0])))
    if isinstance(images, Mapping):
        splits = ", ".join(str(name) for name in list(images)[:5])
        raise ImageError(f'expected one set of images, got a mapping of {splits}; choose one, as in images["test"]')
    if not hasattr(images, "__getitem__") or not hasattr(images, "__len__"):
        raise ImageError(f"expected images as {_FORMS}, got {type(images).__name__}; give one that can be indexed")
    if hasattr(images, "features") and hasattr(images, "column_names"):
        return _hugging_face(images, progress)
    return _listed(images, progress)


@dataclass(frozen=True, eq=False)
class Items:
    """Pictures that something gives by number, one thread at a time.

    Args:
        read: number -> picture, or (picture, label).
    """

    read: Callable[[int], Any]
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def picture(self, member: int, at_least: int) -> Image.Image:
        """The picture, upright 8-bit RGB at its own size."""
        return self.item(member)[0]

    def content(self, member: int) -> bytes:
        """Size and pixels."""
        shown = self.picture(member, 0)
        return repr(shown.size).encode() + shown.tobytes()

    def item(self, member: int) -> tuple[Image.Image, Any]:
        """The picture and its label; None where it has none."""
        try:
            with self._lock:
                found = self.read(member)
        except Exception as error:  # a person's own data set: whatever it raises is the answer
            told = " ".join(f"{type(error).__name__}: {error}".split())[:120]
            raise ImageError(f"expected the data set to give image {member}, got {told}; mend the data set") from error
        several = isinstance(found, tuple | list) and len(found) > 0
        image, label = (found[0], found[1] if len(found) == 2 else None) if several else (found, None)
        try:
            return _rgb(image), label
        except UnusableError as reason:
            raise ImageError(f"expected images that can be used, got number {member}: {reason}") from reason


def _rgb(image: Any) -> Image.Image:
    """One image as upright 8-bit RGB."""
    if isinstance(image, Image.Image):
        return usable(image)
    if not isinstance(image, Tensor | np.ndarray):
        raise UnusableError(f"{type(image).__name__}, neither a PIL image nor an array nor a tensor")
    pixels = _array(image)
    if pixels.ndim not in (2, 3):
        raise UnusableError(f"an array of shape {pixels.shape}, not (3, h, w) or (h, w, 3)")
    bytes_ = _bytes(_channels_last(pixels[None], single=True))[0]
    return Image.fromarray(bytes_[..., 0] if bytes_.shape[-1] == 1 else bytes_).convert("RGB")


def _stacked(images: Tensor | np.ndarray, labels: tuple[int, ...] | None) -> ImageSet:
    pixels = _array(images)
    try:
        if pixels.ndim not in (3, 4) or not pixels.size:
            raise UnusableError(f"an array of shape {pixels.shape}, not (n, 3, h, w) or (n, h, w, 3)")
        stack = Stack(_bytes(_channels_last(pixels, single=False)))
    except UnusableError as reason:
        raise ImageError(f"expected images that can be used, got {reason}") from reason
    kind = "tensor" if isinstance(images, Tensor) else "array"
    return _set(kind, stack, len(pixels), (labels, ()))


def _listed(images: Any, progress: Tell | None) -> ImageSet:
    """A list or a data set of PyTorch, read through once."""
    name = "list" if isinstance(images, list | tuple) else type(images).__name__
    if not len(images):
        raise ImageError(f"expected at least one image, got an empty {name}")
    source = Items(images.__getitem__)
    labels = []
    for number in range(len(images)):
        labels.append(source.item(number)[1])
        if progress is not None:
            progress("checking images", number + 1, len(images))
    _same_twice(source, len(images))
    return _set(name, source, len(images), _classes(labels, _names(images)))


def _hugging_face(images: Any, progress: Tell | None) -> ImageSet:
    """A `datasets.Dataset`: its first column of images, and its first of classes."""
    kinds = {column: type(images.features[column]).__name__ for column in images.column_names}
    column = next((c for c, kind in kinds.items() if kind == "Image"), None)
    if column is None:
        told = ", ".join(f"{c} ({kind})" for c, kind in list(kinds.items())[:6])
        raise ImageError(f"expected a column of images in the data set, got {told}; cast one to datasets.Image()")
    if not len(images):
        raise ImageError("expected at least one image, got an empty data set")
    label = next((c for c, kind in kinds.items() if kind == "ClassLabel"), None)
    source = Items(lambda number: images[number][column])
    for number in range(len(images)):
        source.picture(number, 0)
        if progress is not None:
            progress("checking images", number + 1, len(images))
    _same_twice(source, len(images))
    names = () if label is None else tuple(str(name) for name in images.features[label].names)
    classes = (None, ()) if label is None else _classes(list(images[label]), names)
    told = getattr(getattr(images, "info", None), "dataset_name", None) or "data set"
    return _set(told, source, len(images), classes)


def _set(name: str, source: Stack | Items, count: int, classes: Classes = (None, ())) -> ImageSet:
    labels, names = classes
    if labels is not None:
        names = names or tuple(str(i) for i in range(max(labels) + 1))
    return ImageSet(
        name=f"{name} of {count} images",
        ids=tuple(f"{number:06d}" for number in range(count)),
        labels=labels,
        class_names=names if labels is not None else (),
        skipped=(),
        source=source,
        members=tuple(range(count)),
    )


def _classes(labels: Sequence[Any], names: tuple[str, ...]) -> Classes:
    """For each image its class, and what the classes are called; None where labels are not one class each."""
    plain = [_plain(label) for label in labels]
    if all(isinstance(label, str) for label in plain):
        names = tuple(sorted(set(plain)))
        return tuple(names.index(label) for label in plain), names
    if not all(isinstance(label, int | np.integer) and not isinstance(label, bool) and label >= 0 for label in plain):
        return None, ()
    numbers = tuple(int(label) for label in plain)
    return numbers, names if len(names) > max(numbers) else ()


def _plain(label: Any) -> Any:
    """A number out of an array or tensor of one."""
    is_one = isinstance(label, Tensor | np.ndarray) and int(np.prod(label.shape)) == 1
    return label.reshape(()).item() if is_one else label


def _names(images: Any) -> tuple[str, ...]:
    """Names of the classes, as torchvision's data sets and subsets of them tell."""
    found = getattr(images, "classes", None)
    if found is None and hasattr(images, "dataset"):
        return _names(images.dataset)
    return tuple(found) if isinstance(found, list | tuple) and all(isinstance(n, str) for n in found) else ()


def _same_twice(source: Items, count: int) -> None:
    """Refuse a data set that gives something else each time, as random augmentation does."""
    for number in sorted({0, count // 2, count - 1}):
        if source.content(number) != source.content(number):
            raise ImageError(
                f"expected a data set that gives the same image each time, got another image {number} at the second "
                "look; leave random augmentation out of its transform"
            )


def _is_pair(images: Any) -> bool:
    arrays = Tensor | np.ndarray
    if not isinstance(images, tuple | list) or len(images) != 2 or not all(isinstance(i, arrays) for i in images):
        return False
    return images[0].ndim > 2 and images[1].ndim == 1


def _whole(labels: Tensor | np.ndarray, count: int) -> tuple[int, ...]:
    found = _array(labels)
    if found.shape != (count,) or not np.issubdtype(found.dtype, np.integer) or (count and found.min() < 0):
        raise ImageError(
            f"expected labels as {count} integers from 0 up, got {found.dtype} of shape {tuple(found.shape)}"
        )
    return tuple(int(label) for label in found)


def _array(images: Tensor | np.ndarray) -> np.ndarray:
    if not isinstance(images, Tensor):
        return images
    images = images.detach().cpu()
    return np.asarray((images.float() if images.is_floating_point() else images).numpy())


def _channels_last(pixels: np.ndarray, *, single: bool) -> np.ndarray:
    """(n, h, w, c) with c = 1 or 3 of (n, c, h, w), (n, h, w, c) or (n, h, w); what could be two of them is refused."""
    where = "(3, h, w) or (h, w, 3)" if single else "(n, 3, h, w) or (n, h, w, 3)"
    shape = pixels.shape[1:] if single else pixels.shape
    if pixels.ndim == 3:
        if not single and 3 in (pixels.shape[0], pixels.shape[2]):
            raise UnusableError(f"an array of shape {shape}, which may be one image or several; give {where}")
        return pixels[..., None]
    first, last = pixels.shape[1] in (1, 3), pixels.shape[3] in (1, 3)
    if first and last:
        raise UnusableError(f"an array of shape {shape}, whose channels may come first or last; give {where}")
    if not first and not last:
        raise UnusableError(f"an array of shape {shape} without an axis of 1 or 3 channels; give {where}")
    return np.moveaxis(pixels, 1, 3) if first else pixels


def _bytes(pixels: np.ndarray) -> np.ndarray:
    """As uint8: bytes as they are, numbers in [0, 1] rounded."""
    if pixels.dtype == np.uint8:
        return np.ascontiguousarray(pixels)
    if not np.issubdtype(pixels.dtype, np.floating):
        raise UnusableError(f"{pixels.dtype}; give uint8, or floats in [0, 1]")
    low, high = float(pixels.min()), float(pixels.max())
    if not (low >= -_SLACK and high <= 1 + _SLACK):
        raise UnusableError(
            f"floats from {low:.3g} to {high:.3g}; give RGB in [0, 1], not normalized: the model's own preprocessing "
            "comes after"
        )
    return np.ascontiguousarray((pixels.clip(0, 1) * 255).round().astype(np.uint8))
