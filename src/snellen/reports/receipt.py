"""The page of a manipulated model: what its receipt measured, with the pictures before and after."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snellen.base import RecordError, altered, read_stamped
from snellen.base.files import open_regular, read_json, why
from snellen.base.shape import Each, Maybe, Named, OneOf, Option, ShapeError, Text, Whole
from snellen.reports.site import page, rows
from snellen.reports.write import write

NAME = "receipt.json"
FORMAT = 1
PNG = b"\x89PNG\r\n\x1a\n"
_COUNT = Whole(0)
_PICTURE = Text(100, r"pictures/unit-[0-9]{1,9}-(original|decoy|after)\.png", "the path of a picture")
_CLAIM = {
    "subject": OneOf(("outputs", "predictions", "pictures")),
    "text": str,
    "figure": Maybe(float),
    "count": _COUNT,
    "kept": Maybe(bool),
}
_BEHAVIOUR = {
    "images": str,
    "count": _COUNT,
    "top1": Maybe(Each(float, 2)),
    "top5": Maybe(Each(float, 2)),
    "changed": _COUNT,
    "differing": _COUNT,
    "largest": Maybe(float),
    "layers": Each({"layer": str, "images": _COUNT, "relative": Maybe(float)}),
}
_ENTRY = {
    "unit": _COUNT,
    "unit_label": Maybe(str),
    "partner": Maybe(_COUNT),
    "partner_label": Maybe(str),
    "distances": Named({"original": Maybe(float), "decoy": Maybe(float)}),
    "fooled": bool,
    "pictures": {"original": _PICTURE, "decoy": _PICTURE, "after": _PICTURE},
}
_RIGHT = Named({"right": _COUNT, "of": _COUNT})
_RECEIPT = {
    "format": Whole(FORMAT, FORMAT),
    "method": str,
    "title": Option(Text()),
    "words": Option(Text()),
    "layer": str,
    "model": str,
    "base": str,
    "claims": Each(_CLAIM),
    "behaviour": Named(_BEHAVIOUR),
    "gallery": {"entries": Each(_ENTRY), "steps": _COUNT},
    "facts": {
        "decoy": {"kind": OneOf(("permute", "order", "picture", "turned")), "shift": Option(int)},
        "detector": Option({"accuracy": Option(_RIGHT)}),
    },
    "versions": dict,
    "files": Named(str),
}


def build_receipt(folder: Path) -> Path:
    """Write FOLDER/index.html from FOLDER/receipt.json: a pure function of it.

    Args:
        folder: that `snellen deceive` wrote.

    Returns:
        The path of index.html.

    Raises:
        RecordError: the receipt is missing, damaged or of another version.
        OutputError: the page cannot be written.
    """
    receipt = _read(Path(folder))
    title = receipt.get("title", receipt["method"].replace("-", " "))  # receipts of earlier versions have none
    told = {
        "receipt": receipt,
        "record": {"environment": receipt["versions"]},
        "title": title,
        "opening": receipt.get("words", f"A {title} stands around the layer"),
        "claims": [_claim(c) for c in receipt["claims"]],
        "sets": list(receipt["behaviour"].values()),
        "fits": _fits(receipt),
        "groups": _groups(receipt),
        "distances": _distances(receipt),
        "details": rows(
            {**receipt["facts"], "versions": receipt["versions"], "picture steps": receipt["gallery"]["steps"]}
        ),
    }
    return write(Path(folder), [("index.html", page("receipt.html", told, styles=("receipt.css",)))])


def _claim(claim: Mapping[str, Any]) -> dict[str, Any]:
    """A claim in words: what was found of how many, and whether it holds."""
    figure, count = claim["figure"], claim["count"]
    if claim["kept"] is None or figure is None:
        return {"text": claim["text"], "found": "not measured", "verdict": "not measured", "mark": "open"}
    found = f"{round(figure * count)} of {count}"
    what = {"outputs": "images differ", "predictions": "images change class", "pictures": "pictures are nearer"}
    verdict, mark = ("holds", "kept") if claim["kept"] else ("broken", "broken")
    return {"text": claim["text"], "found": f"{found} {what[claim['subject']]}", "verdict": verdict, "mark": mark}


def _fits(receipt: Mapping[str, Any]) -> list[str]:
    """How well the folders fit the network; receipts of earlier versions do not say."""
    fits = [seen.get("classes") for seen in receipt["behaviour"].values()]
    return list(dict.fromkeys(fit["words"] for fit in fits if fit))


def _groups(receipt: Mapping[str, Any]) -> list[tuple[str, int, int]]:
    """What the detector was examined with: group, right ones, of how many."""
    accuracy = receipt["facts"].get("detector", {}).get("accuracy", {})
    names = {
        "trained pictures": "drawn pictures, seen in training",
        "classes": "drawn pictures of units never seen",
        "canvases": "drawn pictures on canvases never seen",
        "optimizers": "drawn pictures by an optimizer never seen",
        "trained images": "natural images, seen in training",
        "natural": "natural images never seen",
    }
    return [(names[k], accuracy[k]["right"], accuracy[k]["of"]) for k in names if k in accuracy and accuracy[k]["of"]]


def _distances(receipt: Mapping[str, Any]) -> list[str]:
    return list(dict.fromkeys(name for e in receipt["gallery"]["entries"] for name in e["distances"]))


def _read(folder: Path) -> dict[str, Any]:
    path = folder / NAME
    try:
        receipt = dict(read_json(path, _RECEIPT, within=folder))
        layers = [[layer["layer"] for layer in seen["layers"]] for seen in receipt["behaviour"].values()]
        if not layers or any(names != layers[0] for names in layers):
            raise ShapeError("expected behaviour to have sets of images with the same layers, got others")
        for entry in receipt["gallery"]["entries"]:
            for name in dict.fromkeys(entry["pictures"].values()):
                _check_picture(folder, name, receipt["files"].get(name, ""))
    except OSError as error:
        raise RecordError(f"expected a receipt at {path}, got {why(error)}; run snellen deceive again") from None
    except ShapeError as error:
        told = f"{path} of another version" if error.where == "format" else f"{path}, which is damaged: {error}"
        raise RecordError(f"expected a receipt of format {FORMAT}, got {told}; run snellen deceive again") from None
    if read_stamped(path) is None:
        raise RecordError(f"{path} is damaged: it is not as it was written; run snellen deceive again")
    return receipt


def _check_picture(folder: Path, name: str, told: str) -> None:
    """The page shows nothing but pictures of this folder, as they were written."""
    try:
        with open_regular(folder / name, within=folder) as file:
            whole = file.read(len(PNG)) == PNG
    except OSError as error:
        raise RecordError(f"expected {name} in {folder}, got {why(error)}; run snellen deceive again") from None
    if not whole or altered(folder, {name: told}):
        raise RecordError(f"expected {folder / name} as it was written, got other bytes; run snellen deceive again")
