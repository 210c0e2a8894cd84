"""Pictures of single units as files, outside any audit."""

import json
import math
import re
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from snellen.base import Interrupted, Seed, Tell, UsageError, canonical, encode_json, sweep, try_folder, write_atomic
from snellen.models import Model, Unit, units
from snellen.pictures.canvas import canvas_named
from snellen.pictures.objectives import Objective, named
from snellen.pictures.render import Render, Settings, render, usual_batch
from snellen.pictures.sheet import png

POINTS = 128
"""Steps of a history that are kept."""


@dataclass(frozen=True)
class Picture:
    """One picture on disk.

    Args:
        unit: its address.
        direction: "max" or "min".
        status: "ok", "dead" or "diverged".
        response: of the unit to the untransformed picture; None where it is not finite.
        path: of the PNG; None where there is nothing to show.
    """

    unit: str
    direction: str
    status: str
    response: float | None
    path: Path | None


def visualize(
    model: Model,
    specs: Iterable[str],
    *,
    direction: Literal["max", "min"] = "max",
    canvas: str = "fourier",
    steps: int = 512,
    seed: int = 0,
    precision: str = "float32",
    compiled: bool = False,
    out: Path = Path("pictures"),
    progress: Tell | None = None,
) -> tuple[Picture, ...]:
    """Draw units and write UNIT-max.png (or -min) with UNIT-max.json beside it, batch by batch.

    Args:
        model: the network.
        specs: addresses and ranges of units, and objectives such as "deepdream(layer)".
        direction: "max" or "min".
        canvas: "fourier" or "pixel".
        steps: of the optimization.
        seed: root of all random numbers.
        precision: "float32" or "bfloat16".
        compiled: let `torch.compile` make slow layers faster; needs a C++ compiler.
        out: the folder; made if missing. Pictures of the same names are replaced.
        progress: told (title, done, all) in picture-steps.

    Raises:
        LayerError, UnitError: a unit that the model does not have.
        UsageError: settings that make no sense.
        OutputError: the folder cannot be written to.
        Interrupted: Ctrl-C; finished batches are on the disk.
    """
    if precision not in ("float32", "bfloat16"):
        raise UsageError(f'expected the precision "float32" or "bfloat16", got "{precision}"')
    chosen = [target for spec in specs for target in _targets(spec, model)]
    if not chosen:
        raise UsageError('expected at least one unit, as in "layer:3", got none')
    drawn_on = canvas_named(canvas)
    settings = Settings(steps=steps, canvas=drawn_on, precision=precision, compiled=compiled)  # type: ignore[arg-type]
    try_folder(out)
    sweep(out, {f"{_stem(unit, direction)}{suffix}" for unit in chosen for suffix in (".png", ".json")})
    width = usual_batch(model.device.type, model.size)
    written: list[Picture] = []
    for start in range(0, len(chosen), width):
        batch = chosen[start : start + width]
        tick = _Ticker(start * steps, len(chosen) * steps, progress)
        drawn = render(model, batch, settings, direction=direction, seeds=Seed(seed), batch=width, progress=tick)
        if "interrupted" in drawn.status:
            raise Interrupted(f"interrupted; {len(written)} of {len(chosen)} pictures are in {out}")
        written += [_write(drawn, i, unit, direction=direction, out=out) for i, unit in enumerate(batch)]
    return tuple(written)


class _Ticker:
    def __init__(self, done: int, total: int, progress: Tell | None) -> None:
        self._done, self._total, self._progress = done, total, progress

    def __call__(self, steps: int) -> None:
        self._done += steps
        if self._progress is not None:
            self._progress("drawing", self._done, self._total)


def _write(drawn: Render, index: int, unit: Unit | Objective, *, direction: str, out: Path) -> Picture:
    stem = _stem(unit, direction)
    status, response = drawn.status[index], finite(float(drawn.responses[index]))
    path = None if status == "dead" else out / f"{stem}.png"
    if path is not None:
        write_atomic(path, png(drawn.images[index]))
    picture = Picture(str(unit), direction, status, response, path)
    steps, history = thin(drawn.history[index].tolist())
    told: dict[str, Any] = {
        **asdict(picture),
        "path": None if path is None else path.name,
        "history": history,
        "history_steps": steps,
        "settings": json.loads(canonical(drawn.settings)),
    }
    write_atomic(out / f"{stem}.json", encode_json(told))
    return picture


def _targets(spec: str, model: Model) -> Sequence[Unit | Objective]:
    objective = named(spec)
    return units([spec], model) if objective is None else [objective]


def _stem(unit: Unit | Objective, direction: str) -> str:
    return re.sub(r"[^\w.@,-]+", "_", str(unit)).strip("_") + f"-{direction}"


def thin(history: list[float]) -> tuple[list[int], list[float | None]]:
    """At most `POINTS` steps of a history, the first and the last among them; None where it is not finite."""
    count = len(history)
    steps = sorted({round(i * (count - 1) / max(POINTS - 1, 1)) for i in range(POINTS)})
    return steps, [finite(history[step]) for step in steps]


def finite(value: float) -> float | None:
    """The number, or None where it is infinite or none."""
    return value if math.isfinite(value) else None
