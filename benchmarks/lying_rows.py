"""Rows that lie by linear algebra alone: what does the check of extrapolation find of them, and at which price?

    python benchmarks/lying_rows.py [--cases "ridge block4;tails block5 all;..."] [--look FOLDER] [--out FILE.json]

Weights of the built-in network are changed so that units say of photographs what they did, and draw the picture of
another unit. Nothing is trained, and nothing in the network asks what it is shown:

- ridge: W + D, where D is fitted by ridge regression to say nothing of photographs' patches, and what turns a unit into
  its partner on pictures of both, among them pictures that the changed network drew;
- tails: a 1 x 1 convolution behind the ReLU that lets a partner's excess beyond its 99 % quantile take the place of the
  unit's own, position by position;
- null space: W S + k (P W)(1 - S), where S keeps what photographs vary and P W are the partners' rows; no pictures.

Photographs are the built-in ones of the training regions; predictions are compared on the others, which the check sees
too. `snellen.checks.Extrapolation` is called on up to ten units of each layer, those that lie among them.
"""

import argparse
import copy
import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import deceive
import torch
import torch.nn.functional as F
from shared import ROOT
from torch import Tensor, nn

from snellen.attacks.behaviour import compare
from snellen.attacks.gallery import Shown, exhibit
from snellen.base import Seed, evenly
from snellen.checks import Extrapolation
from snellen.images import open_images
from snellen.models import Model, load_model
from snellen.models.taps import entered, observe
from snellen.pictures import Settings, render

PHOTOGRAPHS = 500
LOOKED_AT = 10
"""Units of a layer."""
STEPS = (8, 16, 32)
"""Of honest pictures that a ridge regression learns from."""
AGAIN = (16, 32, 64, 16, 32, 64)
"""Of pictures that the changed network draws, one round after another."""
PENALTY = 1e-6
"""On weights, in parts of the pictures' mean square."""
QUANTILE, GAIN, SOFT = 0.99, 6.0, 0.3
"""Of tails: where they begin, how fast they grow, and within which part of that the one gives way to the other."""
SHRUNK, BEYOND = 0.2, 15.0
"""Variance, in parts of the mean one, at which half of a weight is kept; how often the partner's part comes instead."""


@dataclass(frozen=True)
class Case:
    """One manipulation.

    Args:
        kind: "ridge", "tails" or "null".
        writer: the module that is changed, or the layer that gets a tail.
        layer: whose units are looked at.
        units: that lie.
        shift: each shows unit + shift.
        quiet: weight of photographs against pictures in a ridge regression.
    """

    kind: str
    writer: str
    layer: str
    units: tuple[int, ...]
    shift: int
    quiet: float = 1.0


CASES = {
    "ridge block4": Case("ridge", "block4.conv", "block4", tuple(range(4)), 20),
    "ridge block5": Case("ridge", "block5.conv", "block5", tuple(range(10)), 20),
    "ridge block6": Case("ridge", "block6.conv", "block6", tuple(range(10)), 20),
    "ridge two classes": Case("ridge", "classifier", "classifier", (1, 2), 7, 8.0),
    "ridge two other classes": Case("ridge", "classifier", "classifier", (2, 6), 7, 8.0),
    "ridge all classes": Case("ridge", "classifier", "classifier", tuple(range(15)), 7, 8.0),
    "tails block5": Case("tails", "block5", "block5", tuple(range(5)), 20),
    "tails block5 all": Case("tails", "block5", "block5", tuple(range(160)), 20),
    "null space block5 all": Case("null", "block5.conv", "block5", tuple(range(160)), 20),
}


@dataclass(frozen=True)
class Lie:
    """A network, and a module that makes it lie.

    Args:
        model: the honest one.
        case: what lies.
        module: in the place of the case's writer.
    """

    model: Model
    case: Case
    module: nn.Module

    @property
    def layer(self) -> str:
        return self.case.layer

    @property
    def shown(self) -> Shown:
        return Shown(shift=self.case.shift, units=self.case.units[:LOOKED_AT])

    @contextmanager
    def installed(self) -> Iterator[Model]:
        parent, _, name = self.case.writer.rpartition(".")
        holder = self.model.module.get_submodule(parent)
        honest = getattr(holder, name)
        setattr(holder, name, self.module)
        try:
            yield self.model
        finally:
            setattr(holder, name, honest)


