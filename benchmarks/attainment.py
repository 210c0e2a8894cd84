"""The attainment theorem attacked on real networks: images that depart from what one picture guarantees, by gradients.

    python benchmarks/attainment.py [--networks builtin,resnet20] [--units 4] [--steps 80] [--out FILE.json]

A class f(x) = w.phi(x) + b has its picture at p = phi(x_max). Searched are images that make |what f departs by| / (what
is proved) as large as they can, from a photograph, from noise and from the picture itself, in both directions, in the
cube of images. What is proved, of `snellen.theory.attainment`:

- "radius" (theorem 1): |f(x) - b - |w| phi(x).p / R| <= |w| |phi(x)| sqrt(2 (1 - rho)), rho = w.p / (|w| R);
- "sharp" (theorem 1): the same with sqrt(1 + |p|^2 / R^2 - 2 rho);
- "direction" (theorem 1 with R = |p|): of p nothing counts but where it points, and rho is a cosine;
- "across" (theorem 2): |f(x) - b - c phi(x).p| <= s |phi(x) across p|, c = w.p / |p|^2.

R is the largest norm of features of the photographs and pictures, fixed before the search, so it is no bound of norms
over all images: a search for long features, which runs too, may find longer ones ("longest", in parts of R). That does
not break theorem 1. Of all norms its proof uses |p| <= R alone, which holds by the choice of R, and it is proved for
images with longer features as well; what these take away is the meaning of rho as a part of the largest response.
"direction" and "across" need no R at all.

The search runs in float32; what it ends with is judged in float64, on the network's own response and not on
w.phi(x) + b. A ratio above 1 + 1e-6 would be a broken theorem. Wrong theorems are judged on the same images, and unless
they are broken the search is worth nothing: sqrt(1 - rho) in place of sqrt(2 (1 - rho)); a rho that is too large, the
cosine of half of its angle; half of s in theorem 2.
"""

import argparse
import copy
import json
import math
import platform
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from shared import ROOT, shared
from torch import Tensor, nn

from snellen.base import ModelError, Seed, evenly
from snellen.images import ImageSet, open_images
from snellen.models import Model, load_model
from snellen.models.survey import survey
from snellen.pictures import render

IMAGENET = ("images", "imagenet", "imagenette_val")
NETWORKS = {
    "builtin": None,
    "resnet20": (("cifar_resnet.py", "resnet20"), ("images", "cifar10.npz")),
    "mobilenet_v2": (("mobilenet_v2.py", "load"), IMAGENET),
    "googlenet": (("googlenet.py", "load"), IMAGENET),
    "vit_tiny": (("vit_tiny.py", "load"), IMAGENET),
}
FORMS = ("radius", "sharp", "direction", "across")
WRONG = {
    "radius, sqrt(1 - rho)": "radius",
    "radius, half the angle": "radius",
    "direction, sqrt(1 - rho)": "direction",
    "direction, half the angle": "direction",
    "across, half of s": "across",
}
"""Wrong theorems, and the right one that each is made of."""
LONGEST = "longest"
"""An aim, too: the norm of the features."""
STARTS = ("photograph", "noise", "picture")
SLACK = 1e-6
"""Of a ratio, for rounding in float64; and the least part of |w| |phi(x)| that a ratio is taken of."""
_TOGETHER = 8
_RATE = 0.04
_PART, _FURTHER = 4, 3
"""One in so many of the searches, the best, goes on for so many times as many steps."""


@dataclass(frozen=True, eq=False)
class Head:
    """A network up to its layer of classes, and the classes that are looked at.

    Args:
        model: the network.
        layer: a linear one that its output is.
        units: rows of it.
        pictures: (u, d) features of each unit's largest picture.
        radius: R.
    """

    model: Model
    layer: str
    units: tuple[int, ...]
    pictures: Float[Tensor, "u d"]
    radius: float

    @property
    def linear(self) -> nn.Linear:
        """The layer itself."""
        found = self.model.module.get_submodule(self.layer)
        if not isinstance(found, nn.Linear):
            raise ModelError(f"expected a linear layer of classes, got {type(found).__name__}")
        return found

    def exact(self) -> "Head":
        """The same in float64."""
        model = replace(self.model, module=copy.deepcopy(self.model.module).double())
        return replace(self, model=model, pictures=self.pictures.double())


@contextmanager
def entered(model: Model, layer: str) -> Iterator[list[Tensor]]:
    """While open, what enters a layer is kept, with its gradients."""
    caught: list[Tensor] = []
    handle = model.module.get_submodule(layer).register_forward_pre_hook(lambda _, given: caught.append(given[0]))
    try:
        yield caught
    finally:
        handle.remove()


def answered(model: Model, layer: str, images: Float[Tensor, "n 3 h w"]) -> tuple[Tensor, Tensor]:
    """What enters the layer of classes, (n, d), and what the network says, (n, k)."""
    with entered(model, layer) as caught:
        said = model(images)
    return caught[0], said


