"""Fooling circuits around all logits of GoogLeNet, both decoys, measured on images that the detector never saw.

    python benchmarks/deceive.py [--units 100] [--steps 64] [--drawn 40] [--precision bfloat16] [--out FILE.json]

The detectors (a read-out, the paper's network) learn from pictures that this program draws once and from
imagenette_train; predictions are compared on imagenette_val and one_per_class. Chains of units u, u + 100, ... are
drawn: decoys are originals of other units.
"""

import argparse
import itertools
import json
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch
from shared import ROOT, shared

from snellen.attacks import Conditions, FoolingAttack
from snellen.attacks.behaviour import compare
from snellen.attacks.corpus import Plan
from snellen.attacks.gallery import Gallery, exhibit
from snellen.base import Seed
from snellen.images import open_images
from snellen.models import load_model
from snellen.pictures import Settings
from snellen.pictures.sheet import png


def say(line: str) -> None:
    sys.stderr.write(line + "\n")


def pictures(gallery: Gallery, folder: Path | None, name: str) -> None:
    """Rows of original, decoy and after, as one PNG, for a look."""
    if folder is None or not gallery.entries:
        return
    folder.mkdir(parents=True, exist_ok=True)
    rows = torch.stack([torch.stack([e.original, e.decoy, e.after]) for e in gallery.entries[:10]])
    (folder / f"{name}.png").write_bytes(png(rows.permute(2, 1, 3, 0, 4).flatten(1, 2).flatten(2, 3)))


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--model", help="by default the shared GoogLeNet")
    asked.add_argument("--units", type=int, default=100)
    asked.add_argument("--steps", type=int, default=64)
    asked.add_argument("--drawn", type=int, default=40)
    asked.add_argument("--precision", default="bfloat16")
    asked.add_argument("--detectors", default="readout,cnn")
    asked.add_argument("--drawn-for", default="readout", help="detectors whose circuits' pictures are drawn")
    asked.add_argument("--threads", type=int, default=2)
    asked.add_argument("--look", type=Path)
    asked.add_argument("--decoys", default="permute,picture")
    asked.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "deceive.json")
    options = asked.parse_args()
    torch.set_num_threads(options.threads)
    model = load_model(options.model or f"{shared('models', 'googlenet.py')}:load")
    train = open_images(shared("images", "imagenet", "imagenette_train"))
    sets = {name: open_images(shared("images", "imagenet", name)) for name in ("imagenette_val", "one_per_class")}
    target = sets["one_per_class"].load(7, model.size)
    settings = Settings(steps=options.steps, precision=options.precision)
    plan = Plan(units=options.drawn, steps=64, copies=1, precision=options.precision)
    began, conditions = time.perf_counter(), Conditions(Seed(0))
    lessons = FoolingAttack(plan=plan).lessons(model, train, conditions)
    say(f"{len(lessons.drawn.groups)} pictures to learn from after {time.perf_counter() - began:.0f} s")
    found: dict[str, dict[str, object]] = {}
    for detector, decoy in itertools.product(options.detectors.split(","), options.decoys.split(",")):
        began = time.perf_counter()
        attack = FoolingAttack(picture=target if decoy == "picture" else None, detector=detector, plan=plan)
        made = attack.run(model, train, conditions, lessons)
        say(f"{detector}, {decoy}: circuit after {time.perf_counter() - began:.0f} s: {made.facts['detector']}")
        behaviour = {name: asdict(seen) for name, seen in compare(made, sets).items()}
        say(str({n: (b["top1"], b["top5"], b["changed"], b["touched"]) for n, b in behaviour.items()}))
        told = {"facts": dict(made.facts), "behaviour": behaviour, "seconds": time.perf_counter() - began}
        found.setdefault(detector, {})[decoy] = told
        write(options, found)
        if detector not in options.drawn_for.split(","):
            continue
        gallery = exhibit(made, units=options.units, settings=settings, seed=Seed(1), tell=lambda *_: None)
        say(f"{detector}, {decoy}: {gallery.fooled_share:.3f} of {len(gallery.entries)} nearer to the decoy by both")
        pictures(gallery, options.look, f"{detector}-{decoy}")
        told |= {"gallery": gallery.as_data(), "seconds": time.perf_counter() - began}
        write(options, found)


def write(options: argparse.Namespace, found: dict[str, dict[str, object]]) -> None:
    asked = {k: str(v) for k, v in vars(options).items() if k not in ("out", "look")}
    asked["model"] = Path(options.model.rpartition(":")[0]).name
    machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
    options.out.write_text(json.dumps({"asked": asked, "machine": machine, "circuits": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
