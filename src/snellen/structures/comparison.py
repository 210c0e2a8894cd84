"""The comparison: structures trained alike over seeds, what their pictures tell, and which differences are real."""

import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from snellen import __version__
from snellen.base import (
    Note,
    Tell,
    UsageError,
    encode_json,
    read_stamped,
    silence,
    stamp,
    sweep,
    write_atomic,
)
from snellen.checks.finding import number
from snellen.images import ImageSet
from snellen.jobs import locked
from snellen.measures.seeds import holm, paired_difference
from snellen.models import load_model
from snellen.pictures.sheet import sheet
from snellen.structures.dataset import Split
from snellen.structures.figures import PARTS, VIEWERS, Look, drawn, figures
from snellen.structures.group import BASELINE, STRUCTURES
from snellen.structures.structure import Structure
from snellen.structures.trainer import Trainer

TABLE, MEASURED, NETWORKS, SHEETS = "comparison.json", "figures.json", "networks", "sheets"
FORMAT = 1
_SHOWN = 8
"""Pictures in a row of a sheet."""
Named = tuple[str, Callable[[Mapping[str, Any]], float | None]]


@dataclass(frozen=True)
class Comparison:
    """What is asked for.

    Args:
        structures: names; the ordinary network is always among them.
        seeds: of each, how many.
        images: to train on and to measure with.
        size: of the images in pixels.
        steps: of every training; None for what `Trainer.course` says.
        viewer: the independent network, as `snellen.load_model` takes it.
        quick: fewer photographs, units and resamples.

    Raises:
        UsageError: no structure, or one twice, or no seed.
    """

    structures: tuple[str, ...] = field(default_factory=lambda: tuple(STRUCTURES.parts))
    seeds: int = 3
    images: Split = field(default_factory=Split)
    size: int = 32
    steps: int | None = None
    viewer: str = "builtin"
    quick: bool = False

    def __post_init__(self) -> None:
        if self.seeds < 1:
            raise UsageError(f"expected at least one seed, got {self.seeds}")
        if not self.structures or len(set(self.structures)) < len(self.structures):
            raise UsageError(f"expected different structures, got {', '.join(self.structures) or 'none'}")

    @property
    def names(self) -> tuple[str, ...]:
        """The baseline first, then the others as asked for."""
        return (BASELINE, *(name for name in self.structures if name != BASELINE))


def run_comparison(
    comparison: Comparison,
    out: Path,
    *,
    tell: Tell = silence,
    wrote: Callable[[], object] = silence,
    note: Note = silence,
) -> Path:
    """Train and measure every network and return the table, OUT/comparison.json, which is written anew after each.

    What OUT holds is not made again: a begun training goes on, a trained network is measured, figures are read.

    Args:
        comparison: what is asked for.
        out: the folder; networks go to OUT/networks/NAME-SEED.
        tell: told (title, networks done, all networks).
        wrote: called whenever the table was written.
        note: told what was damaged and is made again.

    Raises:
        UsageError: OUT holds a network of this name that was trained otherwise, or somebody else's files.
        SnellenError: whatever loading and measuring raise.
    """
    made = {name: STRUCTURES.load(name)() for name in comparison.names}
    if comparison.viewer:
        load_model(comparison.viewer)  # before hours of training
    if not (out / TABLE).exists() and not (out / NETWORKS).exists() and (out / "index.html").exists():
        raise UsageError(f"expected a folder for a comparison, got {out} with another index.html; choose another --out")
    with locked(out):
        sweep(out, (TABLE, "index.html"))
        return _run(comparison, made, out, (tell, wrote, note))


def _run(
    comparison: Comparison, made: Mapping[str, Structure], out: Path, told: tuple[Tell, Callable[[], object], Note]
) -> Path:
    tell, wrote, note = told
    training, held = comparison.images.open(tell=tell)
    trainer = Trainer(training, comparison.size, comparison.steps)
    cells = [(name, seed) for seed in range(comparison.seeds) for name in made]
    look = Look(
        comparison.viewer,
        channels=8 if comparison.quick else 32,
        quick=comparison.quick,
        classes=1 if comparison.quick else 3,
    )
    found: list[dict[str, Any]] = []
    path = out / TABLE
    for place, (name, seed) in enumerate(cells):
        part = _part(tell, place, len(cells))
        folder = trainer.trained(made[name], seed, out / NETWORKS / f"{name}-{seed}", tell=part)
        measured = _measured(folder, made[name], (held, replace(look, seed=seed)), tell=part, note=note)
        found.append({"structure": name, "seed": seed, **measured})
        if seed == 0:
            _draw_sheet(folder, measured["pictures"], out / SHEETS / f"{name}.png", comparison.size)
        path = _write(out, comparison, made, found)
        wrote()
    return path


