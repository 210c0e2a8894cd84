"""Time the Lipschitz envelope of a million images of 32 x 32 x 3 with 100 exemplars.

    python benchmarks/envelope.py [--points N] [--threads N] [--out benchmarks/results/envelope.json]

Paired in one run, on the same chunks of float32 images: the matrix products that the distances need (one product of
images and exemplars a chunk), the library's `envelope`, and a plain NumPy loop over images (on fewer, and scaled: it is
linear in their number). Images are made chunk by chunk (12 GB in all); making them is not timed.
"""

import argparse
import json
import os
import platform
import time
from pathlib import Path

import numpy as np
import torch

from snellen.theory import Box, Evidence, Lipschitz, envelope

DIM, EXEMPLARS, CHUNK, LOOPED = 3072, 100, 16384, 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--points", type=int, default=1_000_000)
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    result = measure(arguments.points)
    result["machine"] = {
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "load": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
    }
    text = json.dumps(result, indent=2)
    if arguments.out is not None:
        arguments.out.write_text(text + "\n", encoding="utf-8")
    os.write(1, (text + "\n").encode())


def setting(rng: np.random.Generator) -> tuple[Lipschitz, Evidence]:
    """Exemplars with the values of a Lipschitz function; pictures at opposite corners."""
    bound = 1.2 / np.sqrt(DIM)
    points = rng.uniform(size=(EXEMPLARS, DIM))
    evidence = Evidence(Box.unit(DIM), np.zeros(DIM), np.ones(DIM), 0.0, 1.0, points, points.mean(1))
    return Lipschitz(float(bound)), evidence


def measure(points: int) -> dict[str, object]:
    """Seconds of each, and their ratios."""
    rng = np.random.default_rng(0)
    function_class, evidence = setting(rng)
    apexes = torch.tensor(np.concatenate([[evidence.x_min, evidence.x_max], evidence.points]), dtype=torch.float32)
    across = apexes.T.contiguous()
    products = library = 0.0
    envelope(function_class, evidence, torch.zeros(16, DIM))
    worst = 0.0
    for start in range(0, points, CHUNK):
        images = torch.from_numpy(rng.random((min(CHUNK, points - start), DIM), dtype=np.float32))
        began = time.perf_counter()
        images @ across
        middle = time.perf_counter()
        bounds = envelope(function_class, evidence, images)
        library += time.perf_counter() - middle
        products += middle - began
        if start == 0:
            looped = np.inf
            for _ in range(5):  # the fastest counts: a few images are soon disturbed
                began = time.perf_counter()
                lo, up = loop(function_class.bound, evidence, images[:LOOPED].numpy())
                looped = min(looped, (time.perf_counter() - began) / LOOPED * points)
            worst = float(max(np.abs(bounds.lo[:LOOPED] - lo).max(), np.abs(bounds.up[:LOOPED] - up).max()))
    return {
        "points": points,
        "dim": DIM,
        "exemplars": EXEMPLARS,
        "matrix_products_s": round(products, 2),
        "envelope_s": round(library, 2),
        "numpy_loop_s": round(looped, 1),
        "numpy_loop_measured_on": LOOPED,
        "times_faster_than_loop": round(looped / library, 1),
        "times_the_matrix_products": round(library / products, 2),
        "largest_difference_to_loop": worst,
    }


def loop(bound: float, evidence: Evidence, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The envelope as one would first write it: one image and one exemplar at a time."""
    nodes = [(n.place, n.value) for n in evidence.nodes()]
    low, high = np.empty(len(images)), np.empty(len(images))
    for i, image in enumerate(images):
        low[i], high[i] = evidence.value_min, evidence.value_max
        for place, value in nodes:
            away = bound * np.linalg.norm(image - place)
            high[i] = min(high[i], value + away)
            low[i] = max(low[i], value - away)
    return low, high


if __name__ == "__main__":
    main()
