"""Synthetic records that look like real ones: seeded numbers, pictures made from scikit-image's photographs."""

import hashlib
import io
import json
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import skimage
from PIL import Image, ImageOps

PHOTOGRAPHS = {
    "astronaut": "astronaut.png",
    "brick": "brick.png",
    "cat": "chelsea.png",
    "coffee": "coffee.png",
    "coins": "coins.png",
    "grass": "grass.png",
    "gravel": "gravel.png",
    "deep field": "hubble_deep_field.jpg",
    "tissue": "ihc.png",
    "moon": "moon.png",
    "retina": "retina.jpg",
    "rocket": "rocket.jpg",
}
LAYERS = ("conv1", "conv2", "inception_3a", "inception_3b", "inception_4a", "inception_4b", "inception_4c")
LAYERS += ("inception_4d", "inception_4e", "inception_5a", "inception_5b", "classifier")
PATHS = {"paths": {"last": 1.1, "honest": [0.42, 1.13]}}
CURVE = (-0.3, -1.1, -0.8, -0.8, -0.2, 0.1, 0.3, 0.3, 0.4, 0.9, 1.2, 1.1)


@dataclass(frozen=True)
class Plan:
    """What kind of record to make up."""

    classes: int = 10
    units: int = 2
    unit_layers: int = 2
    exemplars: int = 9
    seed: int = 0
    labels: bool = True
    minimum: bool = True
    flat: bool = False
    side: int = 224
    examined: int | None = None  # class units found to be manipulated; None: as if no check had looked for them


@lru_cache
def photograph(name: str) -> Image.Image:
    folder = Path(skimage.__file__).parent / "data"
    with Image.open(folder / PHOTOGRAPHS[name]) as image:
        return ImageOps.contain(image.convert("RGB"), (420, 420))


def crop(name: str, rng: np.random.Generator, side: int) -> Image.Image:
    image = photograph(name)
    take = int(rng.uniform(0.45, 0.9) * min(image.size))
    x, y = (int(rng.integers(0, extent - take + 1)) for extent in image.size)
    return image.crop((x, y, x + take, y + take)).resize((side, side), Image.Resampling.LANCZOS)


def picture(name: str, rng: np.random.Generator, side: int) -> Image.Image:
    """Rotated, repeated and saturated pieces of a photograph: what an optimized picture looks like from afar."""
    total = np.zeros((side, side, 3))
    for _ in range(6):
        piece = crop(name, rng, side).rotate(float(rng.uniform(-180, 180)), Image.Resampling.BICUBIC)
        total += np.asarray(piece, dtype=float) - np.asarray(piece, dtype=float).mean()
    total += rng.normal(0, 12, total.shape)
    shown = 1 / (1 + np.exp(-2.4 * total / (total.std() + 1e-9)))
    return Image.fromarray((255 * shown).astype(np.uint8))


class Blobs:
    """Writes blobs and answers with their path in the record."""

    def __init__(self, run: Path) -> None:
        self.run = run

    def __call__(self, image: Image.Image, kind: str) -> str:
        buffer = io.BytesIO()
        image.save(buffer, {"png": "PNG", "jpg": "JPEG"}[kind], quality=85)
        name = hashlib.sha256(buffer.getvalue()).hexdigest()[:32]
        path = f"blobs/{name[:2]}/{name}.{kind}"
        (self.run / path).parent.mkdir(parents=True, exist_ok=True)
        (self.run / path).write_bytes(buffer.getvalue())
        return path


