"""Adam, as lucid and lucent use it, against this package's steps along the gradient: responses after as many steps.

    python benchmarks/optimizers.py [--models builtin,resnet20,...] [--threads 2] [--look FOLDER]

Of every network at hand (`SNELLEN_SHARED` or ../shared; `builtin` always is) some classes are drawn in both ways from
the same seeds. Writes benchmarks/results/optimizers.json: responses in float32, untransformed ("plain") and averaged
over 16 jitters, and the geometric means of their ratios.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from calibrate import NETWORKS
from shared import ROOT, SHARED
from speed import ratios
from speed_ours import judged

from snellen.models import Model, Unit, load_model
from snellen.pictures import Fourier, Settings, render
from snellen.pictures.sheet import png

LARGE = (0, 217, 497, 566, 569, 574, 701, 950)
DRAWN = {
    "builtin": ("classifier", 64, range(15)),
    "resnet20": ("linear", 64, range(10)),
    "googlenet": ("classifier", 128, LARGE),
    "mobilenet_v2": ("classifier", 128, LARGE),
    "vit_tiny": ("head", 128, LARGE),
}
"""Layer, steps and channels."""
WAYS = {
    "adam": {"optimizer": "adam", "canvas": Fourier(decay=1.0), "settle": 0.25},
    "ascent": {},
}


def drawn(model: Model, units: list[str], steps: int, look: Path | None) -> list[dict]:
    """Responses of every unit, by way of drawing."""
    images = {way: render(model, units, Settings(steps=steps, **how)).images for way, how in WAYS.items()}
    if look is not None:
        look.mkdir(parents=True, exist_ok=True)
        sheet = torch.cat([torch.cat(list(row), 2) for row in images.values()], 1)
        (look / f"{model.name}.png").write_bytes(png(sheet))
    return [
        {way: judged(model, made[i : i + 1], Unit.parse(unit)) for way, made in images.items()}
        for i, unit in enumerate(units)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(DRAWN))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--look", type=Path, help="folder for the pictures: Adam's above, ours below")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "optimizers.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = {}
    for name in options.models.split(","):
        source, (layer, steps, channels) = NETWORKS[name][0], DRAWN[name]
        if source and not (SHARED / source.split(":")[0]).is_file():
            continue
        units = [f"{layer}:{channel}" for channel in channels]
        rows = drawn(load_model(str(SHARED / source) if source else name), units, steps, options.look)
        found = {"ratio": ratios(rows, "ascent", "adam"), "responses": dict(zip(units, rows, strict=True))}
        table[name] = {"steps": steps, **found}
        sys.stderr.write(f"{name}: {json.dumps(found['ratio'])}\n")
    options.out.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