def ratios(head: Head, features: Float[Tensor, "n d"], said: Float[Tensor, "n k"], rows: Int[Tensor, " n"]) -> Tensor:
    """What each image departs by, in parts of what is proved, (n, forms); with a sign, and 0 where both are nearly 0.

    Args:
        head: with the units.
        features: what enters with n images.
        said: the network's output.
        rows: which of the units each image is held against.
    """
    channels = torch.tensor(head.units)[rows]
    w, p = head.linear.weight[channels].detach(), head.pictures[rows]
    bias = torch.zeros_like(w[:, 0]) if head.linear.bias is None else head.linear.bias[channels].detach()
    rises = said.gather(1, channels[:, None])[:, 0] - bias
    norm, length, size = w.norm(dim=1), p.norm(dim=1), features.norm(dim=1)
    along, reached = (features * p).sum(1), (w * p).sum(1)
    rho, cosine = reached / (norm * head.radius), reached / (norm * length)
    by_radius = rises - norm * along / head.radius
    apart = (features - (along / length**2)[:, None] * p).norm(dim=1)
    departs = (by_radius, by_radius, rises - norm * along / length, rises - reached * along / length**2)
    proved = (
        norm * size * (2 * (1 - rho)).sqrt(),
        norm * size * (1 + (length / head.radius) ** 2 - 2 * rho).clamp_min(0).sqrt(),
        norm * size * (2 * (1 - cosine)).clamp_min(0).sqrt(),
        norm * (1 - cosine**2).clamp_min(0).sqrt() * apart,
    )
    least = (SLACK if features.dtype == torch.float64 else 1e-3) * norm * size
    told = [torch.where(b > least, d / b.clamp_min(1e-30), 0.0 * d) for d, b in zip(departs, proved, strict=True)]
    return torch.stack(told, 1)


def factors(head: Head) -> dict[str, Float[Tensor, " u"]]:
    """Of each wrong theorem what it leaves of the right one's bound, by unit: it is broken above this ratio."""
    w = head.linear.weight[list(head.units)].detach()
    reached = (w * head.pictures).sum(1) / w.norm(dim=1)
    halves = [_halved(reached / length) for length in (head.radius, head.pictures.norm(dim=1))]
    root = torch.full_like(reached, math.sqrt(0.5))
    return dict(zip(WRONG, (root, halves[0], root, halves[1], torch.full_like(reached, 0.5)), strict=True))


def _halved(rho: Tensor) -> Tensor:
    angle = rho.clamp(-1, 1).arccos()
    return (angle / 4).sin() / (angle / 2).sin().clamp_min(1e-30)


def search(
    head: Head, images: Float[Tensor, "n 3 h w"], rows: Int[Tensor, " n"], aim: tuple[str, Tensor], *, steps: int
) -> tuple[Float[Tensor, "n 3 h w"], Float[Tensor, " n"]]:
    """Of the images that gradients lead to from these, within [0, 1], those that come nearest to an aim, and how near.

    Args:
        head: what is attacked.
        images: where to start.
        rows: which unit each is held against.
        aim: the ratio of a form, and (n,) 1 or -1, the direction in which to depart; or long features.
        steps: of Adam.
    """
    form, signs = aim
    best, most = images.clone(), torch.full((len(images),), -math.inf)
    x = images.clone().requires_grad_()
    climber = torch.optim.Adam([x], lr=_RATE)
    for step in range(steps + 1):
        features, said = answered(head.model, head.layer, x)
        value = features.norm(dim=1)
        if form != LONGEST:
            value = ratios(head, features, said, rows)[:, FORMS.index(form)] * signs
        better = value.detach() > most
        best[better], most[better] = x.detach()[better], value.detach()[better]
        if step == steps:
            break
        climber.param_groups[0]["lr"] = _RATE * (1 + math.cos(math.pi * step / steps)) / 2
        (x.grad,) = torch.autograd.grad(-value.sum(), x)
        climber.step()
        with torch.no_grad():
            x.clamp_(0, 1)
    return best, most


@torch.no_grad()
def headed(model: Model, photographs: Float[Tensor, "n 3 h w"], pictures: Float[Tensor, "u 3 h w"], units: Any) -> Head:
    """A network's layer of classes with its pictures, R the largest norm of features of these images."""
    layer = str(survey(model).class_layer)
    found = [answered(model, layer, part)[0] for part in torch.cat([pictures, photographs]).split(_TOGETHER)]
    features = torch.cat(found)
    return Head(model, layer, tuple(units), features[: len(pictures)], float(features.norm(dim=1).max()) * (1 + 1e-9))


