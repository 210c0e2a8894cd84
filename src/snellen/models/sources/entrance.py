"""Whatever a person holds as a model, as a `Model`: a word, a module in memory, or a model."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import torch
from torch import nn

from snellen.base import ModelError, UsageError
from snellen.models.model import Model, Preprocess
from snellen.models.sources.found import Found
from snellen.models.sources.hub import timm_config, torchvision_config
from snellen.models.sources.load import chosen_device, load_model, pair, settled
from snellen.models.sources.transformers_folder import transformers_config

ModelLike = str | Path | nn.Module | Model
"""What every function takes as `model`."""

_IMAGENET = Preprocess(mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))


def open_model(
    model: object,
    *,
    size: int | tuple[int, int] | None = None,
    preprocess: object = None,
    weights: str | Path | None = None,
    trust_pickle: bool = False,
    base: str | None = None,
    device: str | None = None,
) -> Model:
    """The model that a word names, that a module in memory is, or that is one already.

    A module stays what and where it is: nothing is copied, moved or set. Its input size and preprocessing are what is
    asked for; else what its library or its weights' metadata say; else found by trying, once for each module, and
    `provenance["notes"]` calls that a guess.

    Args:
        model: a word as `load_model` takes it, a `torch.nn.Module`, or a `Model`, which comes back as it is unless
            `size` or `preprocess` change it.
        size: input size in pixels.
        preprocess: a `Preprocess`; or torchvision's weights ("ResNet50_Weights.DEFAULT" will do) or their transforms,
            which also say the size, and weights the names of the classes.
        weights: file of weights; only for a word.
        trust_pickle: read pickled weights; only for a word.
        base: of the folder of a saved model, the network that it is built from, as `load_model` takes it.
        device: for a word "auto", "cpu" (the default) or "cuda". A module in memory is used where it is.

    Raises:
        UsageError: options that do not go with this model, or a size that makes no sense.
        ModelError: no model, or one that cannot be run.
        WeightsError, DependencyError: as `load_model`.
    """
    asked = pair(size)
    if isinstance(model, str | Path):
        loaded = load_model(
            str(model), weights=weights, size=asked, trust_pickle=trust_pickle, base=base, device=device or "cpu"
        )
        return _changed(loaded, None, _told(preprocess, loaded.module))
    if not isinstance(model, nn.Module | Model):
        raise ModelError(
            f"expected a model as a word, a torch.nn.Module or a snellen.Model, got {type(model).__name__}; "
            "give the network itself"
        )
    if base is not None:
        raise UsageError("expected base only with the folder of a saved model, got a model in memory; leave it away")
    if weights is not None:
        raise UsageError("expected no weights for a model in memory; load them into it with load_state_dict")
    module = model.module if isinstance(model, Model) else model
    _same_place(module, device)
    told = _told(preprocess, module)
    return _changed(model, asked, told) if isinstance(model, Model) else _held(model, asked, told)


@dataclass(frozen=True)
class _Told:
    """What somebody says of a model's input; None and empty where they say nothing."""

    size: tuple[int, int] | None = None
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _told(preprocess: Any, module: nn.Module) -> _Told:
    """What is given as `preprocess`: ours, torchvision's weights, or the transforms that come with them."""
    if preprocess is None:
        return _Told()
    if isinstance(preprocess, Preprocess):
        return _Told(preprocess=preprocess)
    if hasattr(preprocess, "meta") or (isinstance(preprocess, str) and "_Weights." in preprocess):
        found = torchvision_config(module, preprocess)
        return _Told(found.size, found.preprocess, found.labels, found.notes)
    mean, deviation, crop = (getattr(preprocess, name, None) for name in ("mean", "std", "crop_size"))
    if mean is None or deviation is None:
        raise UsageError(
            "expected preprocess as a snellen.Preprocess, torchvision's weights or their transforms, got "
            f"{type(preprocess).__name__}; give snellen.Preprocess(mean=..., std=...)"
        )
    size = (int(crop[0]), int(crop[-1])) if crop else None
    means, deviations = (tuple(float(v) for v in numbers) for numbers in (mean, deviation))
    return _Told(size, Preprocess(mean=means, std=deviations))


