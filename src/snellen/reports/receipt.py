"""The page of a manipulated model: what its receipt measured, with the pictures before and after."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snellen.base import RecordError
from snellen.reports.site import page, rows
from snellen.reports.write import write

NAME = "receipt.json"
FORMAT = 1
_NEEDED = {"format", "method", "layer", "claims", "behaviour", "gallery", "facts", "model", "versions", "base"}
METHODS = {"fooling-circuit": "fooling circuit", "silent-units": "silent units"}


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
    receipt = _read(Path(folder) / NAME)
    told = {
        "receipt": receipt,
        "record": {"environment": receipt["versions"]},
        "method": METHODS.get(receipt["method"], receipt["method"]),
        "claims": [_claim(c) for c in receipt["claims"]],
        "sets": list(receipt["behaviour"].values()),
        "fits": _fits(receipt),
        "groups": _groups(receipt),
        "distances": _distances(receipt),
        "details": rows(
            {**receipt["facts"], "versions": receipt["versions"], "picture steps": receipt["gallery"]["steps"]}
        ),
    }
    return write(Path(folder), {"index.html": page("receipt.html", told, styles=("receipt.css",))})


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


def _read(path: Path) -> dict[str, Any]:
    try:
        receipt = json.loads(path.read_bytes())
    except OSError as error:
        raise RecordError(f"expected a receipt at {path}, got {error.strerror}; run snellen deceive again") from None
    except ValueError as error:
        raise RecordError(f"{path} is damaged: {error}; run snellen deceive again") from None
    if not isinstance(receipt, dict) or receipt.get("format") != FORMAT or not receipt.keys() >= _NEEDED:
        raise RecordError(f"expected a receipt of format {FORMAT}, got {path} of another version; run it again")
    return receipt
