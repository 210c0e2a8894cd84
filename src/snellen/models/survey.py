"""A survey of a network: what can be read of each of its layers, established by running it and not assumed.

One picture goes through alone, then in the company of another. What a layer says to the picture must be the same; the
axis along which its output grew is the one that counts pictures. A layer for which this fails is refused by name: it
mixes the pictures of a batch, draws random numbers, remembers earlier calls, or says nothing finite.
"""

import contextlib
import math
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from snellen.base import LayerError, ModelError
from snellen.models.edits import frozen, streamlined
from snellen.models.layout import Channels, Layout, differs, layout_of, responses
from snellen.models.main import main_of
from snellen.models.model import Model, first_tensor
from snellen.models.passes import failure
from snellen.models.rectifiers import Rectifiers
from snellen.models.steady import Numbers, generators, same, seeded, steady, undone, watched
from snellen.models.unit import Layer, Place, channel_axis, unknown_layer

_PREFIX = 16  # most class and register tokens before those of the patches
_CACHE: "weakref.WeakKeyDictionary[nn.Module, list[_Known]]" = weakref.WeakKeyDictionary()
_BUILDS = 4  # of one network that are remembered: what is installed and taken out again is not surveyed each time
_PLAIN = (bool, int, float, str, type(None))
_CELLS = ((1 / 3, 2 / 3), (2 / 3, 1 / 4), (0.0, 0.99), (0.99, 0.5), (0.0, 0.5), (0.5, 0.99))
"""Of a grid, in its height and width: together they tell its order."""


@dataclass(frozen=True, eq=False)
class Survey:
    """What is known of a network's layers.

    Args:
        layers: that can be read, in the order in which they finish.
        layouts: how the output of each is laid out; "" for that of the whole network.
        refused: layers that cannot be read, and why.
        aliases: other names under which a module stands, and the one that `layers` has.
        outputs: number of classes that the network tells apart; 0 where its output is no vector of several numbers.
        class_layer: the layer whose responses are the network's output, up to a softmax or sigmoid; None where none is.
        fast: whether it computes the same with weights and pictures channels-last (`edits.streamlined`).
        notes: what a reader of a report has to know.
        silent: modules that did not run or returned no numbers.
        failure: why the forward pass did not come to its end; layers that finished before it can be read all the same.
    """

    layers: tuple[Layer, ...]
    layouts: Mapping[str, Layout]
    refused: Mapping[str, str]
    aliases: Mapping[str, str]
    outputs: int
    class_layer: str | None
    fast: bool
    notes: tuple[str, ...]
    silent: frozenset[str] = frozenset()
    failure: ModelError | None = None

    def layer(self, name: str) -> Layer:
        """A layer by any of its names.

        Raises:
            LayerError: no such layer, or one that cannot be read.
            ModelError: the forward pass fails before it.
        """
        name = self.aliases.get(name, name)
        found = next((layer for layer in self.layers if layer.name == name), None)
        if found is None:
            if name in self.refused:
                raise LayerError(f'expected a layer that can be read, got "{name}": {self.refused[name]}')
            if name in self.silent:
                raise self.failure or LayerError(f'expected an activation of "{name}", but it did not run or has none')
            raise unknown_layer(name, (x.name for x in self.layers))
        return found

    def place(self, address: str) -> Place:
        """What an address names; a layer's own name goes before what it would say otherwise."""
        own = address in self.layouts or address in self.aliases
        return Place(address, pre=False, position=None) if own else Place.parse(address)

    def layout(self, place: Place) -> Layout:
        """How the output at a place is laid out.

        Raises:
            LayerError: as `layer`.
        """
        name = self.aliases.get(place.layer, place.layer)
        if name not in self.layouts:
            if not name:
                why = self.refused.get("", "the network returns no tensor")
                raise self.failure or LayerError(f"expected an output that can be read, got none: {why}")
            self.layer(name)
        return self.layouts[name]


