"""`snellen.doctor`: what can be read of a network, layer by layer, and whether it is read right."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snellen.base.markup import element
from snellen.models import Layer, Model, ModelLike, Unit, open_model, response
from snellen.models.layout import Layout
from snellen.models.model import first_tensor
from snellen.models.steady import steady
from snellen.models.survey import survey
from snellen.models.taps import observe
from snellen.models.unit import Place
from snellen.pictures import render, usual_batch
from snellen.progress import Tell, Watch, told

AGREES = 5e-3
"""Largest difference between two readings, as a fraction of the layer's largest response, that rounding explains."""


@dataclass(frozen=True)
class Examined:
    """One layer under examination.

    Args:
        name: of the layer.
        kind: class name of the module.
        shape: of its output for one picture, as it is read; empty where it cannot be.
        layout: which axes of the module's own output count pictures and channels; None where none do.
        drawable: whether gradients flow from it to the picture.
        gap: between what drawing in company claims and what a plain hook reads of the picture alone, as a fraction of
            the largest response in the layer; None where it cannot be read.
        trouble: why it cannot be read or drawn; empty where it can.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    layout: Layout | None
    drawable: bool
    gap: float | None
    trouble: str

    @property
    def verdict(self) -> str:
        """ "ok", "read only" (no gradients), "refused", or "wrong": two readings disagree."""
        if self.gap is None:
            return "refused"
        if self.gap > AGREES:
            return "wrong"
        return "ok" if self.drawable else "read only"


@dataclass(frozen=True)
class Diagnosis:
    """What `doctor` found.

    Args:
        model: name of the network.
        size: height and width of its pictures.
        layers: in the order in which they finish; refused ones last.
        outputs: number of classes, 0 where it has none.
        class_layer: the layer whose units are the classes.
        notes: what a reader of a report has to know.
    """

    model: str
    size: tuple[int, int]
    layers: tuple[Examined, ...]
    outputs: int
    class_layer: str | None
    notes: tuple[str, ...] = field(default=())

    @property
    def wrong(self) -> tuple[Examined, ...]:
        """Layers of which two readings disagree."""
        return tuple(layer for layer in self.layers if layer.verdict == "wrong")

    def __str__(self) -> str:
        counts = {word: sum(x.verdict == word for x in self.layers) for word in ("ok", "read only", "refused", "wrong")}
        said = ", ".join(f"{count} {word}" for word, count in counts.items() if count)
        where = f"{self.outputs} classes in {self.class_layer}" if self.class_layer else "no classes"
        return f"{self.model}: {len(self.layers)} layers, {said or 'none'}; {where}"

    def __repr__(self) -> str:
        return f"<Diagnosis of {self}>"

    def _repr_html_(self) -> str:
        head = element("tr", *(element("th", word, style="text-align:left;padding-right:1em") for word in COLUMNS))
        rows = [
            element("tr", *(element("td", cell, style="padding-right:1em") for cell in cells(x))) for x in self.layers
        ]
        table = element("table", head, *rows, style="font-family:monospace;font-size:12px")
        return element("div", element("b", str(self)), *(element("div", note) for note in self.notes), table)


COLUMNS = ("layer", "kind", "shape", "pictures", "channels", "gradients", "gap", "verdict")
"""Of the table of a diagnosis."""


def cells(layer: Examined) -> tuple[str, ...]:
    """One row of that table, in the order of `COLUMNS`."""
    shape = "x".join(map(str, layer.shape))
    gap = "" if layer.gap is None else f"{layer.gap:.0e}"
    verdict = f"{layer.verdict}: {layer.trouble}" if layer.trouble else layer.verdict
    if layer.layout is None:
        return (layer.name, layer.kind, shape, "", "", "", gap, verdict)
    folded = {"": "", "outer": ", with windows", "inner": ", windows first"}[layer.layout.folded]
    axes = (f"axis {layer.layout.batch}{folded}", f"axis {layer.layout.channel}")
    return (layer.name, layer.kind, shape, *axes, "yes" if layer.drawable else "no", gap, verdict)


def doctor(
    model: ModelLike,
    *,
    size: int | tuple[int, int] | None = None,
    device: str = "auto",
    weights: str | Path | None = None,
    trust_pickle: bool = False,
    base: str | None = None,
    preprocess: object = None,
    progress: Watch = True,
) -> Diagnosis:
    """Establish for every layer which axes count pictures and channels, and whether it is read and drawn right.

    A unit of every layer is drawn for one step, in company; what `render` claims is set beside what a plain hook
    reads of the same picture alone.

    Args:
        model: a `torch.nn.Module` in memory, a `snellen.Model`, or a word as `snellen.audit` takes it.
        size: input size in pixels; by default the model's own.
        device: "auto", "cpu" or "cuda". A model in memory is used where it is.
        weights: local file of weights for a model that a word names.
        trust_pickle: read pickled weights, which can run any code.
        base: of the folder of a saved model whose base is in a Python file: that network, whose code is then run.
        preprocess: what the model wants done to RGB in [0, 1], where nothing says it.
        progress: False for no bar; or called with (title, done, total).

    Examples:
        >>> snellen.doctor("builtin", progress=False)
        <Diagnosis of builtin: 37 layers, 37 ok; 15 classes in classifier>

    Raises:
        SnellenError: a bad argument or model; the network fails before any layer has said something.
    """
    with told(progress, "loading") as tell:
        opened = open_model(
            model,
            size=size,
            weights=weights,
            trust_pickle=trust_pickle,
            base=base,
            preprocess=preprocess,
            device=device,
        )
        known = survey(opened)
        kinds = {name: type(part).__name__ for name, part in opened.module.named_modules()}
        read = [_examined(opened, layer, gap) for layer, gap in _gaps(opened, known.layers, tell)]
        lost = [Examined(n, kinds[n], (), None, False, None, why) for n, why in known.refused.items() if n]
        failed = () if known.failure is None else (f"the forward pass does not come to its end: {known.failure}",)
        notes = (*opened.provenance.get("notes", ()), *known.notes, *failed)
        return Diagnosis(opened.name, opened.size, (*read, *lost), known.outputs, known.class_layer, notes)


def _examined(model: Model, layer: Layer, gap: float) -> Examined:
    layout = survey(model).layouts[layer.name]
    trouble = "" if layer.drawable else "no gradients: no_grad, a reentrant checkpoint, quantized or whole numbers"
    if gap > AGREES:
        trouble = "drawing and a plain hook disagree; please report it"
    return Examined(layer.name, layer.kind, layer.shape, layout, layer.drawable, gap, trouble)


def _gaps(model: Model, layers: Sequence[Layer], tell: Tell) -> Iterator[tuple[Layer, float]]:
    """Every layer with the largest gap between two readings of one of its units."""
    width = usual_batch(model.device.type, model.size)
    drawn = [layer for layer in layers if layer.drawable]
    pictures: dict[str, tuple[Tensor, float]] = {}
    for start in range(0, len(drawn), width):
        part = drawn[start : start + width]
        made = render(model, [_unit(layer) for layer in part], steps=1, batch=width)
        for row, layer in enumerate(part):
            pictures[layer.name] = (made.images[row : row + 1], float(made.responses[row]))
        tell("drawing", start + len(part), len(layers))
    for done, layer in enumerate(layers, 1):
        picture, claimed = pictures.get(layer.name) or _in_company(model, layer)
        own, largest = _plainly(model, layer.name, picture)
        scale = max(float(own.abs().max()), 1e-3 * largest) or 1.0  # means of what is centred are nothing but rounding
        yield layer, abs(float(own[_unit(layer).channel]) - claimed) / scale
        tell("reading", done, len(layers))


def _unit(layer: Layer) -> Unit:
    """The channel in the middle: neither axis that might be taken for the channels' counts it by chance."""
    return Unit(layer.name, layer.units // 2)


def _in_company(model: Model, layer: Layer) -> tuple[Tensor, float]:
    """A picture and what is read of its unit while two others go through with it."""
    images = torch.rand(3, 3, *model.size, generator=torch.Generator().manual_seed(1)).to(model.device, model.dtype)
    said = response(observe(model, images, [layer.name])[layer.name], _unit(layer))
    return images[1:2], float(said[1])


@torch.no_grad()
def _plainly(model: Model, name: str, picture: Tensor) -> tuple[Tensor, float]:
    """Every channel's mean by a hook of its own, for one picture alone, (units,), and the layer's largest number."""
    caught: list[Tensor] = []

    def keep(_module: nn.Module, _inputs: Any, output: Any) -> None:
        found = first_tensor(output)
        if found is not None and not caught:
            caught.append(found.detach().clone())

    handle = model.module.get_submodule(name).register_forward_hook(keep)
    try:
        with steady(model.module):
            model.run(picture.to(model.device, model.dtype))
    except Exception:  # a network that fails after this layer has said what it says
        if not caught:
            raise
    finally:
        handle.remove()
    channel = survey(model).layout(Place(name, pre=False, position=None)).channel
    return caught[0].movedim(channel, -1).flatten(0, -2).double().mean(0), float(caught[0].abs().max())
