"""Manipulated models in a folder: all weights as safetensors, and a description of how to put them together.

Nothing in such a folder is run. What it is built from may be a network of this package or of a library, but no Python
file and no pickle that the folder names: those count only where whoever loads the folder names them, too.
"""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from snellen.base import MOST_SIDE, LayerError, ModelError, SnellenError, UsageError, WeightsError, brief, write_atomic
from snellen.base.files import home, open_regular, read_json, why
from snellen.base.shape import Each, Exactly, Number, OneOf, Option, ShapeError, Text, Whole
from snellen.models.manipulations import KINDS, Manipulation, Saved
from snellen.models.model import Model, Preprocess
from snellen.models.sources.found import Found
from snellen.models.sources.source import SOURCES
from snellen.models.sources.weights import is_pickle_name, read_weights

DESCRIPTION = "snellen.json"
WEIGHTS = "weights.safetensors"
FORMAT = 1
_FOLDERS = ("transformers", "structure")  # sources whose names are places

_DIGEST = Text(64, "[0-9a-f]{64}", "SHA-256 in hexadecimal digits")
_CHANNEL = Number(-1e6, 1e6)
_SAVED = Exactly(
    {
        "format": Whole(FORMAT, FORMAT),
        "base": Exactly({"spec": Text(4096), "name": Text(200), "fingerprint": _DIGEST}),
        "layer": Text(),
        **{kind: Option(manipulation.shape) for kind, manipulation in KINDS.items()},
        "size": Each(Whole(1, MOST_SIDE), 2),
        "preprocess": Exactly(
            {
                "scale": _CHANNEL,
                "mean": Each(_CHANNEL, least=1, most=4),
                "std": Each(Number(0.0, 1e6, above=0.0), least=1, most=4),
                "channels": OneOf(("rgb", "bgr", "grey")),
            }
        ),
        "labels": Each(Text(), most=2**20),
        "fingerprint": _DIGEST,
        "weights": Exactly({"file": OneOf((WEIGHTS,)), "sha256": _DIGEST}),
        "made": dict,
    }
)


def is_saved(spec: str) -> bool:
    """Whether a word names a folder that `save_manipulated` wrote."""
    folder = home(spec)
    try:
        return (folder / DESCRIPTION).exists()
    except (OSError, ValueError):  # no name that a folder could have
        return False


def save_manipulated(model: Model, manipulation: Manipulation, folder: Path, *, made: Mapping[str, Any]) -> None:
    """Write a manipulated model so that `load_model(folder)` brings it back, weights of the honest part and all.

    Args:
        model: the honest one, as `load_model` made it.
        manipulation: not installed.
        folder: made if missing.
        made: plain data on how: method, settings, versions.

    Raises:
        UsageError: the model did not come from `load_model`, or is a saved one, so nobody could build it again.
        OutputError: the folder cannot be written to.
    """
    from safetensors.torch import save

    base = {"spec": lasting(model), "name": model.name, "fingerprint": model.fingerprint()}
    state = {name: t.detach().cpu().contiguous().clone() for name, t in manipulation.state(model.module).items()}
    with manipulation.installed(model.module):
        fingerprint = model.fingerprint()
    weights = save(state)
    described = {
        "format": FORMAT,
        "base": base,
        **manipulation.description(),
        "size": list(model.size),
        "preprocess": asdict(model.preprocess),
        "labels": list(model.labels),
        "fingerprint": fingerprint,
        "weights": {"file": WEIGHTS, "sha256": hashlib.sha256(weights).hexdigest()},
        "made": dict(made),
    }
    write_atomic(folder / DESCRIPTION, json.dumps({"format": FORMAT, "unfinished": True}).encode())  # says whose it is
    write_atomic(folder / WEIGHTS, weights)
    write_atomic(folder / DESCRIPTION, json.dumps(described, indent=2).encode())


def lasting(model: Model) -> str:
    """The spec by which a model's network can be built again, from any folder.

    Raises:
        UsageError: there is none: the model did not come from `load_model`, or is a manipulated one itself.
    """
    spec = model.provenance.get("spec")
    if not isinstance(spec, str):
        raise UsageError("expected a model from snellen.load_model to save, got one of unknown origin; load it by name")
    if model.provenance.get("source") == "saved":
        raise UsageError(f'expected an honest network to manipulate, got the manipulated one in "{spec}"; give another')
    word, _, place = spec.partition(":")
    if word in _FOLDERS:
        return f"{word}:{home(place).resolve()}"
    path, colon, factory = spec.rpartition(":")
    return f"{home(path).resolve()}:{factory}" if colon and path.endswith(".py") else spec