def survey(model: Model, size: tuple[int, int] | None = None) -> Survey:
    """The survey of a network; made once for each size, as long as the network is built as it is now.

    Args:
        model: the network.
        size: height and width of the pictures; by default those that the model declares.

    Raises:
        ModelError: the network fails before any layer has said something.
    """
    key = (size or model.size, model.preprocess, model.device, model.dtype)
    if any(is_lazy(p) for p in model.module.parameters()):
        raise ModelError("expected weights, got lazy modules without; send one batch through the network first")
    builds = _CACHE.setdefault(model.module, [])
    known = next((k for k in builds if k.fits(model.module)), None)
    if known is None:  # new, or edited since: what is known is of another network
        known = _Known(model.module)
        builds[:] = [known, *builds[: _BUILDS - 1]]
    if key not in known.surveys:
        with torch.inference_mode(False), torch.no_grad(), watched(model.module):  # once, so that memory shows
            known.surveys[key] = _Surveyor(model, size or model.size).survey()
    return known.surveys[key]


class _Known:
    """Surveys of a network, and how it was built when they were made."""

    def __init__(self, module: nn.Module) -> None:
        self.surveys: dict[Any, Survey] = {}
        self._parts = [(name, weakref.ref(part), _build(part)) for name, part in module.named_modules()]

    def fits(self, module: nn.Module) -> bool:
        """Whether it is built as it was: the same modules with the same hooks, settings and shapes of weights."""
        now = list(module.named_modules())
        return len(now) == len(self._parts) and all(
            name == known and ref() is part and build == _build(part)
            for (name, part), (known, ref, build) in zip(now, self._parts, strict=True)
        )


