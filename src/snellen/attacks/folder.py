"""The folder of a manipulated model: weights and description, the receipt's figures, and its pictures."""

import io
import json
import platform
from collections.abc import Iterator
from pathlib import Path

import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor

from snellen import __version__
from snellen.attacks.attack import Manipulated, layer_of
from snellen.attacks.receipt import Receipt
from snellen.base import OutputError
from snellen.models.sources.saved import save_manipulated

RECEIPT = "receipt.json"


def write_folder(folder: Path, manipulated: Manipulated, receipt: Receipt) -> Path:
    """Write everything but the page; pictures go to FOLDER/pictures.

    Args:
        folder: made if missing.
        manipulated: as an attack returned it, not installed.
        receipt: of the same attack.

    Returns:
        The path of receipt.json.

    Raises:
        OutputError: the folder cannot be written to.
    """
    model = manipulated.model
    versions = {"snellen": __version__, "torch": str(torch.__version__), "python": platform.python_version()}
    made = {"method": receipt.method, "layer": receipt.layer, "facts": dict(receipt.facts), "versions": versions}
    save_manipulated(model, manipulated.layer, manipulated.circuit, folder, made=made)
    data = receipt.as_data()
    labels = model.labels if layer_of(model, manipulated.layer).units == len(model.labels) else ()
    for entry in data["gallery"]["entries"]:
        entry["pictures"] = {
            kind: f"pictures/unit-{entry['unit']}-{kind}.png" for kind in ("original", "decoy", "after")
        }
        for name in ("unit", "partner"):
            number = entry[name]
            entry[f"{name}_label"] = labels[number] if labels and number is not None else None
    data |= {"model": model.name, "versions": versions, "base": str(model.provenance.get("spec", ""))}
    try:
        (folder / "pictures").mkdir(exist_ok=True)
        for name, png in _pictures(receipt):
            (folder / name).write_bytes(png)
        (folder / RECEIPT).write_text(json.dumps(data, indent=2, allow_nan=False))
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise OutputError(
            f"expected to write the receipt into {folder}, got: {reason}; choose another --out"
        ) from error
    return folder / RECEIPT


def _pictures(receipt: Receipt) -> Iterator[tuple[str, bytes]]:
    for entry in receipt.gallery.entries:
        for kind, image in (("original", entry.original), ("decoy", entry.decoy), ("after", entry.after)):
            yield f"pictures/unit-{entry.unit}-{kind}.png", _png(image)


def _png(image: Float[Tensor, "3 h w"]) -> bytes:
    pixels = (image.clamp(0, 1) * 255).round().to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
