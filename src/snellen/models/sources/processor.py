"""What an image processor of the transformers library does to a picture, read off, measured, and compared once."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import ModelError
from snellen.models.model import Preprocess
from snellen.models.sources.hub import raised

TOLERANCE = 1e-5  # between what a processor makes of a picture and what a network is shown here
_SIDES = (211, 397)  # of square pictures: where both come out alike, that is the network's size
_PATCH = 64  # side of the picture that is compared where no size is known
_LARGEST = 4096
_GEOMETRY = ("do_resize", "do_center_crop", "do_pad")
_GREY = "the network takes one channel: pictures are turned to grey before it sees them"


@dataclass(frozen=True)
class Seen:
    """What a processor does: the size of what comes out, values of pixels, who says so, and what has to be known."""

    size: tuple[int, int] | None
    preprocess: Preprocess | None
    origin: str
    notes: tuple[str, ...] = ()


def seen_by(processor: Any, channels: int, where: str = " of the folder") -> Seen:
    """Size and values that a processor gives.

    Values are what its settings say; where its output is another (reversed channels, a second normalization, an
    offset), they are measured on plain pictures. Either way the output for a random picture has to be the same.

    Args:
        processor: of the transformers library.
        channels: that the network takes; with one, the processor is given grey pictures.
        where: it comes from, for people.

    Raises:
        ModelError: the processor fails, or does what no `Preprocess` says.
    """
    name = type(processor).__name__
    if channels not in (1, 3):
        raise ModelError(f"expected a network for 1 or 3 channels, got {channels}; build it and wrap it in a Model")
    size = _size(processor, channels)
    side = size or (_PATCH, _PATCH)
    still = hasattr(processor, "do_resize")  # it can be told to leave the size; another one is shown one plain colour
    random = np.random.default_rng(0).integers(0, 256, (*(side if still else (1, 1)), 3), dtype=np.uint8)
    random = np.broadcast_to(random, (*side, 3)).copy()
    if channels == 1:
        random[...] = random[..., :1]
    want = _output(processor, random, channels, settled=True)
    if want.shape != (channels, *side):
        raise ModelError(
            f"expected {name} to keep a picture's {channels}x{side[0]}x{side[1]} values, got {tuple(want.shape)}; "
            "give the network in a Model with its Preprocess"
        )
    for way, notes in (
        (_settings(processor, channels), ()),
        (
            _measured(processor, channels, side),
            (f"preprocessing: measured on the output of {name}; its mean and deviation alone do not say it",),
        ),
    ):
        if way is not None and _difference(way, random, want) <= 1:
            grey = () if channels == 3 else (_GREY,)
            return Seen(size, way, f"{name}{where}", (*notes, *grey))
    raise ModelError(
        f"expected {name} to give each colour a factor and an offset, got what no Preprocess does; "
        "give the network in a Model with its Preprocess"
    )


def guessed(library: ModuleType, model_type: str, channels: int) -> Seen:
    """What processors of networks of this kind do by default, without a size; a guess, and noted as one."""
    known = library.models.auto.image_processing_auto.IMAGE_PROCESSOR_MAPPING_NAMES
    stems = (model_type, model_type.split("_vision")[0], model_type.split("_with_")[0])
    told: Any = next((known[stem] for stem in stems if stem in known), {})
    for name in sorted(told.values() if isinstance(told, Mapping) else [n for n in told if n], key=len):
        try:
            seen = seen_by(getattr(library, name)(), channels)
        except Exception:
            continue
        plain = name.removesuffix("Pil")
        note = f"preprocessing: no processor came with the network; guessed the defaults of {plain}"
        return Seen(None, seen.preprocess, f"guessed: defaults of {plain}", (note,))
    note = "preprocessing: nothing is known of it; guessed that the network takes pictures in [0, 1] as they are"
    return Seen(None, Preprocess() if channels == 3 else None, "guessed: pictures as they are", (note,))


def _size(processor: Any, channels: int) -> tuple[int, int] | None:
    """Height and width of what comes out, where they do not depend on what goes in (as a square)."""
    for name in ("size", "crop_size", "pad_size"):
        told: Any = getattr(processor, name, None)
        sides = list(dict(told).values()) if hasattr(told, "keys") else []
        if any(isinstance(s, int | float) and not 1 <= s <= _LARGEST for s in sides):
            raise ModelError(f"expected a processor with sides from 1 to {_LARGEST} pixels, got {name}={told}")
    shapes = [_output(processor, np.zeros((s, s, 3), np.uint8), channels, settled=False).shape for s in _SIDES]
    return (shapes[0][1], shapes[0][2]) if shapes[0] == shapes[1] else None


def _output(processor: Any, picture: Any, channels: int, *, settled: bool) -> Float[Tensor, "c h w"]:
    """Of one picture, (h, w, 3) bytes; settled, its size is left as it is."""
    options: dict[str, Any] = {name: False for name in _GEOMETRY if settled and hasattr(processor, name)}
    if channels == 1:
        picture, options["input_data_format"] = picture[None, ..., 0], "channels_first"
    try:
        values = processor(images=picture, return_tensors="pt", **options)["pixel_values"]
    except Exception as error:  # the library's own checks of what a folder says come here, too
        raise ModelError(f"expected {type(processor).__name__} to take a picture, got {raised(error)}") from error
    if not isinstance(values, Tensor) or values.dim() != 4 or not values.numel():
        shape = tuple(getattr(values, "shape", ()))
        raise ModelError(f"expected {type(processor).__name__} to give one picture, got values of shape {shape}")
    return values[0].float()


def _settings(processor: Any, channels: int) -> Preprocess | None:
    def told(name: str) -> Any:
        return getattr(processor, name, None)

    def each(value: Any) -> tuple[float, ...]:
        return tuple(map(float, value)) if isinstance(value, list | tuple) else (float(value),) * channels

    try:
        factor = float(told("rescale_factor")) * 255 if told("do_rescale") else 255.0
        normal = told("do_normalize")
        mean, deviation = (each(told("image_mean")), each(told("image_std"))) if normal else (each(0), each(1))
        return Preprocess(factor, mean, deviation, "rgb" if channels == 3 else "grey")
    except (TypeError, ValueError, ModelError):
        return None


def _measured(processor: Any, channels: int, side: tuple[int, int]) -> Preprocess | None:
    """From plain black, red, green and blue pictures; None where a factor is not positive."""
    colours = np.concatenate([np.zeros((1, 3)), np.eye(3) if channels == 3 else np.ones((1, 3))]) * 255
    black, *rest = (
        _output(processor, np.broadcast_to(c.astype(np.uint8), (*side, 3)).copy(), channels, settled=True)[
            :, side[0] // 2, side[1] // 2
        ].double()
        for c in colours
    )
    gains = torch.stack(rest, 1) - black[:, None]
    order = "grey" if channels == 1 else "bgr" if gains[0, 2].abs() > gains[0, 0].abs() else "rgb"
    factors = gains[:, 0] if channels == 1 else gains.flip(1).diagonal() if order == "bgr" else gains.diagonal()
    if not (torch.isfinite(factors).all() and torch.isfinite(black).all() and factors.min() > 0):
        return None
    rounded = [float(f"{f:.7g}") for f in (1 / factors).tolist()]
    means = [float(f"{-b * s:.7g}") + 0.0 for b, s in zip(black.tolist(), rounded, strict=True)]
    return Preprocess(1.0, tuple(means), tuple(rounded), order)  # type: ignore[arg-type]


def _difference(way: Preprocess, picture: Any, want: Tensor) -> float:
    """The largest one between what a network would see and should see, in tolerances."""
    rgb = torch.from_numpy(picture).permute(2, 0, 1)[None].float() / 255
    room = TOLERANCE * want.abs().max().clamp(min=1.0)
    largest = float(((way(rgb)[0] - want).abs() / room).max())
    return largest if largest == largest else float("inf")