def _is_setting(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (isinstance(value, tuple) and all(isinstance(v, _PLAIN) for v in value))


def _build(part: nn.Module | None) -> Any:
    """What a module computes depends on, but for the numbers in its weights."""
    if part is None:  # gone
        return None
    held = (*part._parameters.items(), *part._buffers.items())
    tensors = [(name, None if tensor is None else (tensor.shape, tensor.dtype)) for name, tensor in held]
    settings = [(k, v) for k, v in part.__dict__.items() if k != "training" and _is_setting(v)]
    hooks = (len(part._forward_hooks), len(part._forward_pre_hooks))
    return tensors, settings, hooks, part.__dict__.get("forward")


@dataclass
class _Said:
    """The first output of a module in one pass."""

    value: Tensor
    drawable: bool
    rectified: bool = False
    axis: int | None = 0
    drawn: bool = False  # random numbers, before it


@dataclass(frozen=True, eq=False)
class _Pass:
    """What modules said first, in the order of finishing ("" last), what the network returned, and why it failed."""

    said: dict[str, _Said]
    output: Any
    failure: ModelError | None


class _Surveyor:
    def __init__(self, model: Model, size: tuple[int, int]) -> None:
        self._model, self._size = model, size
        self._names = dict(model.module.named_modules())
        self._picture, self._other = _pictures(model, size)
        self._fails = False

    def survey(self) -> Survey:
        first = self._pass(self._picture, axes=self._other_shapes())
        alone, output, self._fails = first.said, first.output, first.failure is not None
        pair = torch.cat([self._picture, self._other])
        fast, second = self._drawn(pair)
        layouts, refused = self._compared(alone, second.said)
        if fast and any(k not in layouts for k in alone):  # perhaps it is the layout, not the layer
            plainly, again = self._drawn(pair, plain=True)
            better = self._compared(alone, again.said)
            if len(better[0]) > len(layouts):
                fast, second, (layouts, refused) = plainly, again, better
        company = second.said
        if refused:
            refused = self._explained(alone, refused)
        scripted = (n for n, m in self._names.items() if n not in alone and isinstance(m, torch.jit.ScriptModule))
        refused |= dict.fromkeys(scripted, _SCRIPTED)
        kept = {name: said for name, said in alone.items() if name in layouts}
        read = {name: layouts[name].read(company[name].value, 2) for name in kept}
        layers = self._layers(kept, company, {name: layouts[name].read(s.value, 1) for name, s in kept.items()})
        outputs, class_layer, notes = self._classes(layers, read, output)
        return Survey(
            layers=self._with_grids(layers, alone, layouts),
            layouts=layouts,
            refused=refused,
            aliases=_aliases(self._model.module),
            outputs=outputs,
            class_layer=class_layer,
            fast=fast,
            notes=(*notes, *_told(refused, len(alone))),
            silent=frozenset(self._names) - frozenset(alone) - frozenset(refused),
            failure=first.failure or second.failure,
        )

    def _pass(self, images: Tensor, *, axes: Mapping[str, tuple[int, ...]] | None = None, seed: int = 0) -> _Pass:
        said: dict[str, _Said] = {}
        numbers: Numbers = ()
        channels = Channels(self._size) if axes is not None else None
        mode = Rectifiers(watch=True)

        def visit(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
            found = first_tensor(output)
            if found is None or name in said or not found.is_floating_point() or found.dim() < 2 or found.is_quantized:
                return
            rectified = mode.entered(found) is not None
            axis = channels.axis(module, inputs, found, (axes or {}).get(name)) if channels is not None else 0
            drawn = not same(generators(), numbers)
            said[name] = _Said(found.detach().clone(), found.requires_grad, rectified, axis, drawn)

        output, raised = None, None
        parts = dict(self._model.module.named_modules())  # stand-ins among them
        with steady(self._model.module), seeded(seed, self._model.device), _visited(parts, visit), mode:
            numbers = generators()
            try:
                output = self._model.run(images)
            except Exception as error:  # the user's network: whatever it raises is the answer
                raised = error
        if raised is not None:  # told once the visits are over, since it tries other sizes
            told = failure(raised, self._model, images)
            if not said or not isinstance(told, ModelError):
                raise told from raised
            return _Pass(said, None, told)
        return _Pass(said, output, None)

    def _other_shapes(self) -> dict[str, tuple[int, ...]]:
        """Shapes of every module's output for one larger picture; none where the network takes no other size."""
        shapes: dict[str, tuple[int, ...]] = {}

        def visit(name: str, _module: nn.Module, _inputs: Any, output: Any) -> None:
            found = first_tensor(output)
            if found is not None:
                shapes.setdefault(name, tuple(found.shape))

        larger = (self._size[0] + 32, self._size[1] + 64)
        picture = F.interpolate(self._picture, size=larger, mode="bilinear")
        module = self._model.module
        with contextlib.suppress(Exception), steady(module), undone(module), seeded(0), _visited(self._names, visit):
            self._model.run(picture)
            return shapes
        return {}

    def _drawn(self, pair: Tensor, *, plain: bool = False) -> tuple[bool, _Pass]:
        """A pass with gradients, as drawing makes it: fast if that works, else plain, else without gradients.

        Where memory does not suffice for two pictures with gradients, it is not known that one cannot be drawn.
        """
        module, short = self._model.module, False
        for fast in (False,) if plain else (True, False):
            images = pair.clone(memory_format=torch.channels_last if fast else torch.contiguous_format)
            way = streamlined(module) if fast else contextlib.nullcontext()
            try:
                with frozen(module), way, torch.enable_grad():
                    made = self._pass(images.requires_grad_(), seed=1)
                if made.failure is None or self._fails:
                    return fast, made
            except (torch.OutOfMemoryError, MemoryError):
                short = True
            except Exception:
                continue
        made = self._pass(pair, seed=1)
        for said in made.said.values():
            said.drawable = short
        return False, made

    def _compared(
        self, alone: Mapping[str, _Said], company: Mapping[str, _Said]
    ) -> tuple[dict[str, Layout], dict[str, str]]:
        layouts, refused = {}, {}
        for name, said in alone.items():
            if not bool(torch.isfinite(said.value).all()):
                refused[name] = "what it says is not finite (NaN or infinite)"
                continue
            if name not in company:
                refused[name] = "it does not run for every picture"
                continue
            if said.drawn:
                refused[name] = _DRAWS
                continue
            if said.axis is None:
                refused[name] = "no axis of its output counts channels: all grow with the picture"
                continue
            both = company[name].value
            fitting = [
                layout
                for layout in layout_of(said.axis, said.value, both)
                if not differs(layout.read(said.value, 1)[0], layout.read(both, 2)[0])
            ]
            if fitting:
                layouts[name] = fitting[0]
            else:
                one, two = tuple(said.value.shape), tuple(both.shape)
                axes = "it says no more of two pictures than of one" if one == two else "no axis counts the pictures"
                shapes = f"{axes} (shapes {one} and {two})"
                refused[name] = "values" if layout_of(said.axis, said.value, both) else shapes
        return layouts, refused

    def _explained(self, alone: Mapping[str, _Said], refused: dict[str, str]) -> dict[str, str]:
        """Whether a layer that says something else in company says something else whenever it is asked."""
        if "values" not in refused.values():
            return refused
        again = self._pass(self._picture, seed=2).said
        told = {}
        for name, why in refused.items():
            same = name in again and not differs(alone[name].value, again[name].value)
            told[name] = why if why != "values" else _COMPANY if same else _RANDOM
        return told

    def _layers(
        self, kept: Mapping[str, _Said], company: Mapping[str, _Said], read: Mapping[str, Tensor]
    ) -> tuple[Layer, ...]:
        names = [name for name in kept if name]
        main = main_of(self._model.module, names)
        layers = []
        for depth, name in enumerate(names):
            shape = tuple(read[name].shape[1:])
            units, kind = shape[channel_axis(shape)], type(self._names[name]).__name__
            grid = (shape[1], shape[2]) if len(shape) == 3 else None
            rectified, drawable = kept[name].rectified, company[name].drawable
            layers.append(Layer(name, kind, shape, units, name in main, rectified, depth, grid, drawable=drawable))
        return tuple(layers)

    def _classes(
        self, layers: tuple[Layer, ...], read: Mapping[str, Tensor], output: Any
    ) -> tuple[int, str | None, tuple[str, ...]]:
        """How many classes there are, where, and what to say of them."""
        notes = _several(output)
        said = as_classes(self._model.module, output, read.get(""))
        if said is None:
            return 0, None, notes
        found = class_layer(self._model.module, layers, read, said)
        if found is None:
            why = "no layer that weighs them says what the network returns"
            return 0, None, (*notes, f"no layer holds classes ({why}): units are described without them")
        return said.shape[1], found, notes

    def _with_grids(
        self, layers: tuple[Layer, ...], alone: Mapping[str, _Said], layouts: Mapping[str, Layout]
    ) -> tuple[Layer, ...]:
        """Layers of tokens with the grid of their patches, where a change of one patch shows that it is the grid."""
        maps: dict[tuple[int, int], str] = {}
        alike: dict[int, list[Layer]] = {}
        sources: dict[int, dict[tuple[int, int], str]] = {}
        for layer in layers:
            if len(layer.shape) == 3:
                maps[layer.shape[1], layer.shape[2]] = layer.name
            elif len(layer.shape) == 2 and not layouts[layer.name].folded:
                alike.setdefault(layer.shape[0], []).append(layer)
                sources.setdefault(layer.shape[0], dict(maps))
        change = _Change(self, alone, layouts)
        known: dict[str, tuple[tuple[int, int], int]] = {}
        for count, group in alike.items():
            known |= _grids(group, sources[count], change)
        return tuple(
            replace(layer, grid=known[layer.name][0], prefix=known[layer.name][1]) if layer.name in known else layer
            for layer in layers
        )

    def changed(self, cell: tuple[int, int], grid: tuple[int, int]) -> dict[str, _Said]:
        """What every module says where one cell of a grid over the picture is another."""
        return self._pass(_patched(self._picture, cell, grid)).said


class _Change:
    """Which position of a layer changes most with one cell of the picture."""

    def __init__(self, surveyor: _Surveyor, alone: Mapping[str, _Said], layouts: Mapping[str, Layout]) -> None:
        self._surveyor, self._alone, self._layouts = surveyor, alone, layouts

    def most(self, names: Sequence[str], cell: tuple[int, int], grid: tuple[int, int]) -> list[int]:
        """Of each layer that position, counted row by row or token by token; -1 where it did not speak."""
        changed = self._surveyor.changed(cell, grid)
        places = []
        for name in names:
            if name not in changed:
                places.append(-1)
                continue
            layout = self._layouts[name]
            change = layout.read(changed[name].value, 1)[0] - layout.read(self._alone[name].value, 1)[0]
            by_place = change.abs().sum(0 if change.dim() == 3 else 1)
            places.append(int(by_place.flatten().argmax()))
        return places


def _grids(
    layers: Sequence[Layer], maps: Mapping[tuple[int, int], str], change: _Change
) -> dict[str, tuple[tuple[int, int], int]]:
    """Rows and columns of layers with as many tokens, and how many come before them; without those that no grid fits.

    A map that the tokens may have come from says where a change shows; without one it is the picture's own cell. The
    first layer has to show every change where the grid says. Later ones mix tokens, and one that is loud may outshout
    all others; but where changes show at several other places, the tokens have been put in another order.
    """
    tokens = layers[0].shape[0]
    side = math.isqrt(tokens)
    for rows, columns in dict.fromkeys([*reversed(list(maps)), (side, side)]):
        prefix = tokens - rows * columns
        if min(rows, columns) < 2 or not 0 <= prefix <= _PREFIX:
            continue
        cells = dict.fromkeys((int(y * rows), int(x * columns)) for y, x in _CELLS)
        source = [maps[rows, columns]] if (rows, columns) in maps else []
        seen = [change.most([*source, *(x.name for x in layers)], cell, (rows, columns)) for cell in cells]
        expected = [
            prefix + (places[0] if source else row * columns + column)
            for (row, column), places in zip(cells, seen, strict=True)
        ]
        found = [[places[len(source) + i] for places in seen] for i in range(len(layers))]
        if found[0] == expected:
            return {
                layer.name: ((rows, columns), prefix)
                for layer, places in zip(layers, found, strict=True)
                if len({p for p, e in zip(places, expected, strict=True) if p != e and p >= prefix}) < 2
            }
    return {}


_COMPANY = "it says something else of a picture when others go through with it (batch statistics?)"
_RANDOM = "it says something else each time it is asked (random numbers, or memory of earlier calls?)"
_DRAWS = "random numbers are drawn before it speaks, so that it may say something else each time"
_SCRIPTED = "it is compiled by torch.jit, and nothing inside can be seen; give the Python module"


def _told(refused: Mapping[str, str], count: int) -> tuple[str, ...]:
    """One note for each reason that keeps several layers, or the output, from being read."""
    notes = []
    for why in dict.fromkeys(refused.values()):
        names = [name or "the output" for name, reason in refused.items() if reason == why]
        if why in (_COMPANY, _RANDOM, _DRAWS) or "not finite" in why:
            where = names[0] if len(names) == 1 else f"{names[0]} and {len(names) - 1} more of {count} layers"
            notes.append(f"left out: {where}: {why}")
    return tuple(notes)


def _pictures(model: Model, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    """Two smooth pictures with a little noise, (1, 3, h, w) in [0, 1]."""
    generator = torch.Generator().manual_seed(0)
    coarse = torch.rand(2, 3, 7, 7, generator=generator)
    smooth = F.interpolate(coarse, size=size, mode="bilinear", align_corners=True)
    noisy = (smooth + 0.1 * torch.rand(2, 3, *size, generator=generator)).clamp(0, 1)
    first, second = noisy.to(model.device, model.dtype).split(1)
    return first, second


def _patched(picture: Tensor, cell: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """The picture with one cell of a grid moved by half of the range."""
    height, width = picture.shape[2:]
    changed = picture.clone()
    rows = slice(cell[0] * height // grid[0], (cell[0] + 1) * height // grid[0])
    columns = slice(cell[1] * width // grid[1], (cell[1] + 1) * width // grid[1])
    changed[:, :, rows, columns] = (changed[:, :, rows, columns] + 0.5) % 1
    return changed


@contextlib.contextmanager
def _visited(names: Mapping[str, nn.Module], visit: Callable[..., None]) -> Iterator[None]:
    """While open, every module that finishes is visited with its name, inputs and output."""
    handles = []

    def hook(name: str) -> Any:
        return lambda module, inputs, output: visit(name, module, inputs, output)

    try:
        for name, module in names.items():
            with contextlib.suppress(RuntimeError):  # parts of a compiled script take no hooks
                handles.append(module.register_forward_hook(hook(name)))
        yield
    finally:
        for handle in handles:
            handle.remove()


def _aliases(root: nn.Module) -> dict[str, str]:
    first: dict[int, str] = {}
    aliases = {}
    for name, module in root.named_modules(remove_duplicate=False):
        if first.setdefault(id(module), name) != name:
            aliases[name] = first[id(module)]
    return aliases


def as_classes(module: nn.Module, output: Any, told: Tensor | None) -> Tensor | None:
    """What a network returned as numbers for several classes, (n, classes); None where it is something else.

    Args:
        module: of the network.
        output: what it returned.
        told: the tensor in it, with a row for each picture.
    """
    if told is None or not _tells_classes(output) or getattr(module, "num_classes", None) == 0:
        return None
    said = told.flatten(1) if told.dim() == 2 or tuple(told.shape[2:]) == (1, 1) else None
    return None if said is None or said.shape[1] < 2 else said


def class_layer(module: nn.Module, layers: Sequence[Layer], read: Mapping[str, Tensor], said: Tensor) -> str | None:
    """The layer whose responses are what a network says of classes; None unless one of those holds a weight for each.

    Args:
        module: of the network.
        layers: of it.
        read: what each of them says, by name.
        said: the network's output, (n, classes).
    """
    count = said.shape[1]
    fitting = [x for x in layers if x.units == count and x.name in read and _is_output(responses(read[x.name]), said)]
    if not any(_weighs(module.get_submodule(x.name), count) for x in fitting):
        return None
    return ([x for x in fitting if x.main] or fitting)[-1].name


def _is_output(responses: Tensor, output: Tensor) -> bool:
    """Whether responses are the output, up to a softmax or sigmoid."""
    ways: tuple[Callable[[Tensor], Tensor], ...] = (
        lambda x: x,
        lambda x: x.softmax(1),
        lambda x: x.log_softmax(1),
        torch.sigmoid,
    )
    return any(not differs(output, way(responses.to(output.dtype))) for way in ways)


def _weighs(module: nn.Module, classes: int) -> bool:
    """Whether a module itself holds a weight with a row or column for each class."""
    held = [*module.parameters(recurse=False), getattr(module, "weight", None)]  # the latter may be made of others
    return any(isinstance(w, Tensor) and w.dim() > 1 and classes in (w.shape[0], w.shape[1]) for w in held)


def _tells_classes(output: Any) -> bool:
    """Objects with named outputs tell classes by `.logits` alone; their other tensors are features."""
    if isinstance(output, Tensor | list | tuple):
        return True
    return isinstance(getattr(output, "logits", None), Tensor) or type(output) is dict


def _several(output: Any) -> tuple[str, ...]:
    """A note where a network returns several tensors of which only the first is looked at."""
    if isinstance(output, list | tuple):
        count = sum(isinstance(v, Tensor) for v in output)
        if count > 1:
            return (f"the network returns {count} outputs: the first is taken for its answer",)
    if isinstance(output, dict) and not hasattr(output, "logits"):
        named = [str(k) for k, v in output.items() if isinstance(v, Tensor)]
        if len(named) > 1:
            return (f'the network returns {len(named)} outputs: the first, "{named[0]}", is taken for its answer',)
    return ()