def from_saved(folder: Path, find: Callable[[str], Found], *, base: str | None = None) -> Found:
    """Build the honest network, fill it with the saved weights, put the manipulation in.

    Args:
        folder: with a description.
        find: makes the honest network from its spec.
        base: the honest network's spec in the words of whoever loads the folder; None for the folder's own, which then
            may name no code.

    Raises:
        ModelError: the description is damaged, hostile or of another version, or the honest network cannot be built.
        WeightsError: the weights are damaged or do not fit.
    """
    described = _read(folder)
    state = _weights(folder, described)
    spec = base or described["base"]["spec"]
    if base is None:
        _check_base(spec, folder)
    try:
        found = find(spec)
    except SnellenError as error:
        raise ModelError(
            f'expected the honest network "{spec}" of {folder}, which it is built from, got: {error}'
        ) from error
    kind = next(known for name, known in KINDS.items() if name in described)
    try:
        manipulation = kind.restored(described, found.module.eval(), Saved(state, folder / WEIGHTS))
    except (AttributeError, LayerError, RuntimeError) as error:
        raise ModelError(f'expected "{spec}" with the layer that {folder} manipulates, got another network') from error
    preprocess = _preprocess(described["preprocess"], folder)
    honest = Model(found.module, preprocess=preprocess).fingerprint()
    manipulation.install(found.module)
    manipulated = Model(found.module, preprocess=preprocess).fingerprint()
    if (honest, manipulated) != (described["base"]["fingerprint"], described["fingerprint"]):
        raise ModelError(
            f'expected "{spec}" as {folder / DESCRIPTION} fingerprints it, got another network; use the versions that '
            "made it, or make it again"
        )
    return Found(
        module=found.module,
        name=f"{described['base']['name']} ({folder.resolve().name})",
        size=(described["size"][0], described["size"][1]),
        size_from="the saved model",
        preprocess=preprocess,
        labels=tuple(described["labels"]),
        provenance={
            "source": "saved",
            "base": {**described["base"], **({} if base is None else {"named": base})},
            "layer": described["layer"],
            "made": described["made"],
            "weights": described["weights"],
        },
    )


def _read(folder: Path) -> dict[str, Any]:
    path = folder / DESCRIPTION
    try:
        described = dict(read_json(path, _SAVED, within=folder))
        kinds = [kind for kind in KINDS if kind in described]
        if len(kinds) != 1:
            raise ShapeError(f"expected one of {', '.join(KINDS)}, got {' and '.join(kinds) or 'none'}")
        return described
    except ShapeError as error:
        told = "of another version" if error.where == "format" else f"which is damaged: {error}"
        expected = f"expected a saved model of format {FORMAT}"
        raise ModelError(f"{expected}, got {path}, {told}; save the model again") from error
    except OSError as error:
        raise ModelError(f"expected a saved model, got {path}: {why(error)}; save the model again") from error


def _weights(folder: Path, described: Mapping[str, Any]) -> dict[str, Tensor]:
    path = folder / WEIGHTS
    try:
        open_regular(path, within=folder).close()
    except OSError as error:
        raise WeightsError(f"expected weights beside {folder / DESCRIPTION}, got {path}: {why(error)}") from error
    state, digest = read_weights(path)
    if digest != described["weights"]["sha256"]:
        raise WeightsError(f"expected the weights that {folder / DESCRIPTION} names, got others; save the model again")
    return state


def _check_base(spec: str, folder: Path) -> None:
    """A folder says only which network of this package or of a library it is built from, never what code to run."""
    if spec == "builtin" or spec.partition(":")[0] in SOURCES.house:
        return
    what = "a pickle" if is_pickle_name(spec) else "code of its own"
    raise ModelError(
        f'expected a saved model whose honest network runs no code, got {folder}, built from "{brief(spec)}", {what}; '
        "if you trust that file, name it yourself with --base FILE.py:FACTORY"
    )


def _preprocess(values: Mapping[str, Any], folder: Path) -> Preprocess:
    mean, std = tuple(values["mean"]), tuple(values["std"])
    wanted = 1 if values["channels"] == "grey" else 3
    if len(mean) != len(std) or len(mean) < wanted:
        got = f"{len(mean)} and {len(std)}"
        raise ModelError(f"expected {wanted} means and standard deviations in {folder / DESCRIPTION}, got {got}")
    return Preprocess(values["scale"], mean, std, values["channels"])
