"""What the classes of a network are called, where it does not say so itself: a text file, one name a line."""

import hashlib
import re
from dataclasses import replace
from pathlib import Path

from snellen.base import UsageError, brief
from snellen.base.files import read_file, why
from snellen.models import Model

FILES = ("labels.txt", "classes.txt", "synset_words.txt", "LOC_synset_mapping.txt", "imagenet_classes.txt")
_LINE = re.compile(r"(?:n\d{8}\s+)?(.*)")


def named(model: Model, outputs: int, *, labels: str | None, images: str | None) -> Model:
    """The model with names for its classes; as it is where it has them, or where no names are found.

    Line k of the file names class k - 1. A WordNet number before a name, and synonyms after a comma, are left out, so
    ImageNet's own lists (`synset_words.txt`, `LOC_synset_mapping.txt`) serve as they are.

    Args:
        model: the network.
        outputs: how many classes it tells apart.
        labels: the file; it goes before the model's own names. None looks for one of `FILES` with as many lines as
            there are classes, in the images' folder and the one above.
        images: the images' folder.

    Raises:
        UsageError: the named file cannot be read or has another number of lines.
    """
    if labels is not None:
        path = Path(labels)
        names = _read(path)
        if len(names) != outputs:
            raise UsageError(f"expected {outputs} lines in {path}, one name for each class, got {len(names)}")
        return _with(model, path, names)
    if model.labels or images is None or not outputs:
        return model
    here = Path(images)
    for folder in (here, here.resolve().parent):
        for path in (folder / name for name in FILES):
            if path.is_file() and len(names := _read(path)) == outputs:
                return _with(model, path, names)
    return model


def _read(path: Path) -> tuple[str, ...]:
    try:
        lines = read_file(path).decode().strip().splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = why(error) if isinstance(error, OSError) else "no UTF-8 text"
        raise UsageError(f"expected a text file of class names, got {brief(str(path))}: {reason}") from error
    return tuple(match[1].split(",")[0].strip() for line in lines if (match := _LINE.fullmatch(line.strip())))


def _with(model: Model, path: Path, names: tuple[str, ...]) -> Model:
    told = {"file": path.name, "sha256": hashlib.sha256("\n".join(names).encode()).hexdigest()}
    return replace(model, labels=names, provenance={**model.provenance, "labels": told})
