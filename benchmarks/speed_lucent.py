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

from lucent.optvis import objectives, param, render  # noqa: E402


def load_network(shared: Path) -> torch.nn.Module:
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(shared / "models"))
    spec = importlib.util.spec_from_file_location("googlenet", shared / "models" / "googlenet.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()


def run(network: torch.nn.Module, unit: str, steps: int, stamps: list[float] | None = None) -> np.ndarray:
    """lucent's defaults: Fourier parameterization, decorrelated colours, Adam 0.05, its standard transforms.

    Args:
        network: GoogLeNet.
        unit: layer:channel.
        steps: of the optimization.
        stamps: gets the time at which every step asks for its score.
    """
    score = objectives.as_objective(unit)

    def stamped(read: object) -> torch.Tensor:
        if stamps is not None:
            stamps.append(time.perf_counter())
        return score(read)

    pictures = render.render_vis(
        network,
        objectives.Objective(stamped, unit),
        lambda: param.image(224),
        thresholds=(steps,),
        preprocess=False,
        progress=False,
        show_image=False,
    )
    return pictures[-1]


def timed(network: torch.nn.Module, request: dict) -> dict:
    """Median seconds a step, one unit at a time, which is all that lucent's loop does."""
    stamps: list[float] = []
    run(network, request["layer"] + ":5", request["warmup"] + request["steps"] + 1, stamps)
    return {"seconds": float(np.median(np.diff(stamps)[request["warmup"] :]))}


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
