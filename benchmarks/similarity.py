"""How long the path similarities of many images take, against the forward passes that they need, in one run.

    python benchmarks/similarity.py [--images 500] [--pictures 10] [--memory 2.2e9] [--out FILE.json]

GoogLeNet at 224 px, every main layer, three measures, 1000 bootstrap resamples. Images are decoded before the clock
starts. The same calls for activations are then made again and their results dropped: the forward passes needed.
"""

import argparse
import json
import os
import platform
import resource
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from shared import ROOT, shared
from torch import Tensor

from snellen.base import Seed
from snellen.checks import PathSimilarity
from snellen.checks.path_similarity import measure_paths
from snellen.checks.paths.groups import by_class
from snellen.images import open_images
from snellen.models import Model, layers, main_layers, observe
from snellen.models.sources import load_model


@dataclass
class Network:
    """An activation source over decoded images that notes what it was asked for."""

    model: Model
    pixels: Tensor  # (n, 3, h, w) uint8
    sizes: dict[str, int]
    batch: int = 8
    asked: list[tuple[tuple[str, ...], tuple[int, ...]]] = field(default_factory=list)
    waited: float = 0.0

    def activations(
        self, names: Sequence[str], indices: Sequence[int]
    ) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        self.asked.append((tuple(names), tuple(indices)))
        for start in range(0, len(indices), self.batch):
            begin = time.perf_counter()
            chosen = list(indices[start : start + self.batch])
            pixels = self.pixels[chosen].float().div_(255).contiguous(memory_format=torch.channels_last)
            found = observe(self.model, pixels, names)
            self.waited += time.perf_counter() - begin
            yield chosen, found


def decoded(folder: str, count: int) -> tuple[Tensor, list[int]]:
    """Evenly chosen images as bytes, and their classes."""
    images = open_images(shared("images", "imagenet", folder))
    chosen = [i * len(images) // count for i in range(count)]
    pixels = torch.empty(count, 3, 224, 224, dtype=torch.uint8)
    for number, index in enumerate(chosen):
        pixels[number] = images.load(index, (224, 224)).mul(255).round().byte()
    return pixels, [images.labels[i] for i in chosen]


def processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--images", type=int, default=500)
    asked.add_argument("--pictures", type=int, default=10)
    asked.add_argument("--memory", type=float, default=2.2e9)
    asked.add_argument("--threads", type=int, default=2)
    asked.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "similarity.json")
    options = asked.parse_args()
    torch.set_num_threads(options.threads)

    model = load_model(f"{shared('models', 'googlenet.py')}:load")
    model.module.to(memory_format=torch.channels_last)
    names = main_layers(model)
    sizes = {layer.name: int(np.prod(layer.shape)) for layer in layers(model) if layer.name in names}
    natural, labels = decoded("imagenette_val", options.images)
    pictures, picture_labels = decoded(
        "imagenette_train", options.pictures
    )  # in place of rendered ones: the cost is the same
    source = Network(model, torch.cat((natural, pictures)), sizes)
    observe(model, source.pixels[:8].float() / 255, names)
    start_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    begin, begin_cpu = time.perf_counter(), time.process_time()
    paths = measure_paths(source, names, len(source.pixels), memory=int(options.memory))
    measured = time.perf_counter()
    finding = PathSimilarity().finding(paths, by_class(labels, picture_labels), seed=Seed(0))
    end, end_cpu = time.perf_counter(), time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

    calls, inside = source.asked[:], source.waited
    again, again_cpu = time.perf_counter(), time.process_time()
    for call in calls:
        for _ in source.activations(*call):
            pass
    forward, forward_cpu = time.perf_counter() - again, time.process_time() - again_cpu
    result = {
        "machine": {
            "processor": processor(),
            "cores": os.cpu_count(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
            "load": round(os.getloadavg()[0], 2),
        },
        "model": "googlenet, 224 px, float32",
        "images": options.images,
        "pictures": options.pictures,
        "activations_per_image": sum(sizes.values()),
        "layers": {name: sizes[name] for name in names},
        "passes": [list(call[0]) for call in calls],
        "images_passed": sum(len(call[1]) for call in calls),
        "memory_for_activations_gb": options.memory / 1e9,
        "seconds": {
            "total": round(end - begin, 2),
            "forward passes inside": round(inside, 2),
            "forward passes alone": round(forward, 2),
            "similarities": round(measured - begin - inside, 2),
            "bootstrap and finding": round(end - measured, 2),
        },
        "processor_seconds": {
            "total": round(end_cpu - begin_cpu, 2),
            "forward passes alone": round(forward_cpu, 2),
            "ratio": round((end_cpu - begin_cpu) / forward_cpu, 3),
        },
        "total_over_forward_passes_alone": round((end - begin) / forward, 3),
        "peak_memory_gb": round(peak / 1e9, 2),
        "memory_before_gb": round(start_memory / 1e9, 2),
        "claim": finding.claim,
    }
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1) + "\n")
    ratio, gigabytes = result["total_over_forward_passes_alone"], result["peak_memory_gb"]
    sys.stdout.write(f"{result['seconds']}\n{ratio} x the forward passes, {gigabytes} GB at most\n{finding.claim}\n")


if __name__ == "__main__":
    main()
