"""transformers: image classifiers from a local folder, as `save_pretrained` writes it."""

import json
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from snellen.base import ModelError
from snellen.models.model import Preprocess
from snellen.models.sources.file import reproducible
from snellen.models.sources.found import Found
from snellen.models.sources.hub import imported
from snellen.models.sources.weights import read_weights


def from_transformers(folder: Path) -> Found:
    """A network of the transformers library with its weights, size, mean and deviation, all from one folder.

    Args:
        folder: holds config.json, model.safetensors and, as a rule, preprocessor_config.json. Code that the folder may
            bring is never run, and nothing is downloaded.

    Raises:
        DependencyError: transformers is not installed.
        ModelError: the folder is not one of an image classifier.
        WeightsError: its weights are not safetensors, or damaged.
    """
    if not (folder / "config.json").is_file():
        raise ModelError(f"expected a folder with config.json, got {folder}; save the network with save_pretrained")
    _, digest = read_weights(folder / "model.safetensors", trust_pickle=False)
    library = imported("transformers", "transformers")
    with reproducible(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = _loaded(library, folder)
    seen = _read(folder / "preprocessor_config.json")
    size = _side(seen.get("crop_size") if seen.get("do_center_crop") else seen.get("size"))
    size = size or _side(getattr(module.config, "image_size", None))
    names = getattr(module.config, "id2label", None) or {}
    labels = tuple(str(names[k]).split(",")[0] for k in sorted(names))
    return Found(
        module,
        folder.resolve().name,
        size,
        "the folder's configuration" if size else "",
        _preprocess(seen),
        () if all(label.startswith("LABEL_") for label in labels) else labels,
        {
            "source": "transformers",
            "library": f"transformers {library.__version__}",
            "weights": {"file": "model.safetensors", "sha256": digest},
        },
    )


def _loaded(library: Any, folder: Path) -> Any:
    level = library.logging.get_verbosity()
    bars = library.logging.is_progress_bar_enabled()
    library.logging.set_verbosity_error()
    library.logging.disable_progress_bar()
    try:
        return library.AutoModelForImageClassification.from_pretrained(
            str(folder), local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
    except Exception as error:  # the library's constructors raise whatever they like
        first = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(f"expected an image classifier in {folder}, got {type(error).__name__}: {first}") from error
    finally:
        library.logging.set_verbosity(level)
        if bars:
            library.logging.enable_progress_bar()


def _read(path: Path) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _side(told: Any) -> tuple[int, int] | None:
    """224, [224, 224], {"height": 224, "width": 224} or {"shortest_edge": 224}."""
    if isinstance(told, int):
        return told, told
    if isinstance(told, list | tuple) and len(told) == 2:
        return int(told[0]), int(told[1])
    if isinstance(told, Mapping) and {"height", "width"} <= set(told):
        return int(told["height"]), int(told["width"])
    if isinstance(told, Mapping) and told.get("shortest_edge"):
        return int(told["shortest_edge"]), int(told["shortest_edge"])
    return None


def _preprocess(told: Mapping[str, Any]) -> Preprocess | None:
    if not told:
        return None
    factor = float(told.get("rescale_factor", 1 / 255)) * 255 if told.get("do_rescale", True) else 255.0
    if not told.get("do_normalize", True):
        return Preprocess(scale=factor)
    mean, deviation = told.get("image_mean"), told.get("image_std")
    if not mean or not deviation:
        return None
    return Preprocess(factor, tuple(float(m) for m in mean), tuple(float(s) for s in deviation))
