"""Pictures as people handle them: PIL images, files, one sheet of all, and a page for notebooks."""

import io
import math
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float
from PIL import Image
from torch import Tensor, from_numpy, uint8

from snellen.base import OutputError, UsageError
from snellen.base.markup import figure
from snellen.base.markup import grid as beside

_GAP = 2  # white pixels between pictures
_LONG = 80  # characters of a file's name
_WIDTH = (112, 224)  # CSS pixels of a picture in a notebook, at least and at most


def image_of(picture: Float[Tensor, "3 h w"]) -> Image.Image:
    """A picture in [0, 1] with 8 bits a channel."""
    pixels = (picture.detach().clamp(0, 1) * 255).round().to(uint8).permute(1, 2, 0).contiguous().cpu().numpy()
    return Image.fromarray(pixels)


def png(picture: Float[Tensor, "3 h w"]) -> bytes:
    """A picture in [0, 1] as a PNG file."""
    file = io.BytesIO()
    image_of(picture).save(file, "PNG")
    return file.getvalue()


def from_png(data: bytes) -> Float[Tensor, "3 h w"]:
    """What `png` wrote, (3, h, w) in [0, 1]."""
    with Image.open(io.BytesIO(data)) as image:
        pixels = np.array(image.convert("RGB"))
    return from_numpy(pixels).permute(2, 0, 1).float() / 255


def sheet(pictures: Float[Tensor, "n 3 h w"], columns: int | None = None) -> Image.Image:
    """All pictures in one, row by row.

    Args:
        pictures: in [0, 1].
        columns: in a row; by default about as many as rows.

    Raises:
        UsageError: fewer than one column.
    """
    count, height, width = len(pictures), pictures.shape[2], pictures.shape[3]
    wide = math.ceil(math.sqrt(count)) if columns is None else columns
    if wide < 1:
        raise UsageError(f"expected at least 1 column, got {wide}")
    wide = min(wide, max(count, 1))
    rows = -(-count // wide)
    whole = Image.new("RGB", (wide * (width + _GAP) - _GAP, max(rows * (height + _GAP) - _GAP, 1)), "white")
    for number, picture in enumerate(pictures):
        whole.paste(image_of(picture), (number % wide * (width + _GAP), number // wide * (height + _GAP)))
    return whole


def write(pictures: Float[Tensor, "n 3 h w"], names: Sequence[str | None], folder: Path) -> tuple[Path | None, ...]:
    """A PNG for each picture, named as told; None, and no file, where there is no name.

    Args:
        pictures: in [0, 1].
        names: of the pictures; what no file can be called is replaced, and what comes twice is numbered.
        folder: made if missing; files of these names are replaced.

    Raises:
        OutputError: the folder cannot be written to.
    """
    written: list[Path | None] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for picture, name in zip(pictures, names, strict=True):
            path = None if name is None else _free(folder, re.sub(r"[^\w.@,-]+", "_", name), written)
            if path is not None:
                path.write_bytes(png(picture))
            written.append(path)
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise OutputError(f"expected to write pictures into {folder}, got: {reason}; choose another folder") from error
    return tuple(written)


def page(pictures: Float[Tensor, "n 3 h w"], lines: Sequence[Sequence[str]]) -> str:
    """All pictures with lines of text below each, as HTML that holds its images."""
    width = min(max(pictures.shape[3] if len(pictures) else 0, _WIDTH[0]), _WIDTH[1])
    shown = zip(pictures, lines, strict=True)
    return beside([figure(png(picture), *told, width=width) for picture, told in shown])


def _free(folder: Path, stem: str, taken: Sequence[Path | None]) -> Path:
    first = path = folder / f"{stem[:_LONG]}.png"
    number = 2
    while path in taken:
        path = first.with_name(f"{stem[:_LONG]}-{number}.png")
        number += 1
    return path
