"""The built-in photographs: sixteen pictures that ship inside scikit-image's wheel, cut into crops.

Class = which photograph. A strip along one side of each is the test region and the rest, but for a guard band of eight
pixels, the train region: no pixel is in both.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageStat

from snellen.base import DependencyError, ImageError, UsageError, nearest
from snellen.images.decoding import UnusableError, decode
from snellen.images.imageset import ImageSet

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels, right and bottom not included."""

SPLITS = ("test", "train")
GUARD = 8


@dataclass(frozen=True)
class Photograph:
    """A photograph, its size, and the side and breadth of its test strip."""

    name: str
    file: str
    width: int
    height: int
    side: str
    breadth: int

    def region(self, split: str) -> Box:
        """The pixels of a split."""
        test, start, stop = split == "test", self.breadth, self.breadth + GUARD
        match self.side:
            case "left":
                return (0, 0, start, self.height) if test else (stop, 0, self.width, self.height)
            case "top":
                return (0, 0, self.width, start) if test else (0, stop, self.width, self.height)
            case "right":
                left = self.width - (start if test else self.width)
                return (left, 0, self.width if test else self.width - stop, self.height)
            case _:
                top = self.height - (start if test else self.height)
                return (0, top, self.width, self.height if test else self.height - stop)


PHOTOGRAPHS = (
    Photograph("astronaut", "astronaut.png", 512, 512, "bottom", 128),
    Photograph("bricks", "brick.png", 512, 512, "right", 128),
    Photograph("cameraman", "camera.png", 512, 512, "bottom", 128),
    Photograph("cat", "chelsea.png", 451, 300, "left", 120),
    Photograph("coffee cup", "coffee.png", 600, 400, "right", 150),
    Photograph("coins", "coins.png", 384, 303, "bottom", 78),
    Photograph("galaxies", "hubble_deep_field.jpg", 1000, 872, "right", 250),
    Photograph("grass", "grass.png", 512, 512, "right", 128),
    Photograph("gravel", "gravel.png", 512, 512, "right", 128),
    Photograph("handwriting", "text.png", 448, 172, "right", 112),
    Photograph("moon", "moon.png", 512, 512, "bottom", 128),
    Photograph("motorcycle", "motorcycle_left.png", 741, 500, "left", 180),
    Photograph("print", "page.png", 384, 191, "left", 96),
    Photograph("retina", "retina.jpg", 1411, 1411, "right", 355),
    Photograph("rocket", "rocket.jpg", 640, 427, "left", 160),
    Photograph("tissue", "ihc.png", 512, 512, "right", 128),
)

_GRIDS = {
    "test": ((1.0, 1, 7), (0.8, 2, 6), (0.6, 2, 8)),
    "train": ((1.0, 1, 5), (0.75, 3, 3), (0.5, 3, 5), (0.3, 4, 5)),
}
"""For each split: side of the crops as a part of the region's shorter side, places across it and along it."""

_BLANK = 3.0
"""Standard deviation, in grey levels of 255, below which a crop shows nothing."""


@dataclass(frozen=True)
class Crop:
    """A square of one photograph."""

    photograph: int
    box: Box


@dataclass(frozen=True, eq=False)
class Crops:
    """Pictures cut from the photographs; pixels outside a crop never count."""

    crops: tuple[Crop, ...]

    def picture(self, member: int, at_least: int) -> Image.Image:
        """The crop at its own size."""
        crop = self.crops[member]
        return photograph(PHOTOGRAPHS[crop.photograph]).crop(crop.box)

    def content(self, member: int) -> bytes:
        """Box and pixels."""
        return repr(self.crops[member]).encode() + self.picture(member, 1).tobytes()


def open_photographs(split: str = "test") -> ImageSet:
    """The crops of one split, in the order of `PHOTOGRAPHS`, large to small.

    Args:
        split: "test" or "train".

    Raises:
        UsageError: another split.
        DependencyError: scikit-image is not installed.
        ImageError: a photograph is missing or another one than expected.
    """
    if split not in SPLITS:
        raise UsageError(
            f'expected "builtin" or "builtin:train", got "builtin:{split}"; {nearest(split, SPLITS)}'.strip()
        )
    for each in PHOTOGRAPHS:
        photograph(each)
    crops = tuple(crop for index in range(len(PHOTOGRAPHS)) for crop in cut(index, split))
    return ImageSet(
        name="builtin" if split == "test" else f"builtin:{split}",
        ids=tuple(f"{PHOTOGRAPHS[c.photograph].name}/{c.box[0]},{c.box[1]}+{c.box[2] - c.box[0]}" for c in crops),
        labels=tuple(crop.photograph for crop in crops),
        class_names=tuple(each.name for each in PHOTOGRAPHS),
        skipped=(),
        source=Crops(crops),
        members=tuple(range(len(crops))),
    )


def cut(index: int, split: str) -> tuple[Crop, ...]:
    """The squares of one photograph's region, at several scales on even grids, without blank ones (night, paper)."""
    left, top, right, bottom = PHOTOGRAPHS[index].region(split)
    width, height = right - left, bottom - top
    crops = []
    for part, across, along in _GRIDS[split]:
        side = round(part * min(width, height))
        columns, rows = (along, across) if width >= height else (across, along)
        for y in _places(height - side, rows):
            for x in _places(width - side, columns):
                crops.append(Crop(index, (left + x, top + y, left + x + side, top + y + side)))
    return tuple(crop for crop in dict.fromkeys(crops) if not _blank(crop))


def _blank(crop: Crop) -> bool:
    grey = photograph(PHOTOGRAPHS[crop.photograph]).crop(crop.box).convert("L")
    return ImageStat.Stat(grey).stddev[0] < _BLANK


@cache
def photograph(which: Photograph) -> Image.Image:
    """A whole photograph, RGB, decoded once.

    Raises:
        DependencyError: scikit-image is not installed.
        ImageError: the photograph is missing or another one than expected.
    """
    path = _folder() / which.file
    try:
        picture = decode(path)
    except UnusableError as reason:
        raise ImageError(f"expected the photograph {path}, got: {reason}; reinstall scikit-image") from reason
    if picture.size != (which.width, which.height):
        raise ImageError(f"expected {path} at {which.width}x{which.height}, got {picture.size}; reinstall scikit-image")
    return picture


def _folder() -> Path:
    found = importlib.util.find_spec("skimage")
    if found is None or not found.submodule_search_locations:
        raise DependencyError("expected scikit-image for its photographs, got none; pip install scikit-image")
    return Path(found.submodule_search_locations[0]) / "data"


def _places(room: int, count: int) -> list[int]:
    if count == 1:
        return [room // 2]
    return [round(i * room / (count - 1)) for i in range(count)]
