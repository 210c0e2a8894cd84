"""torchvision and timm: their architectures and what they know of the input, never their downloads."""

import importlib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from types import ModuleType
from typing import Any

from torch import nn

from snellen.base import DependencyError, ModelError, UsageError, brief, nearest
from snellen.models.model import Preprocess
from snellen.models.sources.found import Found
from snellen.models.sources.source import Source
from snellen.models.steady import seeded


def from_torchvision(name: str) -> Found:
    """A torchvision network with random weights; mean, deviation, size and labels from its weights' metadata.

    Raises:
        DependencyError: torchvision is not installed or does not fit this torch.
        ModelError: no such network.
    """
    models = imported("torchvision.models", "torchvision")
    if name not in models.list_models():
        raise _unknown(name, models.list_models(), "torchvision")
    with seeded(0), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about initializers; the weights are replaced or reported as random
        module = _made(lambda: models.get_model(name, weights=None), f"torchvision:{name}")
        metadata = next(iter(models.get_model_weights(name)), None)
    version = importlib.import_module("torchvision").__version__
    source = {"source": "torchvision", "library": f"torchvision {version}", "weights": "random"}
    known = _told_by_weights(module, metadata) if metadata is not None else Found(module, name)
    return replace(known, name=name, provenance=source)


def torchvision_config(module: nn.Module, weights: Any) -> Found:
    """Size, mean, deviation and labels of a torchvision network in memory, from the metadata of its weights.

    Args:
        module: the network; nothing of it is read but how many classes its last layer has.
        weights: what was given as `weights=`: a member of a weights enum, or its name ("ResNet50_Weights.DEFAULT").

    Raises:
        DependencyError: torchvision is not installed or does not fit this torch.
        UsageError: these are no weights of torchvision.
    """
    if isinstance(weights, str):
        models = imported("torchvision.models", "torchvision")
        try:
            weights = models.get_weight(weights)
        except (ValueError, KeyError, AttributeError) as error:
            raise UsageError(
                f'expected the name of weights of torchvision, as "ResNet50_Weights.DEFAULT", got "{weights}"'
            ) from error
    if not (hasattr(weights, "transforms") and isinstance(getattr(weights, "meta", None), Mapping)):
        raise UsageError(f"expected weights of torchvision's metadata, got {type(weights).__name__}")
    return _told_by_weights(module, weights)


def _told_by_weights(module: nn.Module, weights: Any) -> Found:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        transform = weights.transforms()
    crop = getattr(transform, "crop_size", None) or getattr(transform, "resize_size", None)
    labels = tuple(str(c) for c in weights.meta.get("categories") or ())
    notes: tuple[str, ...] = ()
    classes = _last_width(module)
    if labels and classes is not None and classes != len(labels):
        notes = (f"labels: {weights} names {len(labels)} classes, the last layer has {classes}: they go without names",)
        labels = ()
    return Found(
        module,
        type(module).__name__.lower(),
        (crop[0], crop[-1]) if crop else None,
        "torchvision's weights metadata" if crop else "",
        _normalized(getattr(transform, "mean", None), getattr(transform, "std", None)),
        labels,
        {"source": "memory", "metadata": str(weights)},
        notes,
    )


def _last_width(module: nn.Module) -> int | None:
    """Outputs of the last linear or convolution that is registered."""
    last = None
    for part in module.modules():
        if isinstance(part, nn.Linear | nn.Conv2d):
            last = part.out_features if isinstance(part, nn.Linear) else part.out_channels
    return last


def from_timm(name: str) -> Found:
    """A timm network with random weights; mean, deviation and size from its data config.

    Raises:
        DependencyError: timm is not installed.
        ModelError: no such network.
    """
    timm = imported("timm", "timm")
    if not timm.is_model(name):
        raise _unknown(name, timm.list_models(), "timm")
    with seeded(0), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        module = _made(lambda: timm.create_model(name, pretrained=False), f"timm:{name}")
    found = timm_config(module)
    source = {"source": "timm", "library": f"timm {timm.__version__}", "weights": "random"}
    return replace(found or Found(module, name), name=name, provenance=source)


