"""Reading a network: which layers it has, and what they say to pictures. Nothing is left behind."""

import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from snellen.base import LayerError
from snellen.models.layout import responses as responses
from snellen.models.model import Model, first_tensor
from snellen.models.passes import Reached, run
from snellen.models.rectifiers import Rectifiers
from snellen.models.survey import Survey, as_classes, class_layer, survey
from snellen.models.unit import Layer, Place, Unit, channel_axis, expand


def observe(
    model: Model, images: Float[Tensor, "n 3 h w"], addresses: Iterable[str], *, known: Survey | None = None
) -> dict[str, Tensor]:
    """What layers say to pictures; the forward pass stops at the deepest of them.

    Gradients flow if `images` asks for them, never to the weights' `.grad` of anything else. A layer that runs several
    times in one pass is read the first time.

    Args:
        model: the network.
        images: RGB in [0, 1], (n, 3, h, w).
        addresses: layer paths, "/pre" appended to read before a layer's closing ReLU; "" is the whole network.
        known: the network's survey, where it is edited for the moment; by default it is looked up.

    Returns:
        Activations by address, a row for each picture: (n, c, h, w), else channels last: (n, tokens, d) or (n, d); at
        one position (n, c). Axes that the network holds in another order are turned, windows of attention put together.

    Raises:
        LayerError: a layer that does not exist, that never runs, that cannot be read, or that has no closing ReLU to
            read before.
        ModelError: the network cannot take pictures of this size.
    """
    wanted = tuple(dict.fromkeys(addresses))
    found: dict[str, Tensor] = {}
    with contextlib.ExitStack() as stack:
        if not images.requires_grad:
            stack.enter_context(torch.no_grad())
        stack.enter_context(tapped(model, wanted, found, like=images, known=known))
        run(model, images)
    missing = [a for a in wanted if a not in found]
    if missing:
        place = Place.parse(missing[0])
        why = "has no closing ReLU to read before" if place.pre else "did not run on these pictures"
        raise LayerError(f'expected an activation of "{place.layer}", but it {why}')
    return found


@contextlib.contextmanager
def tapped(
    model: Model, addresses: Sequence[str], found: dict[str, Tensor], *, like: Tensor, known: Survey | None = None
) -> Iterator[None]:
    """While open, forward passes fill `found` and stop once every address is in it.

    Args:
        model: the network.
        addresses: as in `observe`.
        found: filled by address; the caller clears it between passes.
        like: pictures, as many and as large as those of each pass: (n, 3, h, w).
        known: as in `observe`.

    Raises:
        LayerError: an address that the network does not have, or that cannot be read.
    """
    known = known or survey(model, (like.shape[2], like.shape[3]))
    places = {address: known.place(address) for address in addresses}
    readers = {address: _Reader(known, place, len(like)) for address, place in places.items()}
    by_layer: dict[str, list[str]] = {}
    for address, place in places.items():
        by_layer.setdefault(place.layer, []).append(address)
    with contextlib.ExitStack() as stack:
        watched = any(place.pre for place in places.values())
        mode = stack.enter_context(Rectifiers(watch=True)) if watched else None
        for layer, names in by_layer.items():
            hook = _hook({name: readers[name] for name in names}, len(readers), found, mode)
            stack.callback(model.module.get_submodule(layer).register_forward_hook(hook).remove)
        yield