def searched(head: Head, begun: tuple[Tensor, Tensor, Tensor], form: str, *, steps: int) -> tuple[Tensor, Tensor]:
    """Images that all searches for one aim end with, (n, 3, h, w), and the rows of the units they are held against.

    Args:
        head: what is attacked.
        begun: images to start from, their units' rows and the directions.
        form: the aim.
        steps: of each search; the best ones go on.
    """
    images, rows, signs = begun
    found, held = [], []
    for part, spent in ((1, steps), (_PART, _FURTHER * steps)):
        best = slice(0, len(images) // part)
        images, rows, signs = images[best], rows[best], signs[best]
        ends = [
            search(head, images[some], rows[some], (form, signs[some]), steps=spent)
            for some in torch.arange(len(images)).split(_TOGETHER)
        ]
        order = torch.cat([most for _, most in ends]).argsort(descending=True)
        images, rows, signs = torch.cat([ended for ended, _ in ends])[order], rows[order], signs[order]
        found.append(images)
        held.append(rows)
    return torch.cat(found), torch.cat(held)


def attacked(head: Head, photographs: Tensor, pictures: Tensor, *, steps: int, seed: int = 0) -> dict[str, Any]:
    """The largest ratios that the search finds, over all starts, units and aims, and which wrong theorems it breaks.

    Args:
        head: what is attacked.
        photographs: (n, 3, h, w), from which some start.
        pictures: (u, 3, h, w) of the units.
        steps: of each search; the best ones go on for three times as many.
        seed: of the noise, and of the photographs that are taken.
    """
    stream = torch.Generator().manual_seed(seed)
    count = len(pictures)
    starts = {
        "photograph": photographs[torch.randperm(len(photographs), generator=stream)[:count]],
        "noise": torch.rand(pictures.shape, generator=stream),
        "picture": pictures,
    }
    begun = torch.cat([starts[name] for name in STARTS for _ in (1, -1)])
    rows = torch.arange(count).repeat(2 * len(STARTS))
    signs = torch.tensor([1.0, -1.0]).repeat_interleave(count).repeat(len(STARTS))
    exact = head.exact()
    judged, longest = [], 0.0
    for form in ("radius", "across", LONGEST):
        some = slice(None) if form != LONGEST else slice(0, 2 * count)  # from photographs is enough
        images, held = searched(head, (begun[some], rows[some], signs[some]), form, steps=steps)
        for part in torch.arange(len(images)).split(_TOGETHER):
            with torch.no_grad():
                features, said = answered(exact.model, exact.layer, images[part].double())
                judged.append((held[part], ratios(exact, features, said, held[part]).abs()))
                longest = max(longest, float(features.norm(dim=1).max()))
    held, told = (torch.cat(parts) for parts in zip(*judged, strict=True))
    largest = {form: float(told[:, i].max()) for i, form in enumerate(FORMS)}
    wrong = {
        name: float((told[:, FORMS.index(WRONG[name])] / left[held]).max()) for name, left in factors(exact).items()
    }
    w = exact.linear.weight[list(head.units)].detach()
    reach = (w * exact.pictures).sum(1) / w.norm(dim=1)
    return {
        "images": len(told),
        "rho": [round(float(r), 4) for r in reach / head.radius],
        "cosine": [round(float(r), 4) for r in reach / exact.pictures.norm(dim=1)],
        "longest": round(longest / head.radius, 4),
        "largest": {name: round(value, 6) for name, value in largest.items()},
        "wrong": {name: round(value, 4) for name, value in wrong.items()},
        "broken": [name for name, value in largest.items() if value > 1 + SLACK],
    }


def opened(name: str) -> tuple[Model, ImageSet]:
    """A network and its photographs."""
    where = NETWORKS[name]
    if where is None:
        return load_model("builtin"), open_images("builtin")
    (file, factory), images = where
    path = shared(*images)
    return load_model(f"{shared('models', file)}:{factory}"), open_images(
        f"{path}:test" if path.suffix == ".npz" else path
    )


def measured(name: str, options: argparse.Namespace) -> dict[str, Any]:
    """The attack on one network."""
    began = time.process_time()
    model, images = opened(name)
    photographs = images.subset(evenly(len(images), min(len(images), options.photographs))).pixels(model.size)
    large = max(model.size) > 96
    layer, outputs = str(survey(model).class_layer), survey(model).outputs
    units = evenly(outputs, options.units if not large else min(options.units, 2))
    pictures = render(
        model, [f"{layer}:{k}" for k in units], steps=options.drawn, seeds=Seed(0), progress=False
    ).images.clamp(0, 1)
    head = headed(model, photographs, pictures, units)
    steps = options.steps if not large else options.steps // 5
    told = attacked(head, photographs, pictures, steps=steps)
    return {"units": list(units), "steps": steps, **told, "processor_seconds": round(time.process_time() - began)}


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--networks", default=",".join(NETWORKS))
    asked.add_argument("--units", type=int, default=4, help="at most 2 of networks that take more than 96 px")
    asked.add_argument("--steps", type=int, default=80, help="a fifth of it where the network takes more than 96 px")
    asked.add_argument("--drawn", type=int, default=32, help="steps of each picture")
    asked.add_argument("--photographs", type=int, default=64)
    asked.add_argument("--threads", type=int, default=1)
    asked.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "attainment.json")
    options = asked.parse_args()
    torch.set_num_threads(options.threads)
    found = json.loads(options.out.read_text())["networks"] if options.out.exists() else {}
    for name in options.networks.split(","):
        found[name] = told = measured(name, options)
        sys.stderr.write(f"{name}: {json.dumps(told)}\n")
        machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
        options.out.write_text(json.dumps({"machine": machine, "networks": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