def timm_config(module: nn.Module) -> Found | None:
    """What a network of timm that is already in memory says of itself; None for other networks.

    Size, mean and deviation come from its `pretrained_cfg`; a size or a number of channels that it was built with
    instead, and a head of another width than its configuration's, are seen and noted.

    Args:
        module: any; timm is imported only where the module is one of its networks.
    """
    if not any(base.__module__.startswith("timm.") for base in type(module).__mro__):
        return None
    config = getattr(module, "pretrained_cfg", None) or getattr(module, "default_cfg", None) or {}
    config = dict(config) if isinstance(config, Mapping) else dict(vars(config))
    size, size_from, notes = _timm_size(module, config)
    channels = _timm_channels(module, config)
    preprocess = None
    if channels == 3 and config.get("mean") and config.get("std"):
        preprocess = _normalized(config["mean"], config["std"])
    elif config.get("mean"):
        notes.append(f"preprocessing: timm's configuration is for 3 channels, the network takes {channels}")
    else:
        notes.append("preprocessing: timm's configuration of this network has none")
    name = str(config.get("architecture") or type(module).__name__)
    tag = f".{config['tag']}" if config.get("tag") else ""
    provenance = {"source": "memory", "configuration": f"timm {name}{tag}"}
    labels = _timm_labels(module, config)
    return Found(module, name, size, size_from, preprocess, labels, provenance, tuple(notes))


def _timm_size(module: Any, config: Mapping[str, Any]) -> tuple[tuple[int, int] | None, str, list[str]]:
    told = config.get("input_size")
    size = (int(told[1]), int(told[2])) if told else None
    patches = getattr(module, "patch_embed", None) or getattr(module, "stem", None)
    built = getattr(patches, "img_size", None) if getattr(patches, "strict_img_size", True) else None
    if isinstance(built, tuple) and len(built) == 2 and built != size:
        note = f"size: built for {built[0]}x{built[1]} px"
        note += f" where timm's configuration says {size[0]}x{size[1]}" if size else ""
        return built, "the network's patches", [note]
    return size, "timm's data config" if size else "", []


def _timm_channels(module: nn.Module, config: Mapping[str, Any]) -> int:
    """That the first convolution takes, where the configuration names it and it is there."""
    first = config.get("first_conv")
    first = first[0] if isinstance(first, list | tuple) and first else first
    parts = dict(module.named_modules())
    part = parts.get(first) if isinstance(first, str) else None
    return int(getattr(part, "in_channels", 0) or (config.get("input_size") or (3,))[0])


def _timm_labels(module: Any, config: Mapping[str, Any]) -> tuple[str, ...]:
    """Names where the head has as many classes as the configuration's weights."""
    classes = getattr(module, "num_classes", 0)
    if not classes or classes != config.get("num_classes"):
        return ()
    if len(names := config.get("label_names") or ()) == classes:
        told = config.get("label_descriptions") or {}
        return tuple(str(told.get(n, n)).split(",")[0] for n in names)
    if classes != 1000:
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
        raise ModelError(f"expected {spec} to be a network, got {raised(error)}") from error


def raised(error: Exception, most: int = 300) -> str:
    """What a library raised, in one line."""
    first = (str(error).strip().splitlines() or [""])[0]
    return f"{type(error).__name__}: {brief(first, most)}"


def _unknown(name: str, known: Iterable[str], library: str) -> ModelError:
    hint = nearest(name, known) or f"see the list of models of {library}"
    return ModelError(f'expected a network of {library}, got "{name}"; {hint}')


TORCHVISION = Source("torchvision", "NAME", from_torchvision)
TIMM = Source("timm", "NAME", from_timm)