def _measured(
    folder: Path, structure: Structure, asked: tuple[ImageSet, Look], *, tell: Tell, note: Note
) -> dict[str, Any]:
    """A network's figures, measured once; those that are damaged are measured again."""
    images, look = asked
    path = folder / MEASURED
    mine = json.loads(encode_json({"look": asdict(look), "images": images.digest(), "version": FORMAT}))
    if path.exists():
        known = read_stamped(path)
        if known is None:
            note(f"{path}: damaged, and measured again")
        elif known["asked"] == mine:
            return dict(known["figures"])
    measured = figures(folder, structure, images, look, tell=tell)
    write_atomic(path, stamp({"asked": mine, "figures": measured}))
    return dict(json.loads(encode_json(measured)))


def _draw_sheet(folder: Path, names: Mapping[str, Sequence[str | None]], path: Path, size: int) -> None:
    """A row of pictures for the classes and for each compared layer."""
    rows = []
    for part in PARTS:
        shown = [name for name in names.get(part, ()) if name is not None][:_SHOWN]
        if shown:
            pictures = drawn(folder, shown, size)
            blank = torch.ones(_SHOWN - len(shown), *pictures.shape[1:])
            rows.append(torch.cat([pictures, blank]))
    if rows:
        file = io.BytesIO()
        sheet(torch.cat(rows), _SHOWN).save(file, "PNG", optimize=True)
        write_atomic(path, file.getvalue())


def _write(
    out: Path, comparison: Comparison, made: Mapping[str, Structure], found: Sequence[Mapping[str, Any]]
) -> Path:
    settings = {
        "seeds": comparison.seeds,
        "size": comparison.size,
        "steps": comparison.steps,
        "quick": comparison.quick,
        "viewer": comparison.viewer,
        "images": comparison.images.training,
        "held": comparison.images.held or "",
    }
    shown = [{key: value for key, value in one.items() if key != "pictures"} for one in found]
    table = {
        "format": FORMAT,
        "settings": settings,
        "versions": {"snellen": __version__, "torch": str(torch.__version__)},
        "structures": [
            {"name": name, "title": one.title, "known": one.known, "lies": one.lies} for name, one in made.items()
        ],
        "networks": shown,
        "differences": differences(shown),
    }
    write_atomic(out / TABLE, encode_json(table))
    return out / TABLE


def measures() -> tuple[Named, ...]:
    """What is compared, by name; of a viewer what own pictures tell beyond those of other units of the layer."""

    def scored(part: str, viewer: str) -> Callable[[Mapping[str, Any]], float | None]:
        def read(one: Mapping[str, Any]) -> float | None:
            scores = one["decoding"].get(part, {}).get(viewer)
            if scores is None or scores["pictures"] is None:
                return None
            return float(scores["pictures"] - (scores.get("others") or 0.0))

        return read

    named: list[Named] = [("accuracy", lambda one: one["accuracy"])]
    named += [(f"{part}, {viewer}", scored(part, viewer)) for part in PARTS for viewer in VIEWERS]
    named += [("paths", lambda one: one["paths"])]
    named += [("rebuilt", lambda one: None if one["rebuilt"] is None else one["rebuilt"]["pictures"])]
    return tuple(named)


def differences(networks: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Every structure against the baseline in every measure: paired over seeds, corrected for all comparisons.

    Args:
        networks: with "structure", "seed" and figures.
    """
    found: list[dict[str, Any]] = []
    base = {one["seed"]: one for one in networks if one["structure"] == BASELINE}
    for name in dict.fromkeys(one["structure"] for one in networks if one["structure"] != BASELINE):
        pairs = [(one, base[one["seed"]]) for one in networks if one["structure"] == name and one["seed"] in base]
        for measure, read in measures():
            values = [(read(ours), read(theirs)) for ours, theirs in pairs]
            known = [(a, b) for a, b in values if a is not None and b is not None]
            if known:
                told = paired_difference([a for a, _ in known], [b for _, b in known])
                found.append({"structure": name, "measure": measure, "seeds": len(known), **asdict(told)})
    corrected = holm([one["p"] for one in found])
    return [
        {
            **one,
            **{key: number(one[key], 4) for key in ("mean", "lo", "hi")},
            "p": float(f"{one['p']:.3g}"),
            "corrected": float(f"{p:.3g}"),
        }
        for one, p in zip(found, corrected, strict=True)
    ]


def _part(tell: Tell, place: int, cells: int) -> Tell:
    """Of a network that counts from 0 to its own total, for whoever counts networks."""

    def told(title: str, done: int | float, total: int | float) -> None:
        tell(title, place + min(done / max(total, 1), 1.0) * 0.99, cells)

    return told
