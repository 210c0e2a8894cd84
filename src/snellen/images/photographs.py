"""The built-in photographs: fifteen pictures that ship inside scikit-image's wheel, cut into crops.

Class = which photograph. A box at one side of each is the test region and another box, at least eight pixels away, the
train region: no pixel is in both.
"""

import importlib.util
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageStat

from snellen.base import DependencyError, ImageError, UsageError, nearest
from snellen.images.decoder import UnusableError, decode
from snellen.images.imageset import ImageSet, ImageSource

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels, right and bottom not included."""

SPLITS = ("test", "train")
GUARD = 8


@dataclass(frozen=True)
class Photograph:
    """A photograph, its size in pixels, and the boxes that are held out and trained on."""

    name: str
    file: str
    size: tuple[int, int]
    test: Box
    train: Box

    def region(self, split: str) -> Box:
        """The pixels of a split."""
        return self.test if split == "test" else self.train


PHOTOGRAPHS = (
    Photograph("astronaut", "astronaut.png", (512, 512), (0, 400, 300, 512), (0, 0, 512, 392)),
    Photograph("bricks", "brick.png", (512, 512), (384, 0, 512, 512), (0, 0, 376, 512)),
    Photograph("cat", "chelsea.png", (451, 300), (0, 0, 120, 300), (128, 0, 451, 300)),
    Photograph("coffee cup", "coffee.png", (600, 400), (450, 0, 600, 400), (0, 0, 442, 400)),
    Photograph("coins", "coins.png", (384, 303), (0, 225, 384, 303), (0, 0, 384, 217)),
    Photograph("galaxies", "hubble_deep_field.jpg", (1000, 872), (750, 0, 1000, 872), (0, 0, 742, 872)),
    Photograph("grass", "grass.png", (512, 512), (384, 0, 512, 512), (0, 0, 376, 512)),
    Photograph("gravel", "gravel.png", (512, 512), (384, 0, 512, 512), (0, 0, 376, 512)),
    Photograph("handwriting", "text.png", (448, 172), (336, 0, 448, 172), (0, 0, 328, 172)),
    Photograph("moon", "moon.png", (512, 512), (0, 384, 512, 512), (0, 0, 512, 376)),
    Photograph("motorcycle", "motorcycle_left.png", (741, 500), (0, 160, 190, 400), (198, 0, 741, 500)),
    Photograph("print", "page.png", (384, 191), (0, 0, 96, 191), (104, 0, 384, 191)),
    Photograph("retina", "retina.jpg", (1411, 1411), (1056, 0, 1411, 1411), (0, 0, 1048, 1411)),
    Photograph("rocket", "rocket.jpg", (640, 427), (0, 0, 160, 427), (168, 0, 640, 427)),
    Photograph("tissue", "ihc.png", (512, 512), (384, 0, 512, 512), (0, 0, 376, 512)),
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
    if picture.size != which.size:
        raise ImageError(f"expected {path} with {which.size} pixels, got {picture.size}; reinstall scikit-image")
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


BUILTIN = ImageSource("builtin", "SPLIT", lambda split, _progress: open_photographs(split or "test"))
