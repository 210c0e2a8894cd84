"""Lipschitz constants of units of a network's module (docs/theory.md, section 10)."""

from typing import Any

import torch
from torch import Tensor, nn

from snellen.base import LayerError
from snellen.models import Unit, response
from snellen.models.model import first_tensor
from snellen.models.passes import Reached
from snellen.models.rectifiers import Rectifiers
from snellen.models.steady import steady
from snellen.models.unit import is_channels_last
from snellen.theory.proofs import Proof, prove

__all__ = ["Proof", "prove_lipschitz"]


def prove_lipschitz(
    module: nn.Module,
    image: Tensor,
    layer: str,
    channel: int,
    *,
    position: tuple[int, int] | None = None,
    pre: bool = False,
    over: str | None = None,
) -> Proof:
    """A proved l2 Lipschitz constant of one unit: x -> mean over positions of (layer's output)[channel].

    Args:
        module: a network; it is held `steady`.
        image: an example input, a batch of one.
        layer: the dotted name of the unit's layer; its first call counts.
        channel: which channel of its output (of maps, axis 1, or the last where they are channels-last; else the last);
            `position` picks one position of a map instead of the mean.
        pre: read what enters the ReLU that closes the layer.
        over: the dotted name of a layer whose output is the input x; by default x is the network's input.

    Raises:
        ModelError: the network cannot be traced, is not what was traced, an operation on the way has no bound here (it
            is named), or the unit also depends on something that bypasses `over`.
        LayerError: a layer is not called on the way, does not return one tensor, or has no closing ReLU.
    """
    for name in (layer, over or layer):
        if name not in dict(module.named_modules()):
            raise LayerError(f'expected a layer that the network calls for one value, got "{name}"; try another')
    unit = Unit(layer, channel, position, pre)
    size = (int(image.shape[2]), int(image.shape[3])) if image.dim() == 4 else (0, 0)

    def read(x: Tensor) -> Tensor:
        value = _first(module, x, layer, pre=pre)
        return response(value.movedim(-1, 1) if is_channels_last(tuple(value.shape[1:]), size) else value, unit)

    def read_over(x: Tensor, images: Tensor) -> Tensor:
        said = False

        def say(_module: nn.Module, _inputs: Any, output: Any) -> Any:
            nonlocal said
            first, said = not said, True
            if first and not isinstance(output, Tensor):
                raise LayerError(f'expected a layer that returns one tensor, got "{over}"; take another')
            return x if first else output

        handle = module.get_submodule(str(over)).register_forward_hook(say)
        try:
            return read(images)
        finally:
            handle.remove()

    with torch.no_grad(), steady(module):
        if over is None:
            return prove(read, image, module=module)
        return prove(read_over, _first(module, image, over).clone(), beside=image, module=module, over=over)


def _first(module: nn.Module, x: Tensor, layer: str, *, pre: bool = False) -> Tensor:
    """What a layer says first, or what enters the ReLU that closes it; the pass ends there."""
    found: list[Tensor | None] = []
    mode = Rectifiers(watch=True)

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        value = first_tensor(output)
        found.append(mode.entered(value) if pre and value is not None else value)
        raise Reached

    handle = module.get_submodule(layer).register_forward_hook(keep)
    try:
        with mode:
            module(x)
    except Reached:
        pass
    finally:
        handle.remove()
    value = found[0] if found else None
    if value is None and found and pre:
        raise LayerError(f'expected a layer that ends in a ReLU for "/pre", got "{layer}"; leave "/pre" away')
    if value is None:
        raise LayerError(f'expected a layer that the network calls for one value, got "{layer}"; try another')
    return value
