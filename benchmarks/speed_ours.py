"""The worker of `speed.py` for this package: reads one JSON request a line, answers with one JSON line."""

import importlib.util
import json
import os
import sys
import time
from pathlib import Path

import numpy as np
import torch

from snellen.base import Seed
from snellen.models import Model, observe, response
from snellen.models.edits import frozen, streamlined
from snellen.models.unit import Unit
from snellen.pictures import Jitter, Objective, Settings, render, resample
from snellen.pictures.heap import roomy_heap
from snellen.pictures.objectives import scores
from snellen.pictures.transforms import draw_numbers


def load_network(shared: Path) -> torch.nn.Module:
    """GoogLeNet as a user would bring it."""
    sys.dont_write_bytecode = True
    sys.path.insert(0, str(shared / "models"))
    spec = importlib.util.spec_from_file_location("googlenet", shared / "models" / "googlenet.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.load()


def units_of(layer: str, count: int) -> list[str]:
    return [f"{layer}:{37 * i % 256}" for i in range(count)]


def asked(request: dict) -> tuple[str, bool]:
    """The precision, and whether slow layers are compiled: "bfloat16 compiled"."""
    precision, _, compiled = request["precision"].partition(" ")
    return precision, bool(compiled)


def timed(model: Model, request: dict) -> dict:
    """Median seconds a unit and step, all units drawn in full batches."""
    steps, batch = request["warmup"] + request["steps"], request["batch"]
    stamps: list[float] = []
    precision, compiled = asked(request)
    settings = Settings(steps=steps, precision=precision, compiled=compiled, redirect=0)
    targets = units_of(request["layer"], request["units"])
    render(model, targets, settings, batch=batch, progress=lambda _: stamps.append(time.perf_counter()))
    each = np.diff(np.array(stamps).reshape(-1, steps), axis=1)[:, request["warmup"] :]
    return {"seconds": float(np.median(each)) / batch}


def floor(model: Model, request: dict) -> dict:
    """Seconds a picture of the bare forward and backward pass of the truncated network at the same batch."""
    batch = request["batch"]
    pictures = torch.rand(batch, 3, 224, 224).contiguous(memory_format=torch.channels_last)
    precision, compiled = asked(request)
    dtype = torch.bfloat16 if precision == "bfloat16" else torch.float32
    unit = Unit(request["layer"], 5)
    taken = []
    with roomy_heap(), frozen(model.module), streamlined(model.module, dtype=dtype, compiled=compiled):
        for _ in range(request["warmup"] + request["steps"]):
            began = time.perf_counter()
            leaf = pictures.clone().requires_grad_()
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=dtype is torch.bfloat16):
                found = observe(model, leaf, [unit.layer])
            torch.autograd.grad(scores([Objective.of(unit)] * batch, found).sum(), leaf)
            taken.append(time.perf_counter() - began)
    return {"seconds": float(np.median(taken[request["warmup"] :])) / batch}


def draw(model: Model, request: dict) -> dict:
    """Draws one unit to the end and saves the picture."""
    precision, compiled = asked(request)
    how = {"steps": request["steps"], "seeds": Seed(request["seed"]), "precision": precision, "compiled": compiled}
    result = render(model, [request["unit"]], **how)
    np.save(request["file"], result.images.numpy())
    return {"status": result.status[0]}


def judge(model: Model, request: dict) -> dict:
    """Response in float32 to a saved picture."""
    return judged(model, torch.from_numpy(np.load(request["file"])).float(), Unit.parse(request["unit"]))


def judged(model: Model, picture: torch.Tensor, unit: Unit) -> dict:
    """Response in float32 to a picture (1, 3, h, w): untransformed, and averaged over 16 jitters."""
    jitter = Jitter(8 / 224)
    numbers = draw_numbers(jitter, [torch.Generator().manual_seed(0)], 16)[0]
    size = (picture.shape[2], picture.shape[3])
    moved = resample(picture.expand(16, -1, -1, -1), jitter.matrices(numbers, size))
    both = torch.cat([picture, moved])
    values = torch.cat([response(observe(model, part, [unit.layer])[unit.layer], unit) for part in both.split(4)])
    return {"plain": float(values[0]), "jittered": float(values[1:].mean())}


def main() -> None:
    torch.set_num_threads(int(os.environ["SPEED_THREADS"]))
    model = Model(load_network(Path(os.environ["SNELLEN_SHARED"])))
    for line in sys.stdin:
        request = json.loads(line)
        answer = {"time": timed, "floor": floor, "draw": draw, "judge": judge}[request["do"]](model, request)
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
