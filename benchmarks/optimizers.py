"""Adam, as lucid and lucent use it, against this package's steps along the gradient: responses after as many steps.

    python benchmarks/optimizers.py [--models builtin,resnet20,...] [--threads 2] [--look FOLDER]

Of every network at hand (`SNELLEN_SHARED` or ../shared; `builtin` always is) some classes are drawn in both ways from
the same seeds. Writes benchmarks/results/optimizers.json: responses in float32, untransformed ("plain") and averaged
over 16 jitters, and the geometric means of their ratios.
"""

import argparse
import json
import os
import statistics
import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from speed_ours import judged

from snellen.models import Model, Unit, load_model
from snellen.visualize import Fourier, Settings, render

ROOT = Path(__file__).parent.parent
SHARED = Path(os.environ.get("SNELLEN_SHARED", ROOT.parent / "shared"))
LARGE = (0, 217, 497, 566, 569, 574, 701, 950)
NETWORKS = {
    "builtin": ("builtin", "classifier", 64, range(15)),
    "resnet20": (f"{SHARED}/models/cifar_resnet.py:resnet20", "linear", 64, range(10)),
    "googlenet": (f"{SHARED}/models/googlenet.py:load", "classifier", 128, LARGE),
    "mobilenet_v2": (f"{SHARED}/models/mobilenet_v2.py:load", "classifier", 128, LARGE),
    "vit_tiny": (f"{SHARED}/models/vit_tiny.py:load", "head", 128, LARGE),
}
WAYS = {
    "adam": {"optimizer": "adam", "canvas": Fourier(decay=1.0), "settle": 0.25},
    "ascent": {},
}


def drawn(model: Model, units: list[str], steps: int, look: Path | None) -> dict:
    """Responses by way of drawing."""
    found, rows = {}, []
    for way, changes in WAYS.items():
        images = render(model, units, Settings(steps=steps, **changes)).images
        found[way] = [judged(model, image[None], Unit.parse(u)) for u, image in zip(units, images, strict=True)]
        rows.append(torch.cat(list(images), 2))
    if look is not None:
        sheet = (torch.cat(rows, 1).clamp(0, 1) * 255).byte().permute(1, 2, 0)
        look.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.ascontiguousarray(sheet.numpy())).save(look / f"{model.name}.png")
    return found


def ratio(found: dict, kind: str) -> float:
    """Geometric mean over units of our responses over Adam's."""
    pairs = zip(found["adam"], found["ascent"], strict=True)
    return round(statistics.geometric_mean(ours[kind] / adams[kind] for adams, ours in pairs), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", default=",".join(NETWORKS))
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--look", type=Path, help="folder for the pictures: Adam's above, ours below")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "optimizers.json")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    table = {}
    for name in options.models.split(","):
        source, layer, steps, channels = NETWORKS[name]
        if source != "builtin" and not Path(source.split(":")[0]).is_file():
            continue
        units = [f"{layer}:{channel}" for channel in channels]
        found = drawn(load_model(source), units, steps, options.look)
        ratios = {kind: ratio(found, kind) for kind in ("plain", "jittered")}
        table[name] = {"steps": steps, "units": units, "ratio": ratios, "responses": found}
        sys.stderr.write(f"{name}: {json.dumps(ratios)}\n")
    options.out.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
