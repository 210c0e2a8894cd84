"""From a word on the command line to a model that is known to run."""

import re
from dataclasses import replace
from pathlib import Path

import torch

from snellen.base import MOST_SIDE, DependencyError, ModelError, UsageError, brief
from snellen.base.files import home
from snellen.models.model import Model
from snellen.models.sources.file import from_file, from_pickle
from snellen.models.sources.folder import from_saved, is_saved
from snellen.models.sources.found import Found
from snellen.models.sources.probe import probe, runs_at
from snellen.models.sources.source import SOURCES
from snellen.models.sources.weights import fill, is_pickle_name, read_weights
from snellen.models.survey import survey

_WORD = re.compile(r"[\w.-]+")


def load_model(
    spec: str,
    *,
    weights: Path | str | None = None,
    size: int | tuple[int, int] | None = None,
    trust_pickle: bool = False,
    device: str = "cpu",
    base: str | None = None,
) -> Model:
    """Load a model; global random state stays as it is, and nothing is downloaded.

    Args:
        spec: "builtin", "path/to/file.py:factory" (returns an `nn.Module` that takes RGB in [0, 1], or a
            `snellen.Model`), "torchvision:NAME", "timm:NAME", "transformers:FOLDER" (an image classifier, as
            `save_pretrained` writes it), the folder of a model that `snellen deceive` saved, or a pickled module
            "FILE.pt" with `trust_pickle`.
        weights: a local safetensors file that fits the module exactly. Without it torchvision and timm networks get
            random weights (always the same), and the provenance says so.
        size: input size in pixels; else what the model or its library says, else a guess that is noted.
        trust_pickle: allow pickled weights; a pickle can run any code.
        device: "cpu" or "cuda".
        base: for the folder of a saved model, the honest network it is built from, as `spec`. Without it the folder may
            name a built-in or a library's network, but no file with code: that is run only for whoever names it here.

    Examples:
        >>> net = snellen.load_model("builtin")
        >>> net.size
        (64, 64)

    Raises:
        UsageError: the spec or the device makes no sense.
        ModelError: the model cannot be found, loaded or run.
        WeightsError: the weights are refused, unreadable or do not fit.
        DependencyError: torchvision, timm or transformers is asked for and not installed.
    """
    if base is not None and not is_saved(spec):
        raise UsageError(f'expected --base only with the folder of a saved model, got "{brief(spec)}"; leave it away')
    found = _find(spec, trust_pickle=trust_pickle, base=base)
    if weights is not None:
        found = _filled(found, Path(weights), trust_pickle=trust_pickle)
    elif found.provenance.get("weights") == "random":
        found = replace(
            found, notes=(*found.notes, "random weights: give trained ones with --weights FILE.safetensors")
        )
    model = settled(found, spec, pair(size))
    model.module.eval().to(chosen_device(device))
    return model


def _find(spec: str, *, trust_pickle: bool, base: str | None = None) -> Found:
    head, colon, tail = spec.partition(":")
    if spec == "builtin":
        from snellen.models.builtin import load_builtin

        model = load_builtin()
        return Found(
            model.module, model.name, model.size, "the model", model.preprocess, model.labels, dict(model.provenance)
        )
    if colon and _WORD.fullmatch(head) and head in SOURCES.parts:
        return SOURCES.load(head).found(tail)
    if is_saved(spec):
        return from_saved(home(spec), lambda honest: _find_honest(honest, trust_pickle=trust_pickle), base=base)
    path, colon, factory = spec.rpartition(":")
    if colon and path.endswith(".py"):
        return from_file(Path(path), factory)
    if spec.endswith(".py"):
        raise UsageError(f'expected the name of a factory after the file, as in "{spec}:load", got "{spec}"')
    if is_pickle_name(spec):
        return from_pickle(Path(spec), trust_pickle=trust_pickle)
    raise UsageError(f'expected a model as {_forms()}, got "{brief(spec)}"')


def _forms() -> str:
    named = "".join(f'"{name}:{_what(name)}", ' for name in SOURCES.parts)
    return f'"builtin", "path/to/file.py:factory", {named.removesuffix(", ")} or the folder of a saved model'


def _what(source: str) -> str:
    """What stands behind the colon; of a source that cannot be loaded, whatever the reason, nothing is known."""
    try:
        return SOURCES.load(source).what
    except (DependencyError, UsageError):
        return "..."


def _find_honest(spec: str, *, trust_pickle: bool) -> Found:
    if is_saved(spec):
        raise UsageError(f'an honest network is needed, and "{brief(spec)}" is a manipulated one')
    return _find(spec, trust_pickle=trust_pickle)


def _filled(found: Found, weights: Path, *, trust_pickle: bool) -> Found:
    if found.provenance.get("source") == "builtin":
        raise UsageError("expected no --weights with the built-in model, whose weights are its own; leave them away")
    state, digest = read_weights(weights, trust_pickle=trust_pickle)
    notes = fill(found.module, state, weights)
    provenance = {**found.provenance, "weights": {"file": weights.name, "sha256": digest}}
    return replace(found, provenance=provenance, notes=(*found.notes, *notes))


def settled(found: Found, spec: str, asked: tuple[int, int] | None) -> Model:
    """Fix what the source left open by trying, and make sure that one picture goes through.

    Raises:
        ModelError: none does.
    """
    size, size_from = (asked, "--size") if asked else (found.size, found.size_from)
    preprocess, notes = found.preprocess, found.notes
    if size is None or preprocess is None:
        tried = probe(found.module, size=size, preprocess=preprocess)
        size_from = size_from or f"guessed: {tried.why}"
        size, preprocess = tried.size, tried.preprocess
        if preprocess.channels == "grey":
            notes = (*notes, "the network takes one channel: pictures are turned to grey before it sees them")
    provenance = {**found.provenance, "spec": spec, "size_from": size_from, "notes": list(notes)}
    model = Model(found.module, found.name, size, preprocess, found.labels, provenance)
    try:
        runs_at(model, size)
    except ModelError:  # what comes after its layers may fail, as what detectors make of their features
        if not survey(model).layers:
            raise
    return model


def pair(size: int | tuple[int, int] | None) -> tuple[int, int] | None:
    """Height and width of a size; one number stands for both.

    Raises:
        UsageError: out of bounds.
    """
    sides = (size, size) if isinstance(size, int) else size
    if sides is not None and not all(1 <= side <= MOST_SIDE for side in sides):
        raise UsageError(f"expected a size between 1 and {MOST_SIDE} pixels, got {sides[0]}x{sides[1]}")
    return sides


def chosen_device(name: str) -> str:
    """What a device's name comes to on this machine; "auto" is "cuda" where there is one, else "cpu".

    Raises:
        UsageError: no such device.
    """
    chosen = name
    if name == "auto":
        chosen = "cuda" if torch.cuda.is_available() else "cpu"
    if chosen.split(":")[0] not in ("cpu", "cuda"):
        raise UsageError(f'expected the device "auto", "cpu" or "cuda", got "{name}"')
    if chosen.startswith("cuda") and not torch.cuda.is_available():
        raise UsageError("expected a CUDA device, but PyTorch finds none; use --device cpu")
    return chosen