def _same_place(module: nn.Module, device: str | None) -> None:
    """Refuse another device than the module's own."""
    if device is None or device == "auto":
        return
    here = next((p.device for p in module.parameters()), torch.device("cpu"))
    if here.type != torch.device(chosen_device(device)).type:
        raise UsageError(f'expected the device of the model in memory, "{here}", got "{device}"; move it with .to()')


def _changed(model: Model, size: tuple[int, int] | None, told: _Told) -> Model:
    """The model with what is asked for instead of its own."""
    size = size or (told.size if told.size != model.size else None)
    changes: dict[str, Any] = {}
    if size is not None and size != model.size:
        changes["size"] = size
    if told.preprocess is not None and told.preprocess != model.preprocess:
        changes["preprocess"] = told.preprocess
    if told.labels and not model.labels:
        changes["labels"] = told.labels
    if not changes:
        return model
    origin: dict[str, Any] = {"size_from": "asked for"} if "size" in changes else {}
    if told.notes:
        origin["notes"] = [*model.provenance.get("notes", ()), *told.notes]
    return replace(model, **changes, provenance={**model.provenance, **origin})


_KNOWN: "WeakKeyDictionary[nn.Module, dict[Any, Model]]" = WeakKeyDictionary()
"""What was found out about modules in memory, for as long as they live; nothing here holds the module itself."""


def _held(module: nn.Module, size: tuple[int, int] | None, told: _Told) -> Model:
    """A module in memory with what is known of it, found out once."""
    lazy = nn.parameter.UninitializedParameter
    shapes = tuple((name, tuple(p.shape)) for name, p in module.named_parameters() if not isinstance(p, lazy))
    known, key = _KNOWN.setdefault(module, {}), (size, told, shapes)
    if key not in known:
        known[key] = replace(_examined(module, size, told), module=nn.Identity())
    return replace(known[key], module=module)


def _examined(module: nn.Module, size: tuple[int, int] | None, told: _Told) -> Model:
    """A module with all that is known of it, and with notes on what was guessed."""
    own = next((found for tell in _TELLERS if (found := tell(module)) is not None), None)
    own = own or Found(module, type(module).__name__)
    found = replace(
        own,
        module=module,
        size=size or told.size or own.size,
        size_from="asked for" if size else "preprocess" if told.size else own.size_from,
        preprocess=told.preprocess or own.preprocess,
        labels=told.labels or own.labels,
        provenance={"source": "memory", **own.provenance},
        notes=(*(n for n in own.notes if told.preprocess is None or not _is_about_input(n)), *told.notes),
    )
    model = settled(found, "", None)
    provenance = {name: value for name, value in model.provenance.items() if name != "spec"}
    notes = [*provenance["notes"], *_guesses(found, model, provenance["size_from"])]
    return replace(model, provenance={**provenance, "notes": notes})


def _is_about_input(note: str) -> bool:
    """Whether a library's note is about the preprocessing that it found or guessed."""
    return note.startswith(("preprocess", "a guess"))


def _guesses(found: Found, model: Model, size_from: str) -> list[str]:
    notes = []
    if found.size is None:
        height, width = model.size
        why = size_from.removeprefix("guessed: ")
        notes.append(f"a guess: input of {height}x{width} px ({why}); give size= if it was made for another")
    if found.preprocess is None and model.preprocess.channels != "grey":
        notes.append(
            "a guess: it takes RGB in [0, 1] as it is, because nothing says otherwise; give "
            "preprocess=snellen.Preprocess(mean=..., std=...) if it was trained on normalized images"
        )
    return notes


def _by_torchvision(module: nn.Module) -> Found | None:
    """torchvision's networks keep nothing of their weights' metadata; nearly all of them share one normalization."""
    home = type(module).__module__
    if not home.startswith("torchvision.models.") or ".detection." in home:
        return None
    note = "a guess: ImageNet's mean and deviation, as torchvision's own weights have them; preprocess= overrides it"
    return Found(module, type(module).__name__, preprocess=_IMAGENET, notes=(note,))


_TELLERS: tuple[Callable[[nn.Module], Found | None], ...] = (timm_config, transformers_config, _by_torchvision)
"""Libraries that may know a module of theirs, asked in this order: each gives a `Found`, or None for a stranger."""
