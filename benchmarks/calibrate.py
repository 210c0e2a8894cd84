"""What the checks against manipulation say of honest networks: the figures that their thresholds were set by.

    python benchmarks/calibrate.py [--models builtin,resnet20,...] [--steps 96] [--runs FOLDER] [--out FILE.json]

Audits every network whose weights are at hand (`SNELLEN_SHARED` or ../shared; `builtin` always is), or takes the audit
that FOLDER already holds, and prints for each check how its figure is distributed over the units of each network, and
how many units stand out. No manipulated network is looked at.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
from shared import ROOT, SHARED

from snellen.audits import run_audit
from snellen.checks.check import Check, Threshold
from snellen.checks.group import checks_for
from snellen.studies.request import Request

CIFAR, IMAGENET = "images/cifar10.npz", "images/imagenet/imagenette_val"
NETWORKS = {
    "builtin": ("", "", None),
    "resnet20": ("models/cifar_resnet.py:resnet20", CIFAR, 32),
    "resnet56": ("models/cifar_resnet.py:resnet56", CIFAR, 32),
    "googlenet": ("models/googlenet.py:load", IMAGENET, None),
    "mobilenet_v2": ("models/mobilenet_v2.py:load", IMAGENET, None),
    "vit_tiny": ("models/vit_tiny.py:load", IMAGENET, None),
}


def request(name: str, steps: int, *, quick: bool) -> Request | None:
    """The audit of a network; None where its files are not at hand."""
    model, images, size = NETWORKS[name]
    if not model:
        return Request(steps=steps, quick=quick)
    if not (SHARED / model.split(":")[0]).is_file():
        return None
    return Request(model=str(SHARED / model), images=str(SHARED / images), size=size, steps=steps, quick=quick)


def rows(record: dict[str, Any], check: str) -> list[dict[str, Any]]:
    """What a check says of every unit that it has a figure for."""
    found = [row for f in record["findings"] if f["check"] == check for row in f["evidence"].get("units", ())]
    return [row for row in found if row["figure"] is not None]


def judged_by(check: Check) -> dict[str, Threshold]:
    """The numbers of a unit's row that decide, with the first threshold of each; those that a table can show."""
    found: dict[str, Threshold] = {}
    for threshold in check.thresholds:
        if threshold.of:
            found.setdefault(threshold.of, threshold)
    return found


def told(records: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """By check and network: how the numbers are distributed that have a threshold, and how many units stand out."""
    found: dict[str, Any] = {}
    for check in checks_for(quick=False):
        for name, record in records.items():
            known = rows(record, check.name)
            told = {of: spread([row[of] for row in known if row.get(of) is not None]) for of in judged_by(check)}
            told["strengths"] = [sum(row["strength"] == k for row in known) for k in range(3)]
            found.setdefault(check.name, {})[name] = told
    judged = {n: [u["judgement"]["verdict"] for u in r["units"] if u["judgement"]] for n, r in records.items()}
    found["verdicts"] = {n: {v: verdicts.count(v) for v in sorted(set(verdicts))} for n, verdicts in judged.items()}
    return found


def spread(values: list[float]) -> dict[str, float] | None:
    """Smallest, median, 95 % and largest of some values."""
    if not values:
        return None
    ends = {"units": len(values), "min": min(values), "median": float(np.median(values))}
    return ends | {"q95": float(np.quantile(values, 0.95)), "max": max(values)}


def printed(found: dict[str, Any]) -> str:
    """The figures as text."""
    lines = []
    for check in checks_for(quick=False):
        for of, limit in judged_by(check).items():
            side = "smallest" if limit.least else "largest"
            lines.append(f"{check.name}, {of}: {limit.what}; {limit.value:g}; the {side} counts")
        for network, parts in found[check.name].items():
            for part, ends in parts.items():
                if isinstance(ends, dict):
                    told = " ".join(f"{k} {v:.3g}" for k, v in ends.items())
                    lines.append(f"  {network:13} {part:18} {told}")
            lines.append(f"  {network:13} units that stand out: {sum(parts['strengths'][1:])}")
    lines += [f"verdicts of {network}: {counts}" for network, counts in found["verdicts"].items()]
    return "\n".join(lines) + "\n"


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--models", default=",".join(NETWORKS))
    asked.add_argument("--steps", type=int, default=96)
    asked.add_argument("--quick", action="store_true")
    asked.add_argument("--threads", type=int, default=2)
    asked.add_argument("--runs", type=Path)
    asked.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "calibration.json")
    options = asked.parse_args()
    torch.set_num_threads(options.threads)
    folder = options.runs or Path(tempfile.mkdtemp())
    records = {}
    for name in options.models.split(","):
        wanted = request(name, options.steps, quick=options.quick)
        if wanted is None:
            sys.stderr.write(f"{name}: not at hand in {SHARED}\n")
            continue
        sys.stderr.write(f"{name}\n")
        records[name] = json.loads((run_audit(wanted, out=folder / name) / "audit.json").read_bytes())
    found = told(records)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    settings = {"steps": options.steps, "quick": options.quick, "torch": torch.__version__}
    options.out.write_text(json.dumps({"settings": settings, **found}, indent=1) + "\n")
    sys.stdout.write(printed(found))


if __name__ == "__main__":
    main()
