"""One forward pass, and one line for whatever goes wrong in it."""

from typing import Any

import torch
from torch import Tensor

from snellen.base import ModelError, SnellenError
from snellen.models.model import Model

SIZES = (224, 32, 64, 96, 128, 256, 299, 384, 28)
"""Usual input sizes in pixels, in the order in which they are tried."""


class Reached(BaseException):  # not an Exception, so that no `except Exception` in a network swallows it
    """Everything that was asked for has spoken: the forward pass ends here on purpose."""


def run(model: Model, images: Tensor) -> Any:
    """What the network returns; None where it was stopped by `Reached`. Its failures become one line.

    What the house has already put into words passes as it is.

    Raises:
        ModelError: the network fails.
        torch.OutOfMemoryError: memory ran out.
    """
    try:
        return model.run(images)
    except Reached:
        return None
    except Exception as error:
        raise failure(error, model, images) from error


def failure(error: Exception, model: Model, images: Tensor) -> Exception:
    """What to raise in place of what a network raised."""
    if isinstance(error, torch.OutOfMemoryError | MemoryError | SnellenError):
        return error
    if is_out_of_memory(error):
        return torch.OutOfMemoryError(str(error))
    size = "x".join(str(s) for s in images.shape[2:])
    first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelError(
        f"expected the network to take pictures of {size} px, but it failed: {first}{_hint(model, images)}"
    )


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; PyTorch's CPU allocator says so in a plain RuntimeError."""
    told = "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and told)


def _hint(model: Model, images: Tensor) -> str:
    """Another size that the network takes, if it is the size that it does not like."""
    if takes(model, (images.shape[2], images.shape[3])):
        return ""
    side = next((side for side in SIZES if takes(model, (side, side))), None)
    return "" if side is None else f"; it takes {side} px: try --size {side}"


def takes(model: Model, size: tuple[int, int]) -> bool:
    """Whether a picture of this height and width goes through."""
    try:
        with torch.no_grad():
            model.run(torch.full((1, 3, *size), 0.5, dtype=model.dtype, device=model.device))
    except Reached:
        return True
    except Exception:
        return False
    return True