@contextlib.contextmanager
def saying(model: Model, layer: str, activation: Tensor, *, known: Survey | None = None) -> Iterator[None]:
    """While open, a layer says in every pass what it is told to the first time that it runs there.

    Args:
        model: the network.
        layer: its path.
        activation: in the shape that `observe` gives it, as many rows as pictures go in.
        known: as in `observe`.

    Raises:
        LayerError: a layer that cannot be read, that joins parts of pictures, or (in the pass) that returns no tensor.
    """
    known = known or survey(model)
    points, said = known.layout(known.place(layer)).write(activation), False

    def say(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        nonlocal said
        first, said = not said, True
        if first and not isinstance(output, Tensor):
            raise LayerError(f'expected a layer that returns one tensor, got "{layer}"; take another')
        return points.clone() if first else output  # what runs next may write over it

    def begin(_module: nn.Module, _inputs: Any) -> None:
        nonlocal said
        said = False

    hooks = [model.module.register_forward_pre_hook(begin)]
    hooks.append(model.module.get_submodule(layer).register_forward_hook(say))
    with _open(hooks):
        yield


@contextlib.contextmanager
def hosted(model: Model, layer: str, host: Float[Tensor, "1 3 h w"]) -> Iterator[None]:
    """While open, the network sees one picture whatever goes in; a layer and what follows see what goes in.

    Every pass runs twice: to the layer, with what goes in, and through the whole network, with the host, where the
    layer says what it said first. Gradients go the same way. A network all of which passes through the layer answers as
    it always does; what looks past it sees the host.

    Args:
        model: the network.
        layer: path of one that returns one tensor, with the pictures first.
        host: RGB in [0, 1].
    """
    seen: list[Tensor] = []
    said: list[Tensor] = []
    first = True

    def keep(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        seen.append(inputs[0].detach())
        raise Reached

    def begin(module: nn.Module, inputs: tuple[Any, ...]) -> tuple[Any, ...] | None:
        nonlocal first
        if not first:
            return None
        first = False
        said.clear()
        try:
            module(*inputs)
        except Reached:
            pass
        finally:
            first = True
        return (seen[0].expand(len(inputs[0]), *seen[0].shape[1:]).clone(), *inputs[1:])

    def say(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        if not first:
            said.append(output)
            raise Reached
        return said[0].clone() if said else output

    with _open([model.module.register_forward_pre_hook(keep)]):
        run(model, host.to(model.device, model.dtype))
    hooks = [model.module.register_forward_pre_hook(begin, prepend=True)]
    hooks.append(model.module.get_submodule(layer).register_forward_hook(say, prepend=True))
    with _open(hooks):
        yield


@contextlib.contextmanager
def replaced(
    model: Model, layer: str, by: Callable[[Tensor, Tensor], Tensor], *, known: Survey | None = None
) -> Iterator[None]:
    """While open, a layer says what a function makes of what enters the network, the first time that it runs in a pass.

    Gradients go through the function. Opened within `hosted`, it has in each of the two passes what enters there.

    Args:
        model: the network.
        layer: path of one that returns one tensor.
        by: of what enters the network, (n, c, h, w), and what the layer said, in the shape that `observe` gives it and
            that it has to keep.
        known: as in `observe`.

    Raises:
        LayerError: a layer that cannot be read, that joins parts of pictures, or (in the pass) that returns no tensor.
    """
    known = known or survey(model)
    layout = known.layout(known.place(layer))
    entered: list[Tensor] = []

    def begin(_module: nn.Module, inputs: tuple[Any, ...]) -> None:
        entered[:] = inputs[:1]

    def say(_module: nn.Module, _inputs: Any, output: Any) -> Any:
        if not entered:  # it has run before
            return output
        if not isinstance(output, Tensor):
            raise LayerError(f'expected a layer that returns one tensor, got "{layer}"; take another')
        pixels = entered.pop()
        return layout.write(by(pixels, layout.read(output, len(pixels))))

    hooks = [model.module.register_forward_pre_hook(begin)]
    hooks.append(model.module.get_submodule(layer).register_forward_hook(say, prepend=True))
    with _open(hooks):
        yield


def entering(model: Model, name: str, images: Float[Tensor, "n 3 h w"]) -> Tensor:
    """What enters a layer.

    Raises:
        LayerError: the layer does not run.
    """
    known = survey(model, (images.shape[2], images.shape[3]))  # before anything is kept
    with torch.no_grad(), entered(model, [name]) as found, tapped(model, [name], {}, like=images, known=known):
        run(model, images.to(model.device, model.dtype))
    if name not in found:
        raise LayerError(f'expected "{name}" to run, but it did not; choose another layer')
    return found[name]


@contextlib.contextmanager
def entered(model: Model, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """While open, what enters layers the first time is kept by name; whoever reads it clears it between passes.

    Args:
        model: the network.
        names: paths.
    """
    found: dict[str, Tensor] = {}

    def keep(name: str, _module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if name not in found and inputs and isinstance(inputs[0], Tensor):
            found[name] = inputs[0].detach().clone()  # what runs next may write over it

    modules = {name: model.module.get_submodule(name) for name in names}
    with _open([module.register_forward_pre_hook(partial(keep, name)) for name, module in modules.items()]):
        yield found


@contextlib.contextmanager
def _open(hooks: Sequence[RemovableHandle]) -> Iterator[None]:
    """While open, hooks stay; then they are taken away."""
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


class _Reader:
    """Reads one address from the output of its layer."""

    def __init__(self, known: Survey, place: Place, count: int) -> None:
        self.place, self._count, self._layout = place, count, known.layout(place)
        self._layer = None if place.position is None else known.layer(place.layer)
        if self._layer is not None and (self._layer.grid is None or not _inside(place, self._layer.grid)):
            raise LayerError(f'expected a position of "{place.layer}", got {place.position}, which it does not have')

    def __call__(self, output: Tensor) -> Tensor:
        read = self._layout.read(output, self._count)
        if self._layer is None or self.place.position is None or self._layer.grid is None:
            return read
        row, column = self.place.position
        if read.dim() == 4:
            return read[:, :, row, column]
        return read[:, self._layer.prefix + row * self._layer.grid[1] + column]


def _inside(place: Place, grid: tuple[int, int]) -> bool:
    return place.position is not None and place.position[0] < grid[0] and place.position[1] < grid[1]


def _hook(readers: dict[str, _Reader], total: int, found: dict[str, Tensor], mode: Rectifiers | None) -> Any:
    def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
        tensor = first_tensor(output)
        if tensor is None or any(name in found for name in readers):  # it has run before
            return
        for name, reader in readers.items():
            value = mode.entered(tensor) if mode is not None and reader.place.pre else tensor
            if value is not None:
                found[name] = reader(value)
        if len(found) == total:
            raise Reached
        for name in readers:  # what runs next may write over it
            if name in found:
                found[name] = found[name].clone()

    return hook


def response(activation: Tensor, unit: Unit) -> Tensor:
    """One unit's response to every picture, from what `observe` reads at its address: (n, ...) -> (n,).

    Raises:
        LayerError: all tokens of a layer for a unit at one position.
    """
    channel = activation.select(channel_axis(tuple(activation.shape[1:])) + 1, unit.channel)
    if channel.dim() == 1:
        return channel
    if unit.position is None:
        return channel.flatten(1).mean(1)
    if channel.dim() == 3:
        return channel[:, unit.position[0], unit.position[1]]
    raise LayerError(f'expected what is observed at "{unit.address}" for a position, got all of "{unit.layer}"')


def classes(model: Model, images: Float[Tensor, "n 3 h w"]) -> tuple[int, str | None]:
    """How many classes a network tells apart, and the layer whose responses to these images are its output.

    A survey's own pictures are no photographs, and a manipulated network may answer those with something else.

    Args:
        model: the network.
        images: natural, RGB in [0, 1].

    Returns:
        The number of classes and the layer's name; (0, None) where there is none.
    """
    known = survey(model)
    with torch.no_grad():
        output = model.run(images)
    said = as_classes(model.module, output, first_tensor(output))
    if said is None or len(said) != len(images):
        return 0, None
    candidates = [layer for layer in known.layers if layer.units == said.shape[1]]
    read = observe(model, images, [layer.name for layer in candidates]) if candidates else {}
    found = class_layer(model.module, candidates, read, said)
    return (0, None) if found is None else (said.shape[1], found)


def layers(model: Model) -> tuple[Layer, ...]:
    """Every submodule that returns a tensor (or several: the first counts) and can be read, as a `survey` finds them.

    They come in the order in which they finish.

    Raises:
        ModelError: the network cannot take pictures of its declared size.
    """
    found = survey(model)
    if found.failure is not None:
        raise found.failure
    return found.layers


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
    known = survey(model)
    return tuple(dict.fromkeys(unit for spec in specs for unit in expand(spec, known.layer)))
