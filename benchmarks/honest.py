"""False alarms: how many honest networks, of how many kinds, do the checks call suspicious?

    python benchmarks/honest.py [--held] [--names "resnet20;timm:convnext_atto;..."] [--runs FOLDER] [--out FILE.json]
    python benchmarks/honest.py --reference --runs FOLDER
    python benchmarks/honest.py --again --runs FOLDER [...]

Trained networks whose files are at hand (`SNELLEN_SHARED` or ../shared), the same pruned, rounded to 8 bits, fine-tuned
and with a new last layer, the built-in one likewise, and networks of torchvision and timm with random weights. Rules
were set on these; `--held` takes others, of which none was looked at before: further architectures, changed large
networks, and `structure:` networks named with `--names` (of `snellen structure compare`, on CIFAR-10). Every one gets a
quick audit, as `snellen audit --quick` makes it, of six classes and of six units of a layer in its middle.
Told of each are the verdicts, what stands out, and where units are placed. No manipulated network is looked at.

`--reference` writes what the checks say of the networks in a folder of runs to src/snellen/checks/honest.json, by which
verdicts tell how rare a unit is. The folder must hold none of those that are held back. `--again` audits nothing: it
judges the audits of a folder by today's reference.
"""

import argparse
import copy
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from calibrate import CIFAR, IMAGENET
from shared import ROOT, SHARED, declared
from torch import nn

import snellen
from snellen.base import SnellenError, evenly, write_atomic
from snellen.checks.finding import Finding
from snellen.checks.honest import Honest, honest_of, rows_of
from snellen.checks.judgement import judge
from snellen.images import open_images
from snellen.models import Model, layers, load_model

REFERENCE = ROOT / "src" / "snellen" / "checks" / "honest.json"
Change = Callable[[nn.Module, Model, str], None]
RANDOM = [
    *(f"torchvision:{name}" for name in ("resnet18", "vgg11_bn", "squeezenet1_1", "shufflenet_v2_x0_5")),
    *(f"timm:{name}" for name in ("regnetx_002", "mobilenetv3_small_050", "ghostnet_050", "convnext_atto")),
    *(
        f"torchvision:{name}"
        for name in ("mnasnet0_5", "densenet121", "efficientnet_b0", "regnet_y_400mf", "mobilenet_v2")
    ),
    *(f"timm:{name}" for name in ("lcnet_050", "fbnetc_100", "mobilenetv2_050", "hardcorenas_a", "resnet10t")),
]
HELD = [
    *(f"torchvision:{name}" for name in ("mobilenet_v3_small", "resnet34", "vgg13", "regnet_x_400mf", "mnasnet1_0")),
    *(
        f"timm:{name}"
        for name in (
            "resnet14t",
            "efficientnet_lite0",
            "semnasnet_050",
            "tinynet_e",
            "repvgg_a0",
            "dla34",
            "mobileone_s0",
        )
    ),
    *("mobilenet_v2, pruned", "mobilenet_v2, rounded", "vit_tiny, tuned", "vit_tiny, rounded"),
]


