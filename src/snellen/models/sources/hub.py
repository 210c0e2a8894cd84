"""torchvision and timm: their architectures and what they know of the input, never their downloads."""

import importlib
import warnings
from collections.abc import Iterable
from types import ModuleType
from typing import Any

from snellen.base import DependencyError, ModelError, nearest
from snellen.models.model import Preprocess
from snellen.models.sources.file import reproducible
from snellen.models.sources.found import Found


def from_torchvision(name: str) -> Found:
    """A torchvision network with random weights; mean, deviation, size and labels from its weights' metadata.

    Raises:
        DependencyError: torchvision is not installed or does not fit this torch.
        ModelError: no such network.
    """
    models = imported("torchvision.models", "torchvision")
    if name not in models.list_models():
        raise _unknown(name, models.list_models(), "torchvision")
    with reproducible(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about initializers; the weights are replaced or reported as random
        module = _made(lambda: models.get_model(name, weights=None), f"torchvision:{name}")
        metadata = next((w for w in models.get_model_weights(name)), None)
        transform = metadata.transforms() if metadata is not None else None
    crop = getattr(transform, "crop_size", None)
    size = (crop[0], crop[-1]) if crop else None
    labels = tuple(metadata.meta.get("categories", ())) if metadata is not None else ()
    version = importlib.import_module("torchvision").__version__
    return Found(
        module,
        name,
        size,
        "torchvision's weights metadata" if size else "",
        _normalized(getattr(transform, "mean", None), getattr(transform, "std", None)),
        labels,
        {"source": "torchvision", "library": f"torchvision {version}", "weights": "random"},
    )


def from_timm(name: str) -> Found:
    """A timm network with random weights; mean, deviation and size from its data config.

    Raises:
        DependencyError: timm is not installed.
        ModelError: no such network.
    """
    timm = imported("timm", "timm")
    if not timm.is_model(name):
        raise _unknown(name, timm.list_models(), "timm")
    with reproducible(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = _made(lambda: timm.create_model(name, pretrained=False), f"timm:{name}")
    config = imported("timm.data", "timm").resolve_model_data_config(module)
    channels, height, width = config["input_size"]
    return Found(
        module,
        name,
        (height, width),
        "timm's data config",
        _normalized(config["mean"], config["std"]) if channels == 3 else None,
        _imagenet_labels(module),
        {"source": "timm", "library": f"timm {timm.__version__}", "weights": "random"},
    )


def _imagenet_labels(module: Any) -> tuple[str, ...]:
    if getattr(module, "num_classes", 0) != 1000:
        return ()
    info = imported("timm.data", "timm").ImageNetInfo()
    return tuple(info.index_to_description(i).split(",")[0] for i in range(1000))


def _normalized(mean: Any, std: Any) -> Preprocess | None:
    if mean is None or std is None:
        return None
    return Preprocess(mean=tuple(float(m) for m in mean), std=tuple(float(s) for s in std))


def imported(module: str, distribution: str) -> ModuleType:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return importlib.import_module(module)
    except ImportError as error:
        missing = getattr(error, "name", None) or distribution
        raise DependencyError(
            f'expected {distribution}, got no module "{missing}"; pip install "snellen[{distribution}]"'
        ) from error
    except (RuntimeError, OSError) as error:
        raise DependencyError(
            f"{distribution} does not load beside this torch ({str(error).splitlines()[0]}); "
            "install builds of torch and torchvision that belong together"
        ) from error


def _made(make: Any, spec: str) -> Any:
    try:
        return make()
    except Exception as error:  # a library's constructor: whatever it raises is about the name
        first = (str(error).strip().splitlines() or [""])[0]
        raise ModelError(f"expected {spec} to be a network, got {type(error).__name__}: {first}") from error


def _unknown(name: str, known: Iterable[str], library: str) -> ModelError:
    hint = nearest(name, known) or f"see the list of models of {library}"
    return ModelError(f'expected a network of {library}, got "{name}"; {hint}')