def make_run(run: Path, plan: Plan | None = None, **changes: Any) -> Path:
    """Write RUN/audit.json and its blobs; `changes` replaces top-level fields of the record."""
    run.mkdir(parents=True, exist_ok=True)
    record = make_record(Blobs(run), plan or Plan()) | changes
    (run / "audit.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    return run


def make_record(blobs: Blobs, plan: Plan) -> dict[str, Any]:
    """A record of the plan's kind."""
    record = unexamined(blobs, plan)
    return record if plan.examined is None else examined(record, plan.examined)


def unexamined(blobs: Blobs, plan: Plan) -> dict[str, Any]:
    rng = np.random.default_rng(plan.seed)
    names = list(PHOTOGRAPHS)
    classes = [
        {"name": f"{k:04d}_{names[k % 12]}".replace(" ", "_"), "unit": k, "count": 500 // plan.classes}
        | {"label": names[k % 12] if plan.labels else None}
        for k in range(plan.classes)
    ]
    units = [unit(blobs, plan, rng, ("classifier", k)) for k in range(plan.classes)]
    for layer in LAYERS[4 : 4 + plan.unit_layers]:
        units += [unit(blobs, plan, rng, (layer, 17 * k + 3)) for k in range(plan.units)]
    depths = {name: 2**i for i, name in enumerate(LAYERS)}
    return {
        "schema": "snellen.audit/2",
        "created": "2026-07-27T09:30:12+00:00",
        "status": "complete",
        "command": "snellen audit models/googlenet.py:load --images images/imagenette_val",
        "model": {
            "spec": "models/googlenet.py:load",
            "name": "googlenet",
            "kind": "GoogLeNet",
            "size": [224, 224],
            "parameters": 6998552,
            "fingerprint": hashlib.sha256(b"googlenet").hexdigest(),
            "provenance": {"weights": "googlenet.safetensors", "source": "BVLC"},
            "preprocess": {"scale": 255.0, "mean": [104.0, 117.0, 123.0], "std": [1, 1, 1], "channels": "bgr"},
        },
        "images": {
            "spec": "images/imagenette_val",
            "name": "imagenette_val",
            "count": 500,
            "classes": [] if plan.flat else classes,
            "labels_from": "folder number",
            "digest": hashlib.sha256(b"images").hexdigest(),
            "skipped": [
                {"name": "0003_coffee/broken.jpg", "reason": "truncated: 2048 of 40,122 bytes"},
                {"name": "0005_grass/film.gif", "reason": "animated, 24 frames"},
            ],
        },
        "settings": {
            "seed": 0,
            "steps": 256,
            "canvas": {"type": "Fourier", "decay": 1.0, "sd": 0.01},
            "precision": "float32",
        },
        "environment": {
            "snellen": "0.1.0",
            "torch": "2.13.0",
            "python": "3.11.7",
            "platform": "Linux-x86_64",
            "device": "cpu",
            "threads": 2,
        },
        "layers": [
            {"name": n, "kind": "Conv2d", "shape": [min(64 * d, 1024), 112 >> min(i // 2, 4), 112 >> min(i // 2, 4)]}
            | {"units": min(64 * d, 1024)}
            for i, (n, d) in enumerate(depths.items())
        ],
        "units": units,
        "findings": [finding("classes", rng)]
        + [
            finding(f"{layer} units", rng, layers=4 + k + 1) for k, layer in enumerate(LAYERS[4 : 4 + plan.unit_layers])
        ],
    }


def unit(blobs: Blobs, plan: Plan, rng: np.random.Generator, address: tuple[str, int]) -> dict[str, Any]:
    layer, channel = address
    name = list(PHOTOGRAPHS)[channel % 12]
    role = "class" if layer == "classifier" else "unit"
    status = "ok" if role == "class" else ("dead", "ok", "diverged", "interrupted")[channel % 4]
    values = np.sort(rng.gamma(2.0, 1.6, 500) - (1.0 if role == "class" else 0.0))
    values[-20:] += np.linspace(2, 6, 20)
    reach = float(values[-1]) * rng.choice([1.3, 2.2, 6.0, 14.0])
    pictures = [drawn(blobs, rng, (name, "max", status, reach), plan.side)]
    if plan.minimum:
        other = list(PHOTOGRAPHS)[(channel + 5) % 12]
        low = -9.0 * float(rng.uniform(0.3, 2)) if role == "class" else 0.0
        pictures.append(drawn(blobs, rng, (other, "min", "ok", low), plan.side))
    shown = {
        "top": [shown_photograph(blobs, rng, (name, v), plan.side // 2) for v in values[::-1][: plan.exemplars]],
        "bottom": [
            shown_photograph(blobs, rng, (list(PHOTOGRAPHS)[int(rng.integers(12))], v), plan.side // 2)
            for v in values[: plan.exemplars]
        ],
    }
    return {
        "unit": f"{layer}:{channel}",
        "layer": layer,
        "channel": channel,
        "label": name if role == "class" and plan.labels else None,
        "role": role,
        "pictures": pictures,
        "exemplars": shown,
        "natural": {
            "quantiles": [float(q) for q in np.quantile(values, np.linspace(0, 1, 101))],
            "mean": float(values.mean()),
            "std": float(values.std()),
            "count": 500,
            "own_class_mean": float(values[-30:].mean()) if role == "class" and not plan.flat else None,
        },
    }


def drawn(blobs: Blobs, rng: np.random.Generator, what: tuple[str, str, str, float], side: int) -> dict[str, Any]:
    name, direction, status, response = what
    kept = status in ("ok", "interrupted")
    steps = [int(s) for s in np.unique(np.linspace(0, 255, 128).astype(int))]
    history = [float(response * (1 - np.exp(-s / 50)) + rng.normal(0, abs(response) / 40)) for s in steps]
    return {
        "direction": direction,
        "image": blobs(picture(name, rng, side), "png") if kept else None,
        "status": status,
        "response": response if kept else 0.0,
        "history": history if kept else [0.0] * len(steps),
        "history_steps": steps,
        "seed": 0,
        "note": "" if status == "ok" else "256 steps",
    }


def shown_photograph(blobs: Blobs, rng: np.random.Generator, what: tuple[str, float], side: int) -> dict[str, Any]:
    name, response = what
    image = blobs(crop(name, rng, side), "jpg")
    folder = f"{list(PHOTOGRAPHS).index(name):04d}_{name}".replace(" ", "_")
    return {"image": image, "id": f"{folder}/ILSVRC_{int(response * 1000)}.jpg", "class": folder} | {
        "response": float(response)
    }


def finding(group: str, rng: np.random.Generator, *, layers: int = len(LAYERS)) -> dict[str, Any]:
    s = np.array(CURVE[-layers:]) if layers < len(LAYERS) else np.array(CURVE)
    trusted = next((LAYERS[i] for i in range(layers) if (s[i:] >= 0.7).all()), None)
    trusted = trusted if layers == len(LAYERS) else None

    def band(curve: np.ndarray, width: float) -> dict[str, list[float]]:
        spread = width * (1 + np.abs(curve)) * rng.uniform(0.8, 1.2, layers)
        return {"s": curve.tolist(), "lo": (curve - spread).tolist(), "hi": (curve + spread).tolist()}

    curves = {"spearman": band(s, 0.09), "pearson": band(s * 0.9 + 0.05, 0.1), "cosine": band(s * 0.8 + 0.12, 0.1)}
    other = np.linspace(0.62, 0.22, layers)
    same = other + np.linspace(0.05, 0.4, layers)
    raw = {m: {"picture": (other + np.array(c["s"]) * (same - other)).tolist()} for m, c in curves.items()}
    for values in raw.values():
        values |= {"same": same.tolist(), "other": other.tolist()}
    noise = band(np.ones(layers), 0.06)
    claim = (
        f"From {trusted} on (the last 3 of 12 layers) the class pictures are processed like natural images of their "
        "class (similarity 1.07 [0.91, 1.23] there); before that they are not (-0.23 on average)."
        if trusted
        else "At no layer are the pictures processed like photographs that excite the same unit (at most 0.41)."
    )
    return {
        "check": "path-similarity",
        "title": "Are pictures processed like photographs?",
        "claim": claim,
        "verdict": "unreliable here",
        "figure": 0.9,
        "interval": [0.74, 1.05],
        "evidence": {
            "group": group,
            "layers": list(LAYERS[:layers]),
            "curves": curves,
            "raw": raw,
            "ceiling": {"spearman": {"mean": noise["s"], "lo": noise["lo"], "hi": noise["hi"]}},
            "images": 500,
            "classes": 10,
            "resamples": 1000,
            "trusted_from": trusted,
            "threshold": 0.7,
        },
    }


def examined(record: dict[str, Any], manipulated: int) -> dict[str, Any]:
    """The record with the findings of the checks against manipulation and a verdict for every unit with a picture."""
    names = [u["unit"] for u in record["units"] if u["pictures"][0]["status"] == "ok"]
    bad = set(names[:manipulated])
    for u in record["units"]:
        verdict = "suspicious" if u["unit"] in bad else "unreliable here"
        told = [
            {"check": "jumps", "words": f"The response of {u['unit']} {'jumps' if u['unit'] in bad else 'is smooth'}."}
        ]
        u["judgement"] = {"verdict": verdict, "evidence": told} if u["unit"] in names else None
    gates = [
        {"gate": "branch/relu", "channels": 8, "silent": 8, "switches": 0, "listed": list(range(8))}
        | {"rests_at": 0.0, "reaches": 41.5},
        {"gate": "gate/gt", "channels": 1, "silent": 1, "switches": 1, "listed": [0], "rests_at": 0.0, "reaches": 1.0},
    ]
    record["findings"] += [
        check(
            "jumps",
            (names, bad),
            details={"coarse": [1.0, 1.5, 2.0, 9.0, 9.5], "place": 0.61, "steep": 0.7, "walks": 3, "jumping": 3},
        ),
        check("silent-scan", (names, bad), evidence={"gates": gates if bad else [], "images": 500, "pictures": 12}),
        *(check(name, (names, set())) for name in ("agreement", "procedure", "response-gap")),
        check(
            "judgement", (names, bad), evidence={"counts": {}, "reasons": ["Responses jump."] if bad else [], **PATHS}
        ),
    ]
    return record


def check(
    name: str,
    units: tuple[list[str], set[str]],
    *,
    details: dict[str, Any] | None = None,
    evidence: dict[str, Any] | None = None,
) -> dict[str, Any]:
    known, bad = units
    rows = [
        {"unit": u, "words": f"{name} of {u}.", "figure": 0.8 if u in bad else 0.001, "interval": [0.0, 0.9]}
        | {"strength": 2 if u in bad else 0, **(details or {})}
        for u in known
    ]
    return {
        "check": name,
        "title": f"What does {name} say?",
        "asks": f"Whether {name} can tell manipulated networks from honest ones.",
        "claim": f"{name}: {len(bad)} of {len(known)} units stand out.",
        "verdict": "suspicious" if bad else "consistent",
        "figure": 0.8,
        "interval": None,
        "evidence": {"units": rows, **(evidence or {})},
    }


if __name__ == "__main__":
    make_run(Path(sys.argv[1]))
