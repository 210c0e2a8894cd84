"""From the bytes of one image file to an upright 8-bit RGB picture, or to the reason why not."""

import logging
from io import BytesIO
from pathlib import Path

from PIL import Image, ImageOps, UnidentifiedImageError

_NAMES = "jpg jpeg jpe jfif png webp bmp gif tif tiff ppm pgm pbm pnm avif heic heif"
EXTENSIONS = frozenset("." + name for name in _NAMES.split())
MOST_PIXELS = 89_478_485
"""Pillow's own bound against decompression bombs (a 256 MB picture); what is larger is skipped."""

_DEEP_MODES = ("I", "F", "I;16", "I;16B", "I;16L", "I;16N")
_ALPHA_MODES = ("RGBA", "RGBa", "LA", "La", "PA")
_BITS_PER_SAMPLE = 258  # the TIFF tag


logging.getLogger("PIL").addHandler(logging.NullHandler())  # what is wrong with a file is told as its reason, once


class UnusableError(Exception):
    """Why a file cannot serve as an image: the text is the reason shown to the user."""


def decode(file: Path | BytesIO, at_least: int | None = None) -> Image.Image:
    """The picture in a file: RGB, 8 bits, upright, transparency laid on white; colour profiles are ignored.

    Args:
        file: of any kind that Pillow reads.
        at_least: the shorter side that is needed; a JPEG may then come at a half, quarter or eighth of its size, but
            never with a shorter side below twice this.

    Raises:
        UnusableError: the file is damaged, truncated, animated, huge or deeper than 8 bits.
    """
    try:
        with Image.open(file) as image:
            _refuse(image)
            if at_least is not None:
                image.draft(None, (2 * at_least, 2 * at_least))
            return usable(image)
    except UnusableError:
        raise
    except UnidentifiedImageError as error:
        raise UnusableError("not an image that Pillow can read") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UnusableError(_huge()) from error
    except Exception as error:  # a decoder may raise anything on damaged bytes: struct.error, SyntaxError, KeyError ...
        raise UnusableError(_damaged(error)) from error


def usable(image: Image.Image) -> Image.Image:
    """An open picture as RGB, 8 bits, upright, transparency laid on white.

    Raises:
        UnusableError: it is animated, huge, empty or deeper than 8 bits.
    """
    _refuse(image)
    image.load()
    return _rgb(ImageOps.exif_transpose(image))


def _refuse(image: Image.Image) -> None:
    width, height = image.size
    if width * height > MOST_PIXELS:
        raise UnusableError(_huge(f", this one has {width * height / 1e6:.0f}"))
    if min(width, height) < 1:
        raise UnusableError("no pixels")
    if _is_deep(image):
        raise UnusableError("more than 8 bits a channel")
    frames = getattr(image, "n_frames", 1)
    if frames > 1 and image.format != "MPO":  # an MPO is a photograph with a preview behind it
        raise UnusableError(f"animated or several pages ({frames} frames)")


def _is_deep(image: Image.Image) -> bool:
    if image.mode in _DEEP_MODES:
        return True
    if image.format == "TIFF":
        bits = getattr(image, "tag_v2", {}).get(_BITS_PER_SAMPLE, (8,))
        return max(bits if isinstance(bits, tuple) else (bits,)) > 8
    raw = [tile[3] for tile in getattr(image, "tile", ())]
    if image.format == "PNG":
        return any("16" in str(arguments) for arguments in raw)
    if image.format == "PPM":
        return any(isinstance(a, tuple) and a and isinstance(a[-1], int) and a[-1] > 255 for a in raw)
    return False


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode in _ALPHA_MODES or "transparency" in image.info:
        layer = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    return image.convert("RGB")


def _huge(detail: str = "") -> str:
    return f"more than {MOST_PIXELS / 1e6:.0f} megapixels{detail}"


def _damaged(error: BaseException) -> str:
    if isinstance(error, FileNotFoundError | PermissionError):
        return "cannot be read: " + (error.strerror or "").lower()
    text = " ".join(str(error).split()) or type(error).__name__
    return f"damaged or truncated: {text[:120]}"
