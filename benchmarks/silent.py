"""Silent units beside one layer of three real networks: behaviour on images, seen and held out, and where pictures go.

    python benchmarks/silent.py [--units 48] [--steps 64] [--networks googlenet,mobilenet_v2,resnet56] [--out FILE.json]

GoogLeNet's 3x3 convolution in inception_4c; of the others the convolution three quarters of the way in. Calibrated on
imagenette_train or on training images of CIFAR-10; held out are imagenette_val or test images. In every network each
unit shows another unit's picture, and as many units as asked for, spread over the layer, are drawn before and after.
"""

import argparse
import json
import platform
import sys
import time
from dataclasses import asdict
from pathlib import Path

import torch
from shared import ROOT, shared

from snellen.attacks import Conditions, SilentAttack
from snellen.attacks.behaviour import compare
from snellen.attacks.gallery import exhibit
from snellen.base import Seed
from snellen.images import ImageSet, open_images
from snellen.models import load_model
from snellen.pictures import Settings

NETWORKS = {
    "googlenet": (("googlenet.py", "load"), "inception_4c.conv3x3"),
    "mobilenet_v2": (("mobilenet_v2.py", "load"), None),
    "resnet56": (("cifar_resnet.py", "resnet56"), None),
}


def natural(name: str) -> tuple[ImageSet, ImageSet]:
    """Images to calibrate on, and others."""
    if name != "resnet56":
        return tuple(open_images(shared("images", "imagenet", part)) for part in ("imagenette_train", "imagenette_val"))
    sets = [open_images(f"{shared('images', 'cifar10.npz')}:{part}") for part in ("train", "test")]
    return tuple(found.subset([i * len(found) // 2000 for i in range(2000)]) for found in sets)


def measured(name: str, options: argparse.Namespace) -> dict[str, object]:
    began = time.perf_counter()
    (file, factory), layer = NETWORKS[name]
    model = load_model(f"{shared('models', file)}:{factory}")
    seen, held_out = natural(name)
    attack = SilentAttack(layer=layer)
    made = attack.run(model, seen, Conditions(Seed(0)))
    sets = {"seen": seen, "held out": held_out}
    behaviour = {part: asdict(said) for part, said in compare(made, sets).items()}
    precision = "float32" if max(model.size) <= 96 else options.precision
    settings = Settings(steps=options.steps, precision=precision)
    gallery = exhibit(made, units=options.units, settings=settings, seed=Seed(1), tell=lambda *_: None)
    return {
        "layer": made.layer,
        "facts": {**made.facts, **attack.inspect(made, held_out)},
        "behaviour": behaviour,
        "gallery": gallery.as_data(),
        "seconds": time.perf_counter() - began,
    }


def main() -> None:
    asked = argparse.ArgumentParser()
    asked.add_argument("--units", type=int, default=48)
    asked.add_argument("--steps", type=int, default=64)
    asked.add_argument("--precision", default="bfloat16")
    asked.add_argument("--networks", default=",".join(NETWORKS))
    asked.add_argument("--threads", type=int, default=2)
    asked.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "silent.json")
    options = asked.parse_args()
    torch.set_num_threads(options.threads)
    found = json.loads(options.out.read_text())["networks"] if options.out.exists() else {}
    for name in options.networks.split(","):
        told = measured(name, options)
        found[name] = told
        seen, held = told["behaviour"]["seen"], told["behaviour"]["held out"]
        sys.stderr.write(
            f"{name} {told['layer']}: {seen['differing']} of {seen['count']} seen images differ, "
            f"{held['changed']} of {held['count']} held-out ones change class, "
            f"{told['gallery']['fooled_share']:.3f} of the pictures nearer to the decoy by both\n"
        )
        machine = {"processor": platform.processor() or platform.machine(), "torch": torch.__version__}
        options.out.write_text(json.dumps({"machine": machine, "networks": found}, indent=1) + "\n")


if __name__ == "__main__":
    main()
