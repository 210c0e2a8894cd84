"""The picture that a manipulated layer is to show, from a file."""

from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from snellen.base import ImageError, UsageError
from snellen.images.crop import fit, to_tensor
from snellen.images.decoder import UnusableError, decode


def open_picture(path: Path, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """A picture file, its shorter side scaled to the target and centre cropped, RGB in [0, 1].

    Raises:
        UsageError: there is no such file.
        ImageError: it cannot be read.
    """
    if not path.is_file():
        raise UsageError(f'expected "permute" or a picture file to show, got "{path}", which does not exist')
    try:
        return to_tensor(fit(decode(path), size))
    except UnusableError as reason:
        raise ImageError(f"expected a picture to show, got {path}: {reason}") from reason
