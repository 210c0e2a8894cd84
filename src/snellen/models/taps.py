"""Reading a network: which layers it has, and what they say to pictures. Nothing is left behind."""

import contextlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from snellen.base import LayerError, ModelError, SnellenError, nearest
from snellen.models.model import Model, first_tensor
from snellen.models.rectifiers import Rectifiers
from snellen.models.unit import Layer, Unit, channel_axis, expand, is_channels_last, positions

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm)
_PRE = "/pre"


class _Reached(Exception):  # noqa: N818 - not an error: the forward pass ends here on purpose
    """Every layer that was asked for has spoken."""


def observe(model: Model, images: Float[Tensor, "n 3 h w"], addresses: Iterable[str]) -> dict[str, Tensor]:
    """What layers say to pictures; the forward pass stops at the deepest of them.

    Gradients flow if `images` asks for them, never to the weights' `.grad` of anything else. A layer that runs several
    times in one pass is read the first time.

    Args:
        model: the network.
        images: RGB in [0, 1], (n, 3, h, w).
        addresses: layer paths, "/pre" appended to read before a layer's closing ReLU; "" is the whole network.

    Returns:
        Activations by address: (n, c, h, w), (n, tokens, d) or (n, d). Maps that the network holds channels-last are
        turned.

    Raises:
        LayerError: a layer that does not exist, that never runs, or that has no closing ReLU to read before.
        ModelError: the network cannot take pictures of this size.
    """
    wanted = tuple(dict.fromkeys(addresses))
    found: dict[str, Tensor] = {}
    watching = any(a.endswith(_PRE) for a in wanted)
    mode = Rectifiers(watch=True) if watching else None
    with contextlib.ExitStack() as stack:
        if mode is not None:
            stack.enter_context(mode)
        if not images.requires_grad:
            stack.enter_context(torch.no_grad())
        size = (images.shape[2], images.shape[3])
        stack.enter_context(tapped(model.module, wanted, found, size=size, mode=mode))
        run_to_end(model, images)
    missing = [a for a in wanted if a not in found]
    if missing:
        why = "has no closing ReLU to read before" if missing[0].endswith(_PRE) else "did not run on these pictures"
        raise LayerError(f'expected an activation of "{missing[0].removesuffix(_PRE)}", but it {why}')
    return found