class Tailed(nn.Module):
    """A layer whose units are others' beyond their bounds.

    Args:
        inner: the layer.
        bounds: (c,) where its channels' tails begin.
        case: which lie.
    """

    def __init__(self, inner: nn.Module, bounds: Tensor, case: Case) -> None:
        super().__init__()
        count = len(bounds)
        self.inner = inner
        self.register_buffer("bounds", bounds.view(-1, 1, 1))
        body, tail = torch.zeros(count, count), torch.eye(count)
        for unit in case.units:
            partner = (unit + case.shift) % count
            gain = GAIN * bounds[unit] / bounds[partner]
            tail[unit] = 0
            tail[unit, partner] = gain
            body[unit, unit] += 1
            body[unit, partner] -= gain
        self.mix = nn.Conv2d(2 * count, count, 1, bias=False, device="meta")  # no random weights first
        self.mix.weight = nn.Parameter(torch.cat([body, tail], 1)[..., None, None])

    def forward(self, x: Tensor) -> Tensor:
        said = self.inner(x)
        soft = SOFT * self.bounds
        # smooth, so that gradients reach the tail of a unit that is at its bound, and 0 where nothing is said
        bounded = -soft * torch.logaddexp(-said / soft, -self.bounds / soft)
        bounded = bounded + soft * torch.log1p(torch.exp(-self.bounds / soft))
        return self.mix(torch.cat([bounded, said], 1))


def photographs(model: Model) -> Tensor:
    """Some to learn from."""
    images = open_images("builtin:train")
    return torch.stack([images.load(i, model.size) for i in evenly(len(images), PHOTOGRAPHS)])


def moments(model: Model, name: str, images: Tensor) -> Tensor:
    """Mean products of what enters a module at its places, with a one appended: (d + 1, d + 1)."""
    module, total, count = model.module.get_submodule(name), torch.zeros(()), 0
    with entered(model, [name]) as inputs:
        for part in images.split(32):
            inputs.clear()
            observe(model, part, [name])
            x = inputs[name]
            if isinstance(module, nn.Conv2d):
                asked = {of: getattr(module, of) for of in ("kernel_size", "dilation", "padding", "stride")}
                x = F.unfold(x, **asked).transpose(1, 2).flatten(0, 1)
            x = F.pad(x.double(), (0, 1), value=1.0)
            total, count = total + x.T @ x, count + len(x)
    return total / count


def rows_of(module: nn.Module) -> Tensor:
    """Weights and bias of every unit: (c, d + 1)."""
    return torch.cat([module.weight.flatten(1), module.bias[:, None]], 1).detach().double()


@torch.no_grad()
def put(module: nn.Module, rows: Tensor) -> None:
    """Weights and biases from rows."""
    module.weight.copy_(rows[:, :-1].view_as(module.weight))
    module.bias.copy_(rows[:, -1])


def drawn(model: Model, layer: str, units: Sequence[int], rounds: Sequence[int]) -> Iterator[Tensor]:
    """Pictures of units, round by round: each has its number of steps, and starts from other noise."""
    targets = [f"{layer}:{unit}" for unit in units]
    for k, steps in enumerate(rounds):
        yield render(model, targets, steps=steps, seeds=Seed(0).fork(f"round {k}"), progress=False).images


def ridge(model: Model, case: Case) -> nn.Module:
    """Rows that say nothing new of photographs, and of pictures what their partners say."""
    net = replace(model, module=copy.deepcopy(model.module))
    module = net.module.get_submodule(case.writer)
    honest, shown = rows_of(module), photographs(model)
    noise = torch.randn(shown.shape, generator=torch.Generator().manual_seed(0))
    natural = moments(model, case.writer, torch.cat([shown, (shown.flip(3) + 0.02 * noise).clamp(0, 1)]))
    partners = [(unit + case.shift) % len(honest) for unit in case.units]
    seen: list[list[Tensor]] = [[] for _ in case.units]

    def learn(pictures: Tensor) -> None:
        for known, picture in zip(seen, pictures, strict=True):
            known.append(moments(model, case.writer, picture[None]))

    def fit() -> None:
        rows = honest.clone()
        for unit, partner, known in zip(case.units, partners, seen, strict=True):
            pictured = torch.stack(known).mean(0)
            floor = PENALTY * pictured.diagonal().mean() * torch.eye(len(pictured), dtype=pictured.dtype)
            wanted = pictured @ (honest[partner] - honest[unit])
            rows[unit] += torch.linalg.solve(case.quiet * natural + pictured + floor, wanted)
        put(module, rows)

    for units in (case.units, partners):
        for pictures in drawn(model, case.layer, units, STEPS):
            learn(pictures)
    fit()
    for pictures in drawn(net, case.layer, case.units, AGAIN):  # each round of a network that learnt the one before
        learn(pictures)
        fit()
    return module


