"""Speed and strength of rendering against torch-lucent, paired in one run. Writes benchmarks/results/speed.json.

    make bench-speed            # makes .venv-lucent first; needs the shared GoogLeNet (SNELLEN_SHARED)

Both sides draw GoogLeNet units at 224 px on 2 CPU threads, in two processes that take turns, so that a machine whose
speed drifts is fair to both. Time is the median seconds of a step, for one unit; the table gives the median over rounds
of the ratio within a round. `floor` is the bare forward and backward pass of the truncated network at our batch size,
with the same stand-ins for slow layers, timed in the same round.
"""

import argparse
import itertools
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from shared import SHARED, shared

HERE = Path(__file__).parent
LAYERS = ("classifier", "inception_4c", "inception_3a")
STRENGTH = (
    *(f"classifier:{k}" for k in (0, 217, 497, 566, 574)),
    *("inception_4c:42", "inception_4c:111", "inception_3a:79", "inception_3a:140"),
)


class Worker:
    """A process that answers one JSON line with one JSON line."""

    def __init__(self, python: str, script: str, threads: int) -> None:
        own = {"SNELLEN_SHARED": str(SHARED), "SPEED_THREADS": str(threads), "OMP_NUM_THREADS": str(threads)}
        environment = {**os.environ, **own}
        command = [python, str(HERE / script)]
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
        self.process = subprocess.Popen(command, text=True, env=environment, **pipes)

    def ask(self, **request: object) -> dict:
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"worker ended: {self.process.args}; run it by hand to see why")
        return json.loads(line)


def machine() -> dict:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next((line.split(":")[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    flags = next((line.split(":")[1].split() for line in lines if line.startswith("flags")), [])
    return {
        "processor": model,
        "cores": os.cpu_count(),
        "bfloat16": [f for f in flags if "bf16" in f],
        "python": platform.python_version(),
        "system": platform.system(),
    }


def speed(ours: Worker, peer: Worker, options: argparse.Namespace) -> dict:
    table = {}
    for layer in options.layers:
        rounds = []
        for _ in range(options.rounds):
            common = {"layer": layer, "warmup": 2, "steps": options.steps}
            row = {"lucent": peer.ask(do="time", **common)["seconds"]}
            for precision in options.precisions:
                asked = {**common, "precision": precision, "batch": options.batch}
                row[precision] = ours.ask(do="time", units=options.units, **asked)["seconds"]
                row[f"floor {precision}"] = ours.ask(do="floor", **asked)["seconds"]
            rounds.append(row)
        table[layer] = summary(rounds, options.precisions)
        sys.stderr.write(f"{layer}: {json.dumps({k: v for k, v in table[layer].items() if k != 'rounds'})}\n")
    return table


def summary(rounds: list[dict], precisions: list[str]) -> dict:
    def median(of: str, over: str | None = None) -> float:
        return round(statistics.median(r[of] / (r[over] if over else 1e-3) for r in rounds), 3)

    result = {"lucent_ms": median("lucent"), "rounds": rounds}
    for p in precisions:
        result[p] = {"ms": median(p), "times_faster": median("lucent", p), "over_floor": median(p, f"floor {p}")}
    return result


def strength(ours: Worker, peer: Worker, options: argparse.Namespace) -> dict:
    table = {}
    with tempfile.TemporaryDirectory() as folder:
        file = str(Path(folder) / "picture.npy")
        for unit, seed in itertools.product(STRENGTH, range(options.strength_seeds)):
            row = {}
            for name in ("lucent", *options.strength_precisions):
                worker, extra = (peer, {}) if name == "lucent" else (ours, {"precision": name})
                worker.ask(do="draw", unit=unit, seed=seed, steps=options.strength_steps, file=file, **extra)
                row[name] = ours.ask(do="judge", unit=unit, file=file)
            table.setdefault(unit, []).append(row)
            sys.stderr.write(f"{unit}, seed {seed}: {json.dumps(row)}\n")
    return {"units": table, "mean_ratio": {p: mean_ratio(table, p) for p in options.strength_precisions}}


def mean_ratio(table: dict, ours: str) -> dict:
    """Geometric means, over the units and seeds of each layer, of our responses over the peer's."""
    layers: dict[str, list[dict]] = {}
    for unit, rows in table.items():
        layers.setdefault(unit.split(":")[0], []).extend(rows)
    return {layer: ratios(rows, ours, "lucent") for layer, rows in layers.items()}


def ratios(rows: list[dict], ours: str, theirs: str) -> dict:
    """Geometric means over rows of our responses over theirs."""
    return {
        kind: round(statistics.geometric_mean(row[ours][kind] / row[theirs][kind] for row in rows), 3)
        for kind in ("plain", "jittered")
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lucent-python", default=".venv-lucent/bin/python")
    parser.add_argument("--layers", nargs="*", default=list(LAYERS), help="none: leave the timing of the file as it is")
    parser.add_argument("--precisions", nargs="*", default=["float32", "bfloat16", "bfloat16 compiled"])
    parser.add_argument("--units", type=int, default=16)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--strength-steps", type=int, default=256, help="0: leave the strength of the file as it is")
    parser.add_argument("--strength-seeds", type=int, default=3)
    parser.add_argument("--strength-precisions", nargs="*", default=["float32", "bfloat16"])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--out", type=Path, default=HERE / "results" / "speed.json")
    options = parser.parse_args()
    shared("models", "googlenet.py")
    ours, peer = (
        Worker(python, script, options.threads)
        for python, script in ((sys.executable, "speed_ours.py"), (options.lucent_python, "speed_lucent.py"))
    )
    record = json.loads(options.out.read_text()) if options.out.exists() else {}
    if options.layers:
        record |= {"threads": options.threads, "units": options.units, "batch": options.batch, "size": 224}
        record["speed"] = {"machine": machine(), **speed(ours, peer, options)}
    if options.strength_steps:
        record["strength"] = {"machine": machine(), "steps": options.strength_steps, **strength(ours, peer, options)}
    options.out.parent.mkdir(exist_ok=True, parents=True)
    options.out.write_text(json.dumps(record, indent=1) + "\n")


if __name__ == "__main__":
    main()
