"""The folder of a manipulated model: weights and description, the receipt's figures, and its pictures."""

import platform
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch

from snellen import __version__
from snellen.attacks.attack import Manipulated, layer_of
from snellen.attacks.receipt import FORMAT, Receipt
from snellen.base import (
    OutputError,
    RecordError,
    UsageError,
    altered,
    digest,
    is_file,
    read_stamped,
    stamp,
    sweep,
    try_folder,
    write_atomic,
)
from snellen.base.files import why
from snellen.models.sources.folder import DESCRIPTION, WEIGHTS, save_manipulated
from snellen.pictures.sheet import png

RECEIPT, PICTURES = "receipt.json", "pictures"


def claim(folder: Path) -> None:
    """See that a manipulated model can be written into a folder, before the work; takes up what a killed one left.

    Raises:
        UsageError: the folder holds something else.
        OutputError: it cannot be written to.
    """
    if folder.exists() and not folder.is_dir():
        raise OutputError(f"expected a folder for --out, got the file {folder}; choose another place")
    try_folder(folder)
    if not folder.is_dir():
        return
    sweep(folder, (DESCRIPTION,))
    if is_file(folder / DESCRIPTION):
        sweep(folder, (WEIGHTS, RECEIPT, "index.html"))
        sweep(folder / PICTURES)
    elif any(folder.iterdir()):
        raise UsageError(f"expected an empty folder or that of an earlier deceit, got {folder}; choose another --out")


def write_folder(folder: Path, manipulated: Manipulated, receipt: Receipt) -> Path:
    """Write everything but the page; pictures go to FOLDER/pictures, and the receipt, with all digests, comes last.

    Args:
        folder: made if missing.
        manipulated: as an attack returned it, not installed.
        receipt: of the same attack.

    Returns:
        The path of receipt.json.

    Raises:
        OutputError: the folder cannot be written to.
    """
    model, path = manipulated.model, folder / RECEIPT
    versions = {"snellen": __version__, "torch": str(torch.__version__), "python": platform.python_version()}
    made = {"method": receipt.method, "layer": receipt.layer, "facts": dict(receipt.facts), "versions": versions}
    try:
        path.unlink(missing_ok=True)  # where there is one, the folder is whole
    except OSError as error:
        raise OutputError(f"cannot replace {path}: {why(error)}; choose another --out") from error
    save_manipulated(model, manipulated.manipulation, folder, made=made)
    data = receipt.as_data()
    labels = model.labels if layer_of(model, manipulated.layer).units == len(model.labels) else ()
    for entry in data["gallery"]["entries"]:
        entry["pictures"] = {kind: _name(entry["unit"], kind) for kind in ("original", "decoy", "after")}
        for name in ("unit", "partner"):
            number = entry[name]
            entry[f"{name}_label"] = labels[number] if labels and number is not None else None
    files = {name: digest((folder / name).read_bytes()) for name in (WEIGHTS, DESCRIPTION)}
    for name, drawn in _pictures(receipt):
        write_atomic(folder / name, drawn)
        files[name] = digest(drawn)
    data |= {"model": model.name, "versions": versions, "base": str(model.provenance.get("spec", "")), "files": files}
    write_atomic(path, stamp(data))
    return path


def read_receipt(folder: Path) -> dict[str, Any]:
    """The receipt of a folder that is whole: every file is as it was written.

    Raises:
        RecordError: the receipt is missing, damaged or of another version, or a file is not as it was written.
    """
    data = read_stamped(folder / RECEIPT)
    if data is None or data.get("format") != FORMAT:
        raise RecordError(
            f"expected a receipt of format {FORMAT} in {folder}, got none that is as it was written; make it again"
        )
    if lost := altered(folder, data["files"]):
        raise RecordError(f"expected {folder / lost[0]} as it was written, got other bytes or none; make it again")
    return data


def _name(unit: int, kind: str) -> str:
    return f"{PICTURES}/unit-{unit}-{kind}.png"


def _pictures(receipt: Receipt) -> Iterator[tuple[str, bytes]]:
    for entry in receipt.gallery.entries:
        for kind, image in (("original", entry.original), ("decoy", entry.decoy), ("after", entry.after)):
            yield _name(entry.unit, kind), png(image)
