"""The folder of a run: one audit each, and it says whose."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

from snellen.base import OutputError, UsageError, encode_json, key, sweep, write_atomic
from snellen.base.files import read_json, why
from snellen.base.shape import Option, ShapeError
from snellen.jobs import Store
from snellen.record import NAME
from snellen.studies.world import World

IDENTITY, BLOBS = "request.json", "blobs"
_IDENTITY = {"command": str, "device": str, "world": dict, "labels": Option(dict)}
_WRITTEN = (NAME, "index.html", "pages", BLOBS)
"""What an audit and its report write beside the identity."""


def default_folder(world: World) -> Path:
    """runs/NAME-KEY: another request, network or set of images has another folder."""
    name = re.sub(r"[^\w.-]+", "-", world.model.name)[:60].strip("-")
    return Path("runs") / f"{name}-{key(identity(world))[:8]}"


def identity(world: World) -> dict[str, object]:
    """What makes two audits the same, as plain data."""
    names = world.model.provenance.get("labels")
    asked = {"command": world.request.command(), "device": world.request.device}
    return {**asked, "world": dict(world.identity), **({"labels": names} if names else {})}


def claim(folder: Path, world: World) -> None:
    """Mark a folder as this audit's, or find that it is; what killed writers left in such a folder is swept away.

    Call with the folder's lock held.

    Raises:
        UsageError: the folder holds another audit, or files of somebody else that an audit would replace.
        OutputError: the folder cannot be written to.
    """
    mine = json.loads(encode_json(identity(world)))
    path = folder / IDENTITY
    held = read_identity(path, _IDENTITY)
    if held is None:
        for name in _WRITTEN:
            if (folder / name).exists() or (folder / name).is_symlink():
                raise UsageError(
                    f"expected a folder for this audit, got {folder} with a {name} of unknown origin; "
                    "choose another --out"
                )
        sweep(folder, (IDENTITY,))
        write_atomic(path, encode_json(mine))
        return
    if held != mine:
        raise UsageError(
            f"expected a folder for this audit, got {folder} with {_difference(held, mine)}; choose another --out"
        )
    sweep(folder, (IDENTITY, NAME))
    Store(folder / BLOBS).sweep()


def read_identity(path: Path, shape: object = dict) -> dict[str, object] | None:
    """What a file says about whose folder it lies in; None where there is no such file.

    Args:
        path: of the file.
        shape: what it has to hold, as `read_json` takes it.

    Raises:
        OutputError: it cannot be read, or is damaged.
    """
    if not path.exists() and not path.is_symlink():
        return None
    try:
        return dict(read_json(path, shape, within=path.parent))
    except (OSError, ShapeError) as error:
        told = why(error) if isinstance(error, OSError) else str(error)
        raise OutputError(f"expected {path} to say whose run it is, got: {told}; choose another --out") from error


def _difference(held: Mapping[str, object], mine: Mapping[str, object]) -> str:
    if held.get("command") != mine["command"]:
        return f'that of "{held.get("command")}"'
    other = other_world(held.get("world"), mine["world"])
    if other is not None:
        return f"the same audit of {other}"
    return "the same audit of other class names" if held.get("labels") != mine.get("labels") else "another audit"


def other_world(held: object, mine: object) -> str | None:
    """In which way results do not come from this network, these images and these versions; None where they do."""
    theirs, ours = (world if isinstance(world, dict) else {} for world in (held, mine))
    for name, told in (("model", "other weights"), ("images", "other images"), ("environment", "other versions")):
        if theirs.get(name) != ours.get(name):
            return told
    return None
