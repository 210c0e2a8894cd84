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

from snellen.base import LayerError, ModelError, nearest
from snellen.models.edits import frozen, streamlined
from snellen.models.layout import Channels, Layout, differs, layout_of
from snellen.models.main import main_of
from snellen.models.model import Model, first_tensor
from snellen.models.passes import failure
from snellen.models.rectifiers import Rectifiers
from snellen.models.steady import seeded, steady
from snellen.models.unit import Layer, Place, channel_axis

_PREFIX = 16  # most class and register tokens before those of the patches
_CACHE: "weakref.WeakKeyDictionary[nn.Module, tuple[Any, dict[Any, Survey]]]" = weakref.WeakKeyDictionary()


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
            hint = nearest(name, (x.name for x in self.layers)) or "`snellen layers MODEL` lists them"
            raise LayerError(f'expected a layer of the model, got "{name}"; {hint}')
        return found

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
    build = tuple((name, id(part), type(part), len(part._forward_hooks)) for name, part in model.module.named_modules())
    key = (size or model.size, model.preprocess, model.device, model.dtype)
    known, made = _CACHE.get(model.module, (None, {}))
    if known != build:
        made = {}  # edited since: what was known is of another network
        _CACHE[model.module] = (build, made)
    if key not in made:
        with torch.inference_mode(False), torch.no_grad(), steady(model.module):  # once, so that memory shows
            made[key] = _Surveyor(model, size or model.size).survey()
    return made[key]


@dataclass
class _Said:
    """The first output of a module in one pass."""

    value: Tensor
    drawable: bool
    rectified: bool = False
    axis: int = 0


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
        first = self._pass(self._picture, axes=True)
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
            silent=frozenset(self._names) - frozenset(alone),
            failure=first.failure or second.failure,
        )

    def _pass(self, images: Tensor, *, axes: bool = False, seed: int = 0) -> _Pass:
        said: dict[str, _Said] = {}
        channels = Channels(self._size) if axes else None
        mode = Rectifiers(watch=True)

        def visit(name: str, module: nn.Module, inputs: Any, output: Any) -> None:
            found = first_tensor(output)
            if found is None or name in said or not found.is_floating_point() or found.dim() < 2 or found.is_quantized:
                return
            rectified = mode.entered(found) is not None
            axis = channels.axis(module, inputs, found) if channels is not None else 0
            said[name] = _Said(found.detach().clone(), found.requires_grad, rectified, axis)

        output, raised = None, None
        parts = dict(self._model.module.named_modules())  # stand-ins among them
        with steady(self._model.module), seeded(seed, self._model.device), _visited(parts, visit), mode:
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
        told = read.get("")
        if told is None or not _tells_classes(output):
            return 0, None, notes
        said = told.flatten(1) if told.dim() == 2 or tuple(told.shape[2:]) == (1, 1) else None
        if said is None or said.shape[1] < 2 or getattr(self._model.module, "num_classes", None) == 0:
            return 0, None, notes
        fitting = [x for x in layers if x.units == said.shape[1] and _is_output(_mean(read[x.name]), said)]
        if not any(_weighs(self._names[x.name], said.shape[1]) for x in fitting):
            why = "no layer's responses are its output" if not fitting else "what it returns are features"
            return (
                0,
                None,
                (*notes, f"no layer holds classes ({why}): units are described without them"),
            )
        chosen = [x for x in fitting if x.main] or fitting
        return said.shape[1], chosen[-1].name, notes

    def _with_grids(
        self, layers: tuple[Layer, ...], alone: Mapping[str, _Said], layouts: Mapping[str, Layout]
    ) -> tuple[Layer, ...]:
        """Layers of tokens with the grid of their patches, where a change of one patch shows that it is the grid."""
        maps: dict[tuple[int, int], str] = {}
        known: dict[int, tuple[tuple[int, int], int] | None] = {}
        done = []
        for layer in layers:
            if len(layer.shape) == 3:
                maps[layer.shape[1], layer.shape[2]] = layer.name
            elif len(layer.shape) == 2 and not layouts[layer.name].folded:
                count = layer.shape[0]
                if count not in known:
                    known[count] = _grid(layer, maps, _Change(self, alone, layouts))
                if (found := known[count]) is not None:
                    layer = replace(layer, grid=found[0], prefix=found[1])
            done.append(layer)
        return tuple(done)

    def changed(self, cell: tuple[int, int], grid: tuple[int, int]) -> dict[str, _Said]:
        """What every module says where one cell of a grid over the picture is another."""
        return self._pass(_patched(self._picture, cell, grid)).said


class _Change:
    """By how much every position of a layer changes with one cell of the picture."""

    def __init__(self, surveyor: _Surveyor, alone: Mapping[str, _Said], layouts: Mapping[str, Layout]) -> None:
        self._surveyor, self._alone, self._layouts = surveyor, alone, layouts

    def most(self, names: Sequence[str], cell: tuple[int, int], grid: tuple[int, int]) -> list[int]:
        """Of each layer the position that changes most, counted row by row or token by token."""
        changed = self._surveyor.changed(cell, grid)
        places = []
        for name in names:
            layout = self._layouts[name]
            change = layout.read(changed[name].value, 1)[0] - layout.read(self._alone[name].value, 1)[0]
            by_place = change.abs().sum(0 if change.dim() == 3 else 1)
            places.append(int(by_place.flatten().argmax()))
        return places


def _grid(layer: Layer, maps: Mapping[tuple[int, int], str], change: _Change) -> tuple[tuple[int, int], int] | None:
    """Rows and columns of a layer of tokens and how many come before them; None where no grid proves right.

    A map that the tokens may have come from says where a change shows; without one it is the picture's own cell.
    """
    tokens = layer.shape[0]
    side = math.isqrt(tokens)
    for rows, columns in dict.fromkeys([*reversed(list(maps)), (side, side)]):
        prefix = tokens - rows * columns
        if min(rows, columns) < 2 or not 0 <= prefix <= _PREFIX:
            continue
        cell = (rows // 3, 2 * columns // 3)
        if (rows, columns) in maps:
            expected, found = change.most([maps[rows, columns], layer.name], cell, (rows, columns))
        else:
            expected, (found,) = cell[0] * columns + cell[1], change.most([layer.name], cell, (rows, columns))
        if found == prefix + expected:
            return (rows, columns), prefix
    return None


_COMPANY = "it says something else of a picture when others go through with it (batch statistics?)"
_RANDOM = "it says something else each time it is asked (random numbers in the forward pass?)"


def _told(refused: Mapping[str, str], count: int) -> tuple[str, ...]:
    """One note for each reason that keeps several layers, or the output, from being read."""
    notes = []
    for why in dict.fromkeys(refused.values()):
        names = [name or "the output" for name, reason in refused.items() if reason == why]
        if why in (_COMPANY, _RANDOM) or "not finite" in why:
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


def _mean(activation: Tensor) -> Tensor:
    axis = channel_axis(tuple(activation.shape[1:])) + 1
    others = [d for d in range(1, activation.dim()) if d != axis]
    return activation.mean(others) if others else activation


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
