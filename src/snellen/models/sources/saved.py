"""Manipulated models in a folder: all weights as safetensors, and a description of how to put them together."""

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from snellen.base import ModelError, SnellenError, UsageError, WeightsError, write_atomic
from snellen.models.circuits import Circuit, circuit_from, install, installed
from snellen.models.model import Model, Preprocess
from snellen.models.sources.found import Found
from snellen.models.sources.weights import fill, read_weights

DESCRIPTION = "snellen.json"
WEIGHTS = "weights.safetensors"
FORMAT = 1


def is_saved(spec: str) -> bool:
    """Whether a word names a folder that `save_manipulated` wrote."""
    return (Path(spec).expanduser() / DESCRIPTION).is_file()


def save_manipulated(model: Model, layer: str, circuit: Circuit, folder: Path, *, made: Mapping[str, Any]) -> None:
    """Write a manipulated model so that `load_model(folder)` brings it back, weights of the honest part and all.

    Args:
        model: the honest one, as `load_model` made it.
        layer: that the circuit goes around.
        circuit: not installed.
        folder: made if missing.
        made: plain data on how: method, settings, versions.

    Raises:
        UsageError: the model did not come from `load_model`, so nobody could build it again.
        OutputError: the folder cannot be written to.
    """
    from safetensors.torch import save

    base = {"spec": _lasting(model), "name": model.name, "fingerprint": model.fingerprint()}
    with installed(model.module, layer, circuit):
        state = {name: t.detach().cpu().contiguous().clone() for name, t in model.module.state_dict().items()}
        fingerprint = model.fingerprint()
    weights = save(state)
    described = {
        "format": FORMAT,
        "base": base,
        "layer": layer,
        "circuit": dict(circuit.description()),
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


def from_saved(folder: Path, find: Callable[[str], Found]) -> Found:
    """Build the honest network, put the circuit in, fill both with the saved weights.

    Args:
        folder: with a description.
        find: makes the honest network from its spec.

    Raises:
        ModelError: the description is damaged or of another version, or the honest network cannot be built any more.
        WeightsError: the weights are damaged or do not fit.
    """
    described = _read(folder / DESCRIPTION)
    state, digest = read_weights(folder / WEIGHTS)
    if digest != described["weights"]["sha256"]:
        raise WeightsError(f"expected the weights that {folder / DESCRIPTION} names, got others; save the model again")
    spec = described["base"]["spec"]
    try:
        found = find(spec)
    except SnellenError as error:
        raise ModelError(
            f'expected the honest network "{spec}" of {folder}, which it is built from, got: {error}'
        ) from error
    try:
        layer = found.module.get_submodule(described["layer"])
        circuit = circuit_from(described["circuit"], layer)
        kind = next((p.dtype for p in layer.parameters()), torch.float32)
        install(found.module.eval(), described["layer"], circuit.to(kind))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ModelError(f'expected "{spec}" with the layer that {folder} manipulates, got another network') from error
    fill(found.module, state, folder / WEIGHTS)
    values = described["preprocess"]
    return Found(
        module=found.module,
        name=f"{described['base']['name']} ({folder.resolve().name})",
        size=(int(described["size"][0]), int(described["size"][1])),
        size_from="the saved model",
        preprocess=Preprocess(**{**values, "mean": tuple(values["mean"]), "std": tuple(values["std"])}),
        labels=tuple(described["labels"]),
        provenance={
            "source": "saved",
            "base": described["base"],
            "layer": described["layer"],
            "made": described["made"],
            "weights": described["weights"],
        },
    )


def _lasting(model: Model) -> str:
    spec = model.provenance.get("spec")
    if not isinstance(spec, str):
        raise UsageError("expected a model from snellen.load_model to save, got one of unknown origin; load it by name")
    if spec.startswith("transformers:"):
        return f"transformers:{Path(spec.partition(':')[2]).expanduser().resolve()}"
    path, colon, factory = spec.rpartition(":")
    return f"{Path(path).expanduser().resolve()}:{factory}" if colon and path.endswith(".py") else spec


def _read(path: Path) -> dict[str, Any]:
    try:
        described = json.loads(path.read_bytes())
        missing = {"format", "base", "layer", "circuit", "size", "preprocess", "labels", "weights", "made"} - set(
            described
        )
    except (OSError, ValueError, TypeError) as error:
        raise ModelError(f"expected a saved model, got {path}, which is damaged; save the model again") from error
    if missing or described["format"] != FORMAT:
        raise ModelError(f"expected a saved model of format {FORMAT}, got {path} of another version; save it again")
    return described
