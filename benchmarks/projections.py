"""Gradients that leave something out: what does the check of gradients find of a network that hands out P f' for f'?

    python benchmarks/projections.py [--names "builtin;resnet20;timm:convnext_atto;..."] [--out FILE.json]
    python benchmarks/projections.py --case NAME MODEL IMAGES [--case ...]
    python benchmarks/projections.py --honest FOLDER

Before the network x becomes stop(x) + P x - stop(P x), which is x, with a projection P: no answer changes. P keeps one
half of the picture, every other block of four pixels, or what is coarse (the means of these blocks) or fine (the rest).
`snellen.checks.GradientHonesty` is called on each, for six classes and six units of a layer in the middle, as
`benchmarks/honest.py` names networks and chooses units; what they are drawn with is the gradient that is handed out.
`--honest` adds what the audits leave untold that `benchmarks/honest.py --runs FOLDER` kept. Results are added to what
FILE holds.
"""

import argparse
import copy
import json
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from calibrate import CIFAR, spread
from honest import TRAINED
from shared import ROOT, SHARED, declared
from torch import Tensor, nn

from snellen.base import evenly
from snellen.checks import GradientHonesty
from snellen.models import Model, layers, load_model

BLOCK = 4
"""Pixels at the side of a block."""
RANDOM = ("timm:convnext_atto", "timm:regnetx_002", "torchvision:resnet18")
SIZE = (64, 64)
"""Of the pictures of networks with random weights."""
Kind = Callable[[Tensor], Tensor]


def half(x: Tensor) -> Tensor:
    """The upper half of pictures."""
    return x * (torch.arange(x.shape[2], device=x.device) < x.shape[2] // 2).to(x)[:, None]


def blocks(x: Tensor) -> Tensor:
    """Every other block, as on a chessboard."""
    rows, columns = (torch.arange(side, device=x.device) // BLOCK for side in x.shape[2:])
    return x * ((rows[:, None] + columns) % 2).to(x)


def coarse(x: Tensor) -> Tensor:
    """The means of blocks."""
    return F.interpolate(F.avg_pool2d(x, BLOCK), scale_factor=BLOCK)


def fine(x: Tensor) -> Tensor:
    """What the means of blocks leave."""
    return x - coarse(x)


KINDS: Mapping[str, Kind] = {"half": half, "blocks": blocks, "coarse": coarse, "fine": fine}


def handing(model: Model, kind: Kind) -> Model:
    """The same network, which hands out a projection of its gradients."""
    module = copy.deepcopy(model.module)

    def project(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
        x, *rest = inputs
        kept = kind(x)
        return (x.detach() + (kept - kept.detach()), *rest)  # the difference is 0, so this is x to the last bit

    module.register_forward_pre_hook(project)
    return replace(model, module=module)


def units_of(model: Model) -> list[str]:
    """Six classes, and six units of a layer in the middle."""
    main = [layer for layer in layers(model) if layer.main]
    chosen = (main[-1], main[int(0.6 * len(main))])
    return [f"{layer.name}:{k}" for layer in chosen for k in evenly(layer.units, 6)]


def told(rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What the check says of some units."""
    numbers = {of: spread([row[of] for row in rows if row.get(of) is not None]) for of in ("untold", "figure")}
    return {"units": len(rows), "proven": sum(row["strength"] == 2 for row in rows), **numbers}


def measured(model: Model, images: str, options: argparse.Namespace) -> dict[str, Any]:
    """By projection, and for the honest network, what is untold and what the gradient says along itself."""
    units, found = units_of(model), {}
    for kind, net in {"honest": model, **{name: handing(model, kind) for name, kind in KINDS.items()}}.items():
        check = GradientHonesty(**GradientHonesty.quick)
        finding = check(net, units, images or None, steps=options.steps, quick=True, progress=False)
        found[kind] = told(finding.evidence["units"])
        sys.stdout.write(f"  {kind}: {json.dumps(found[kind])}\n")
        sys.stdout.flush()
    return found


def honest(runs: Path) -> dict[str, Any]:
    """What audits of honest networks say, by network."""
    found = {}
    for path in sorted(runs.glob("*/audit.json")):
        findings = json.loads(path.read_bytes())["findings"]
        found[path.parent.name] = told(
            [row for f in findings if f["check"] == GradientHonesty.name for row in f["evidence"]["units"]]
        )
    return found


def named(name: str) -> tuple[Model, str]:
    """A network of `benchmarks/honest.py` that nobody changed, and its images."""
    if name in TRAINED:
        model, images = TRAINED[name]
        return load_model(model if model == "builtin" else str(SHARED / model)), str(SHARED / images) if images else ""
    torch.manual_seed(0)  # of its weights
    return load_model(name, size=SIZE), str(SHARED / CIFAR) if (SHARED / CIFAR).is_file() else ""


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--names", default=";".join(("builtin", "resnet20", *RANDOM)))
    asked.add_argument("--case", nargs=3, action="append", metavar=("NAME", "MODEL", "IMAGES"), default=[])
    asked.add_argument("--honest", type=Path)
    asked.add_argument("--steps", type=int, default=32)
    asked.add_argument("--threads", type=int, default=1)
    asked.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "projections.json")
    options = asked.parse_args()
    kept = declared()  # noqa: F841 - as long as torchvision is in use
    torch.set_num_threads(options.threads)
    known = json.loads(options.out.read_text()) if options.out.exists() else {"networks": {}}
    if options.honest:
        known["honest"] = honest(options.honest)
    cases = {name: (model, images) for name, model, images in options.case}
    names = () if options.honest else cases or options.names.split(";")
    for name in names:
        model, images = (load_model(cases[name][0]), cases[name][1]) if name in cases else named(name)
        began = time.perf_counter()
        sys.stdout.write(f"{name}\n")
        known["networks"][name] = measured(model, images, options) | {"seconds": time.perf_counter() - began}
    known |= {"steps": options.steps, "torch": torch.__version__}
    options.out.write_text(json.dumps(known, indent=1) + "\n")


if __name__ == "__main__":
    main()
