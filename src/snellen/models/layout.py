"""How a layer's output is laid out: which of its axes counts the pictures, and which the channels."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn

from snellen.base import LayerError
from snellen.models.unit import channel_axis, is_channels_last

Folded = Literal["", "outer", "inner"]
_SECOND: tuple[type[nn.Module], ...] = (
    nn.modules.conv._ConvNd,
    nn.modules.batchnorm._NormBase,
    nn.modules.pooling._MaxPoolNd,
    nn.modules.pooling._AvgPoolNd,
    nn.modules.pooling._AdaptiveAvgPoolNd,
    nn.modules.pooling._AdaptiveMaxPoolNd,
    nn.GroupNorm,
    nn.LocalResponseNorm,
    nn.PixelShuffle,
    nn.PixelUnshuffle,
    nn.Upsample,
)
_LAST: tuple[type[nn.Module], ...] = (nn.Linear, nn.MultiheadAttention, nn.TransformerEncoderLayer, nn.Embedding)
_LAST_EXACTLY: tuple[type[nn.Module], ...] = (nn.LayerNorm, nn.RMSNorm)  # subclasses turn their input before and after


@dataclass(frozen=True)
class Layout:
    """Where a layer's output, as the module gives it, holds pictures and channels.

    Args:
        batch: axis that counts the pictures.
        channel: axis that counts the channels.
        folded: whether the pictures' axis also counts parts of each picture, as windows of attention: "" for no,
            "outer" where all parts of the first picture come first, "inner" where the first parts of all pictures do.
    """

    batch: int = 0
    channel: int = 1
    folded: Folded = ""

    def read(self, output: Tensor, count: int) -> Tensor:
        """One row for each picture: (n, c, h, w) for maps, else channels last: (n, tokens, d), (n, d) and so on.

        Args:
            output: of the module.
            count: pictures that went in.

        Raises:
            LayerError: the output does not hold as many pictures.
        """
        x, batch, channel = output, self.batch, self.channel
        size = x.shape[batch]
        if size % count or (size != count and not self.folded):
            raise LayerError(f"expected an output for each of {count} pictures, got one of shape {tuple(output.shape)}")
        if self.folded:
            x = x.unflatten(batch, (count, size // count) if self.folded == "outer" else (size // count, count))
            channel += channel > batch
            batch += self.folded == "inner"
        x = x.movedim(batch, 0)
        channel += channel < batch
        if self.folded:
            return x.movedim(channel, -1).flatten(1, -2)
        return x.movedim(channel, 1 if x.dim() == 4 else -1)

    def write(self, activation: Tensor) -> Tensor:
        """What the module would have to give for `read` to read this.

        Raises:
            LayerError: parts of pictures that were put together cannot be taken apart again.
        """
        if self.folded:
            raise LayerError("expected a layer with one row for each picture, got windows; take another")
        x = activation.movedim(1 if activation.dim() == 4 else -1, self.channel + (self.channel < self.batch))
        return x.movedim(0, self.batch)


class Channels:
    """Finds the axis of channels of one output after the other, in the order in which modules finish.

    Convolutions, linear layers and norms say which axis is theirs. Whatever passes their output on, or works on it
    element by element, has the same; any other module that returns the shape of what one of them returned last, too.

    Args:
        size: height and width of the picture.
    """

    def __init__(self, size: tuple[int, int]) -> None:
        self._size = size
        self._known: list[tuple[Tensor, int]] = []

    def axis(
        self, module: nn.Module, inputs: Sequence[object], output: Tensor, larger: tuple[int, ...] | None
    ) -> int | None:
        """The axis of channels of a module's output, for one picture in a batch; None where all axes hold positions.

        Args:
            module: that finished.
            inputs: that it was given.
            output: what it says.
            larger: shape of what it says to a larger picture, where the network takes one.
        """
        shape = tuple(output.shape)
        apart: list[int] = []
        if larger is not None and len(larger) == len(shape) > 2:
            staying = [a for a, (s, t) in enumerate(zip(shape, larger, strict=True)) if s == t]
            apart = [a for a in staying if shape[a] > 1] or staying[1:]
            if len(staying) <= 1 and not apart:
                return None
            if len(apart) == 1 and len(staying) < len(shape):
                self._known.append((output, apart[0]))
                return apart[0]
        found = _declared(module, shape)
        if found is None:
            found = self._inherited(output)
        for given in inputs:
            if found is None and isinstance(given, Tensor) and given.shape == output.shape:
                found = self._inherited(given)
        if found is None and len(apart) > 1:  # several stay: the one that a part of the module calls channels
            sizes = [(known.dim(), axis, known.shape[axis]) for known, axis in self._known]
            fitting = [a for a in apart if (len(shape), a, shape[a]) in sizes]
            found = fitting[0] if len(fitting) == 1 else None
        if found is None:
            alike = [axis for tensor, axis in self._known if tensor.shape == output.shape]
            found = alike[-1] if alike else self._usual(tuple(output.shape))
        self._known.append((output, found))
        return found

    def _inherited(self, tensor: Tensor) -> int | None:
        for known, axis in reversed(self._known):
            if known is tensor:
                return axis
            if known.data_ptr() == tensor.data_ptr() and known.numel() == tensor.numel() and known.shape[axis] > 1:
                step = known.stride(axis)  # a view: permuted or flattened
                here = [a for a, s in enumerate(tensor.shape) if s == known.shape[axis] and tensor.stride(a) == step]
                if len(here) == 1:
                    return here[0]
        return None

    def _usual(self, shape: tuple[int, ...]) -> int:
        """Where nothing is known: maps have channels first unless their proportions say otherwise, all else last."""
        return 1 if len(shape) == 4 and not is_channels_last(shape[1:], self._size) else len(shape) - 1


def _declared(module: nn.Module, shape: tuple[int, ...]) -> int | None:
    if len(shape) == 2:
        return 1
    if isinstance(module, _SECOND):
        return 1
    if isinstance(module, _LAST) or type(module) in _LAST_EXACTLY:
        return len(shape) - 1
    vectors = {p.shape[0] for p in module.parameters(recurse=False) if p.dim() == 1}
    if len(vectors) == 1:  # a norm, a scale: as many numbers as channels
        fitting = [axis for axis, size in enumerate(shape) if size in vectors]
        if len(fitting) == 1:
            return fitting[0]
    return None


def layout_of(channel: int, alone: Tensor, company: Tensor) -> tuple[Layout, ...]:
    """Layouts that the shapes of two passes allow, one picture alone and two together; the values decide between them.

    Args:
        channel: axis of channels.
        alone: a module's output for one picture.
        company: for two.
    """
    one, two = tuple(alone.shape), tuple(company.shape)
    if len(one) != len(two):
        return ()
    grown = [axis for axis, (a, b) in enumerate(zip(one, two, strict=True)) if b != a]
    if len(grown) != 1 or two[grown[0]] != 2 * one[grown[0]] or grown[0] == channel:
        return ()
    batch = grown[0]
    if one[batch] == 1:
        return (Layout(batch, channel),)
    return (Layout(batch, channel, "outer"), Layout(batch, channel, "inner"))


def responses(activation: Tensor) -> Tensor:
    """Every channel's response: its mean over positions or tokens. (n, ...) -> (n, channels)."""
    axis = channel_axis(tuple(activation.shape[1:])) + 1
    others = [d for d in range(1, activation.dim()) if d != axis]
    return activation.mean(others) if others else activation


def differs(a: Tensor, b: Tensor) -> bool:
    """Whether two readings of the same thing differ by more than the rounding of batched arithmetic."""
    if a.shape != b.shape:
        return True
    loose = 0.05 if a.dtype in (torch.float16, torch.bfloat16) else 5e-3 if a.is_cuda else 2e-3
    gap, scale = (a.double() - b.double()).abs().max(), a.double().abs().max()
    return not bool(gap <= loose * scale + 1e-7)