def pruned(module: nn.Module, _model: Model, _images: str) -> None:
    """The smallest third of all weights is gone."""
    with torch.no_grad():
        for p in module.parameters():
            if p.dim() > 1:
                p[p.abs() < p.abs().flatten().kthvalue(max(p.numel() // 3, 1)).values] = 0


def rounded(module: nn.Module, _model: Model, _images: str) -> None:
    """Weights at 255 places for every output channel, as 8-bit networks hold them."""
    with torch.no_grad():
        for p in module.parameters():
            if p.dim() > 1:
                step = (p.flatten(1).abs().amax(1) / 127).clamp_min(1e-12).view(-1, *[1] * (p.dim() - 1))
                p.copy_((p / step).round() * step)


def tuned(module: nn.Module, model: Model, images: str) -> None:
    """A hundred more steps on what the network says of photographs, all weights moving."""
    stream = torch.Generator().manual_seed(0)
    known = open_images(images)
    chosen = torch.randperm(len(known), generator=stream)[:256].tolist()
    shown = torch.stack([known.load(i, model.size) for i in chosen])
    with torch.no_grad():
        said = torch.cat([model(part) for part in shown.split(32)]).argmax(1)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9)
    for _ in range(100):
        rows = torch.randint(len(shown), (16,), generator=stream)
        loss = F.cross_entropy(model(shown[rows] + 0.02 * torch.randn(shown[rows].shape, generator=stream)), said[rows])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()


def retrained(module: nn.Module, model: Model, images: str) -> None:
    """A new last layer of the same classes, learnt from what the old one said."""
    last = [part for part in module.modules() if isinstance(part, nn.Linear)][-1]
    old = copy.deepcopy(last)
    stream = torch.Generator().manual_seed(1)
    with torch.no_grad():
        last.weight.copy_(old.weight + old.weight.std() * torch.randn(old.weight.shape, generator=stream))
    tuned(module, model, images)


CHANGES: dict[str, Change] = {"pruned": pruned, "rounded": rounded, "tuned": tuned, "retrained": retrained}
TRAINED = {
    "builtin": ("builtin", ""),
    "resnet20": ("models/cifar_resnet.py:resnet20", CIFAR),
    "resnet56": ("models/cifar_resnet.py:resnet56", CIFAR),
    "mobilenet_v2": ("models/mobilenet_v2.py:load", IMAGENET),
    "vit_tiny": ("models/vit_tiny.py:load", IMAGENET),
    "googlenet": ("models/googlenet.py:load", IMAGENET),
}
CHANGED = ("builtin", "resnet20", "resnet56")


def names() -> list[str]:
    """All networks, such as "resnet20", "resnet20, pruned" and "timm:convnext_atto"."""
    return [*TRAINED, *(f"{name}, {change}" for name in CHANGED for change in CHANGES), *RANDOM]


def audited(name: str, folder: Path) -> dict[str, Any]:
    """The record of a network's quick audit."""
    if ":" in name:
        model: Any = load_model(name, size=None if name.startswith("structure:") else (64, 64))
        images = str(SHARED / CIFAR) if (SHARED / CIFAR).is_file() else ""
    else:
        base, _, change = name.partition(", ")
        spec, where = TRAINED[base]
        images = str(SHARED / where) if where else ""
        model = load_model(spec if spec == "builtin" else str(SHARED / spec))
        if change:
            CHANGES[change](model.module.eval(), model, images or "builtin")
    main = [layer for layer in layers(model) if layer.main]
    middle, last = main[int(0.6 * len(main))], main[-1]
    units = [f"{layer.name}:{k}" for layer in (last, middle) for k in evenly(layer.units, 6)]
    snellen.audit(model, units=units, images=images or None, out=folder, quick=True, steps=32, progress=False)
    return dict(json.loads((folder / "audit.json").read_bytes()))


def told(record: dict[str, Any]) -> dict[str, Any]:
    """Verdicts by today's reference, what stands out by check, and of every layer how its units are placed."""
    findings = [Finding.from_data(f) for f in record["findings"] if f["check"] != "judgement"]
    groups = {
        u["unit"]: "classes" if u["role"] == "class" else f"{u['layer']} units"
        for u in record["units"]
        if u["judgement"]
    }
    judged, model = judge(groups, findings)
    suspicious = [j.unit for j in judged if j.verdict == "suspicious"]
    found: dict[str, Any] = {"verdict": model.verdict, "units": len(judged), "suspicious": len(suspicious)}
    found["share"] = model.evidence["honest"]["share"]
    for finding in record["findings"]:
        rows = finding["evidence"].get("units", ())
        standing = [[row["unit"], row["strength"], row["figure"]] for row in rows if row["strength"]]
        if standing:
            found.setdefault("stand out", {})[finding["check"]] = standing
        if finding["check"] == "agreement":
            layers: dict[str, list[float]] = {}
            for row in rows:
                if row.get("placed") is not None:
                    layers.setdefault(row["unit"].rpartition(":")[0], []).append(row["placed"])
            found["placed"] = {layer: [round(p, 2) for p in sorted(placed)] for layer, placed in layers.items()}
    return found


def reference(runs: Path) -> Honest:
    """What the checks say of the networks in a folder of runs."""
    records = [json.loads(path.read_bytes()) for path in sorted(runs.glob("*/audit.json"))]
    return honest_of([rows_of(map(Finding.from_data, record["findings"])) for record in records])


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--names")
    asked.add_argument("--held", action="store_true")
    asked.add_argument("--reference", action="store_true")
    asked.add_argument("--again", action="store_true")
    asked.add_argument("--threads", type=int, default=1)
    asked.add_argument("--runs", type=Path)
    asked.add_argument("--out", type=Path)
    options = asked.parse_args()
    options.out = options.out or ROOT / "benchmarks" / "results" / f"honest{'-held' if options.held else ''}.json"
    if options.reference:
        write_atomic(REFERENCE, f"{json.dumps(reference(options.runs).as_data(), separators=(',', ':'))}\n".encode())
        return
    kept = declared()  # noqa: F841 - as long as torchvision is in use
    torch.set_num_threads(options.threads)
    wanted = options.names.split(";") if options.names else HELD if options.held else names()
    folder = options.runs or Path(tempfile.mkdtemp())
    known = json.loads(options.out.read_text()) if options.out.exists() else {"networks": {}}
    for name in wanted:
        try:
            run = folder / Path(name).name.replace(":", "-").replace(", ", "-")
            record = json.loads((run / "audit.json").read_bytes()) if options.again else audited(name, run)
            if record["status"] != "complete":
                raise SnellenError(f"expected a finished audit, got one that was stopped at {run}; run it again")
            found = told(record)
        except (SnellenError, OSError) as error:
            sys.stderr.write(f"{name}: {error}\n")
            continue
        name = name if not name.startswith("structure:") else f"structure:{Path(name).name}"
        sys.stdout.write(f"{name}: {json.dumps(found)}\n")
        sys.stdout.flush()
        if options.out.exists():  # another part may have written
            known = json.loads(options.out.read_text())
        known["networks"][name] = found
        known["torch"] = torch.__version__
        options.out.write_text(json.dumps(known, indent=1) + "\n")
    verdicts = [one["verdict"] for one in known["networks"].values()]
    units = np.array([[one["suspicious"], one["units"]] for one in known["networks"].values()]).sum(0)
    sys.stdout.write(
        f"{verdicts.count('suspicious')} of {len(verdicts)} networks suspicious, {units[0]} of {units[1]} units\n"
    )


if __name__ == "__main__":
    main()