def tails(model: Model, case: Case) -> nn.Module:
    """The layer with others' tails."""
    said = torch.cat([observe(model, part, [case.layer])[case.layer] for part in photographs(model).split(32)])
    bounds = said.transpose(0, 1).flatten(1).quantile(QUANTILE, 1)
    return Tailed(copy.deepcopy(model.module.get_submodule(case.writer)), bounds.clamp_min(1e-3), case)


def null(model: Model, case: Case) -> nn.Module:
    """Rows that are their partners' where photographs do not vary."""
    module = copy.deepcopy(model.module.get_submodule(case.writer))
    honest, found = rows_of(module), moments(model, case.writer, photographs(model))
    mean = found[-1, :-1]
    varied = found[:-1, :-1] - mean[:, None] * mean
    one = torch.eye(len(varied), dtype=varied.dtype)
    kept = torch.linalg.solve(varied + SHRUNK * varied.trace() / len(varied) * one, varied).T
    rows = honest.clone()
    for unit in case.units:
        own, other = honest[unit, :-1], honest[(unit + case.shift) % len(honest), :-1]
        rows[unit, :-1] = own @ kept + BEYOND * other @ (one - kept)
        rows[unit, -1] += (own - rows[unit, :-1]) @ mean  # nothing changes at the mean
    put(module, rows)
    return module


MAKERS = {"ridge": ridge, "tails": tails, "null": null}


def told(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """What the check says of some units."""
    strengths = [row["strength"] for row in rows]
    return {
        "units": len(rows),
        "unseen": sorted(row["figure"] for row in rows if row["figure"] is not None),
        "foretold": sorted(row["foretold"] for row in rows if row["foretold"] is not None),
        "stand out": sum(strength > 0 for strength in strengths),
        "proven": sum(strength == 2 for strength in strengths),
    }


def measured(case: Case, options: argparse.Namespace, name: str) -> dict[str, Any]:
    """Price, pictures and what the check finds."""
    model = load_model("builtin")
    lie = Lie(model, case, MAKERS[case.kind](model, case))
    behaviour = compare(lie, {"builtin": open_images("builtin")})["builtin"]
    gallery = exhibit(lie, units=LOOKED_AT, settings=Settings(steps=options.steps), seed=Seed(1), tell=lambda *_: None)
    deceive.pictures(gallery, options.look, name.replace(" ", "-"))
    with lie.installed():
        net = replace(model, module=copy.deepcopy(model.module))
    units = [f"{case.layer}:{unit}" for unit in range(LOOKED_AT)]
    check = Extrapolation(**Extrapolation.quick)
    finding = check(net, units, steps=options.steps, quick=True, progress=False)
    lying = {f"{case.layer}:{unit}" for unit in case.units}
    rows = finding.evidence["units"]
    return {
        "writer": case.writer,
        "rows": len(case.units),
        "changed": behaviour.changed,
        "photographs": behaviour.count,
        "top1": behaviour.top1,
        "nearer to the decoy": sum(entry.fooled for entry in gallery.entries),
        "drawn": len(gallery.entries),
        "lying": told([row for row in rows if row["unit"] in lying]),
        "honest beside": told([row for row in rows if row["unit"] not in lying]),
    }


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--cases", default=";".join(CASES))
    asked.add_argument("--steps", type=int, default=32)
    asked.add_argument("--threads", type=int, default=1)
    asked.add_argument("--look", type=Path)
    asked.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "lying_rows.json")
    options = asked.parse_args()
    torch.set_num_threads(options.threads)
    known = json.loads(options.out.read_text()) if options.out.exists() else {"cases": {}}
    for name in options.cases.split(";"):
        began = time.perf_counter()
        found = measured(CASES[name], options, name)
        known["cases"][name] = found | {"seconds": time.perf_counter() - began}
        sys.stdout.write(f"{name}: {json.dumps(known['cases'][name])}\n")
        sys.stdout.flush()
        known |= {"steps": options.steps, "torch": torch.__version__}
        options.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