def run_to_end(model: Model, images: Tensor) -> None:
    """Runs the network until its taps are all served; a failure inside it becomes a ModelError of one line.

    What the house has already put into words passes as it is.
    """
    try:
        model(images)
    except _Reached:
        return
    except (torch.OutOfMemoryError, MemoryError, SnellenError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise torch.OutOfMemoryError(str(error)) from error
        size = "x".join(str(s) for s in images.shape[2:])
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise ModelError(f"expected the model to take {size} px, but it failed: {first}; try --size") from error


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; PyTorch's CPU allocator says so in a plain RuntimeError."""
    told = "out of memory" in str(error).lower() or "can't allocate memory" in str(error).lower()
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or (isinstance(error, RuntimeError) and told)


@contextlib.contextmanager
def tapped(
    module: nn.Module,
    addresses: Sequence[str],
    found: dict[str, Tensor],
    *,
    size: tuple[int, int],
    mode: Rectifiers | None = None,
) -> Iterator[None]:
    """While open, forward passes fill `found` and stop once every address is in it.

    Args:
        module: the network's module.
        addresses: as in `observe`.
        found: filled by address; the caller clears it between passes.
        size: height and width of the pictures.
        mode: an entered `Rectifiers(watch=True)`, needed for addresses with "/pre".

    Raises:
        LayerError: an address that the module does not have.
    """
    by_layer: dict[str, list[str]] = {}
    for address in addresses:
        by_layer.setdefault(address.removesuffix(_PRE), []).append(address)
    handles = []
    try:
        for layer, names in by_layer.items():
            hook = _hook(names, len(addresses), found, size=size, mode=mode)
            handles.append(_submodule(module, layer).register_forward_hook(hook))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _hook(
    names: list[str], total: int, found: dict[str, Tensor], *, size: tuple[int, int], mode: Rectifiers | None
) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is None or any(name in found for name in names):  # it has run before
            return
        for name in names:
            value = mode.entered(tensor) if mode is not None and name.endswith(_PRE) else tensor
            if value is not None:
                found[name] = value.movedim(-1, 1) if is_channels_last(tuple(value.shape[1:]), size) else value
        if len(found) == total:
            raise _Reached
        for name in names:  # what runs next may write over it
            if name in found:
                found[name] = found[name].clone()

    return hook


def _submodule(module: nn.Module, name: str) -> nn.Module:
    try:
        return module.get_submodule(name)
    except AttributeError:
        hint = nearest(name, (n for n, _ in module.named_modules() if n)) or "`snellen layers MODEL` lists them"
        raise LayerError(f'expected a layer of the model, got "{name}"; {hint}') from None


def responses(activation: Tensor) -> Tensor:
    """Every channel's response: its mean over positions or tokens. (n, ...) -> (n, channels)."""
    axis = channel_axis(tuple(activation.shape[1:])) + 1
    others = [d for d in range(1, activation.dim()) if d != axis]
    return activation.mean(others) if others else activation


def response(activation: Tensor, unit: Unit) -> Tensor:
    """One unit's response to every picture: (n, ...) -> (n,)."""
    shape = tuple(activation.shape[1:])
    channel = activation.select(channel_axis(shape) + 1, unit.channel)
    if unit.position is None:
        return channel.flatten(1).mean(1) if channel.dim() > 1 else channel
    row, column = unit.position
    if len(shape) == 3:
        return channel[:, row, column]
    grid = positions(shape)
    if grid is None:
        raise LayerError(f'expected a map or tokens at "{unit.layer}" for a position, got {shape}')
    prefix = shape[0] - grid[0] * grid[1]  # class and register tokens come first
    return channel[:, prefix + row * grid[1] + column]


def layers(model: Model) -> tuple[Layer, ...]:
    """Every submodule that returns a tensor (or several: the first counts), as one forward pass finds them.

    They come in the order in which they finish.

    Raises:
        ModelError: the network cannot take pictures of its declared size.
    """
    seen: dict[str, tuple[tuple[int, ...], bool]] = {}
    handles = []
    mode = Rectifiers(watch=True)

    def record(name: str) -> Any:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            found = first_tensor(output)
            if found is not None and found.dim() > 1 and found.is_floating_point() and name not in seen:
                shape = tuple(found.shape[1:])
                if is_channels_last(shape, model.size):
                    shape = (shape[2], shape[0], shape[1])
                seen[name] = (shape, mode.entered(found) is not None)

        return hook

    try:
        for name, module in model.module.named_modules():
            if name:
                handles.append(module.register_forward_hook(record(name)))
        with torch.no_grad(), mode:
            run_to_end(model, torch.full((1, 3, *model.size), 0.5, dtype=model.dtype, device=model.device))
    finally:
        for handle in handles:
            handle.remove()
    chosen = _main(model.module, list(seen))
    kinds = {name: type(module).__name__ for name, module in model.module.named_modules()}
    return tuple(
        Layer(name, kinds[name], shape, shape[channel_axis(shape)], name in chosen, rectified, depth)
        for depth, (name, (shape, rectified)) in enumerate(seen.items())
    )


def main_layers(model: Model, most: int = 16) -> tuple[str, ...]:
    """The blocks a reader would draw: in order, the last always among them, thinned evenly to at most `most`."""
    names = [layer.name for layer in layers(model) if layer.main]
    if len(names) <= most:
        return tuple(names)
    if most <= 1:
        return tuple(names[-1:])
    picks = sorted({round(i * (len(names) - 1) / (most - 1)) for i in range(most)})
    return tuple(names[i] for i in picks)


def units(specs: Iterable[str], model: Model) -> tuple[Unit, ...]:
    """The units that command-line texts name, in order, each once.

    Raises:
        LayerError, UnitError: as `expand`.
    """
    known = layers(model)
    return tuple(dict.fromkeys(unit for spec in specs for unit in expand(spec, known)))


def _main(root: nn.Module, ran: list[str]) -> set[str]:
    """Children with weights, containers opened until a block, a convolution or a linear layer is met."""
    chosen: list[str] = []
    by_name = dict(root.named_modules())

    def visit(prefix: str) -> None:
        for name, child in by_name[prefix].named_children():
            path = f"{prefix}.{name}" if prefix else name
            weighted = any(True for _ in child.parameters())
            if not weighted or isinstance(child, _NORMS):
                continue
            is_container = isinstance(child, nn.Sequential | nn.ModuleList | nn.ModuleDict) or path not in ran
            if is_container and any(True for _ in child.children()):
                visit(path)
            elif path in ran:
                chosen.append(path)

    visit("")
    if len(chosen) < 3:  # a wrapper around the real network: open it
        opened = [n for n in ran if isinstance(by_name[n], nn.Conv2d | nn.Linear)]
        chosen = opened if len(opened) > len(chosen) else chosen
    return set(chosen)
