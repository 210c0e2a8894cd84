"""The worker of `speed.py` for torch-lucent, run by the Python of an environment of its own.

What it shims, and nothing else: torchvision's import on a CPU build of PyTorch (schemas of its custom operators), and
the two functions that kornia moved after the release which lucent was written for.
"""

import importlib.util
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

library = torch.library.Library("torchvision", "DEF")
BOXES = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
for operator in ("nms", "qnms"):
    library.define(operator + BOXES)

import kornia  # noqa: E402
import kornia.geometry.transform as moved  # noqa: E402

for name in ("get_rotation_matrix2d", "warp_affine"):
    if not hasattr(kornia, name):
        setattr(kornia, name, getattr(moved, name))

from lucent.optvis import param, render  # noqa: E402


def load_network(shared: Path) -> torch.nn.Module:
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(shared / "models"))
    spec = importlib.util.spec_from_file_location("googlenet", shared / "models" / "googlenet.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()


def run(network: torch.nn.Module, unit: str, steps: int) -> np.ndarray:
    """lucent's defaults: Fourier parameterization, decorrelated colours, Adam 0.05, its standard transforms."""
    pictures = render.render_vis(
        network,
        unit,
        lambda: param.image(224),
        thresholds=(steps,),
        preprocess=False,
        progress=False,
        show_image=False,
    )
    return pictures[-1]


def timed(network: torch.nn.Module, request: dict) -> dict:
    durations = []
    for steps in (request["warmup"], request["warmup"] + request["steps"]):
        began = time.perf_counter()
        run(network, request["layer"] + ":5", steps)
        durations.append(time.perf_counter() - began)
    return {"seconds": (durations[1] - durations[0]) / request["steps"]}


def draw(network: torch.nn.Module, request: dict) -> dict:
    np.random.seed(request["seed"])
    torch.manual_seed(request["seed"])
    np.save(request["file"], run(network, request["unit"], request["steps"]).transpose(0, 3, 1, 2))
    return {"status": "ok"}


def main() -> None:
    torch.set_num_threads(int(os.environ["SPEED_THREADS"]))
    network = load_network(Path(os.environ["SNELLEN_SHARED"]))
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"time": timed, "draw": draw}[request["do"]](network, request)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
