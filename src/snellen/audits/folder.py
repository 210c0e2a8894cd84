"""The folder of a run: one audit each, and it says whose."""

import json
import os
import re
from pathlib import Path
from typing import Any

from snellen.audits.record import NAME
from snellen.audits.world import World
from snellen.base import OutputError, UsageError, key
from snellen.base.files import read_json, why
from snellen.base.shape import Option, ShapeError
from snellen.jobs import encode_json, sweep, write_atomic

IDENTITY = "request.json"
_IDENTITY = {"command": str, "device": str, "world": dict, "labels": Option(dict)}


def default_folder(world: World) -> Path:
    """runs/NAME-KEY: another request, network or set of images has another folder."""
    name = re.sub(r"[^\w.-]+", "-", world.model.name)[:60].strip("-")
    return Path("runs") / f"{name}-{key(identity(world))[:8]}"


def identity(world: World) -> dict[str, Any]:
    """What makes two audits the same, as plain data."""
    names = world.model.provenance.get("labels")
    asked = {"command": world.request.command(), "device": world.request.device}
    return {**asked, "world": dict(world.identity), **({"labels": names} if names else {})}


def claim(folder: Path, world: World) -> None:
    """Mark a folder as this audit's, or find that it is; what killed writers left is swept away.

    Call with the folder's lock held.

    Raises:
        UsageError: the folder holds another audit, or the record of one that cannot be continued.
        OutputError: the folder cannot be written to.
    """
    mine = json.loads(encode_json(identity(world)))
    path = folder / IDENTITY
    try:
        held = read_json(path, _IDENTITY, within=folder) if os.path.lexists(path) else None
    except (OSError, ShapeError) as error:
        reason = why(error) if isinstance(error, OSError) else str(error)
        raise OutputError(f"expected {path} to say whose run it is, got: {reason}; choose another --out") from error
    if held is not None and held != mine:
        raise UsageError(
            f"expected a folder for this audit, got {folder} with {_difference(held, mine)}; choose another --out"
        )
    if held is None and (folder / NAME).exists():
        raise UsageError(
            f"expected a folder for this audit, got {folder} with a record of unknown origin; choose another --out"
        )
    sweep(folder)
    if held is None:
        write_atomic(path, encode_json(mine))


def _difference(held: dict[str, Any], mine: dict[str, Any]) -> str:
    if held.get("command") != mine["command"]:
        return f'that of "{held.get("command")}"'
    theirs, world = held.get("world", {}), mine["world"]
    for name, told in (("model", "other weights"), ("images", "other images"), ("environment", "other versions")):
        if theirs.get(name) != world[name]:
            return f"the same audit of {told}"
    return "the same audit of other class names" if held.get("labels") != mine.get("labels") else "another audit"
