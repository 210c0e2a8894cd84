"""A trained network of a structure in a folder, and how it is read: "structure:FOLDER" as a model.

The folder names a structure that is installed and holds its weights as safetensors; nothing in it is run. What is known
of the network because of its structure holds whatever the weights are: it is built here, not there.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snellen.base import MOST_SIDE, ModelError, UsageError, WeightsError, encode_json, write_atomic
from snellen.base.files import home, read_json, why
from snellen.base.shape import Each, Exactly, ShapeError, Text, Whole
from snellen.models.model import Model, Preprocess
from snellen.models.sources.found import Found
from snellen.models.sources.source import Source
from snellen.models.sources.weights import few, fill, read_weights
from snellen.models.steady import seeded
from snellen.structures.group import STRUCTURES
from snellen.structures.structure import Structure

DESCRIPTION, WEIGHTS = "structure.json", "weights.safetensors"
FORMAT = 1
_SAVED = Exactly(
    {
        "format": Whole(FORMAT, FORMAT),
        "structure": Text(100, r"[\w.-]+", "a name"),
        "size": Whole(8, MOST_SIDE),
        "labels": Each(Text(), least=2, most=2**16),
        "weights": Text(64, "[0-9a-f]{64}", "SHA-256 in hexadecimal digits"),
        "made": dict,
    }
)


def save_structured(
    network: nn.Module,
    structure: Structure,
    folder: Path,
    *,
    size: int,
    labels: tuple[str, ...],
    made: Mapping[str, Any],
) -> None:
    """Write a network so that "structure:FOLDER" brings it back.

    Args:
        network: that `train` returned.
        structure: which.
        folder: made if missing.
        size: of its images in pixels.
        labels: names of its classes.
        made: plain data on how.

    Raises:
        OutputError: the folder cannot be written to.
    """
    from safetensors.torch import save

    weights = save({name: t.detach().cpu().contiguous() for name, t in network.state_dict().items()})
    write_atomic(folder / WEIGHTS, weights)
    described = {
        "format": FORMAT,
        "structure": structure.name,
        "size": size,
        "labels": list(labels),
        "weights": hashlib.sha256(weights).hexdigest(),
        "made": dict(made),
    }
    write_atomic(folder / DESCRIPTION, encode_json(described))


def described(folder: Path) -> dict[str, Any]:
    """What a folder says of its network.

    Raises:
        ModelError: there is none, or it is damaged or of another version.
    """
    path = folder / DESCRIPTION
    try:
        return dict(read_json(path, _SAVED, within=folder))
    except ShapeError as error:
        told = "of another version" if error.where == "format" else f"which is damaged: {error}"
        raise ModelError(
            f"expected a structured network of format {FORMAT}, got {path}, {told}; train it again"
        ) from error
    except OSError as error:
        raise ModelError(f"expected a folder of snellen structure train, got {path}: {why(error)}") from error


def load_structured(name: str) -> Found:
    """The network of a folder.

    Raises:
        ModelError: the folder is none of `snellen structure train`, or is damaged.
        WeightsError: the weights are damaged or do not fit.
    """
    folder = home(name)
    told = described(folder)
    size, labels = told["size"], tuple(told["labels"])
    try:
        structure = STRUCTURES.load(told["structure"])()
    except UsageError as error:
        raise ModelError(f"expected a known structure in {folder / DESCRIPTION}: {error}") from error
    if size % 8:
        raise ModelError(f"expected a size that is a multiple of 8 in {folder / DESCRIPTION}, got {size}")
    state, digest = read_weights(folder / WEIGHTS)
    if digest != told["weights"]:
        raise ModelError(f"expected the weights that {folder / DESCRIPTION} names, got others; train it again")
    with torch.device("meta"):  # a description may ask for far more than the file holds
        _fits(structure.network(len(labels), size), state, folder)
    with torch.device("cpu"), seeded(0):
        network = structure.network(len(labels), size).eval()
    notes = fill(network, state, folder / WEIGHTS)
    return Found(
        network,
        f"{structure.name} ({folder.resolve().name})",
        (size, size),
        "the structure",
        Preprocess(),
        labels,
        {
            "source": "structure",
            "structure": structure.name,
            "weights": {"file": WEIGHTS, "sha256": digest},
            "made": told["made"],
        },
        notes,
    )


def structure_of(model: Model) -> Structure | None:
    """The structure that a model from "structure:FOLDER" is of; None of others.

    The word is the model's. A structure that promises more than operations prove looks at the network itself.
    """
    if model.provenance.get("source") != STRUCTURED.name:
        return None
    return STRUCTURES.load(str(model.provenance["structure"]))()


def _fits(network: nn.Module, state: Mapping[str, Tensor], folder: Path) -> None:
    wanted = {name: t.shape for name, t in network.state_dict().items()}
    odd = [name for name, shape in wanted.items() if name not in state or state[name].shape != shape]
    if odd or len(state) != len(wanted):
        raise WeightsError(
            f"expected weights of the network that {folder / DESCRIPTION} describes, got another's "
            f"({few(odd) or 'further ones'}); train it again"
        )


STRUCTURED = Source("structure", "FOLDER", load_structured)
