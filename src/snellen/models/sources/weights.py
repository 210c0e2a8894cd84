"""Weights from files: safetensors at once, pickles only for those who trust them, and only where they fit."""

import hashlib
import io
import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from snellen.base import WeightsError

_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")
_WRAPPERS = ("state_dict", "model_state_dict", "model", "net", "module", "weights")
_PREFIXES = ("module.", "model.", "_orig_mod.")


def is_pickle_name(name: str) -> bool:
    """Whether a file's name is one that PyTorch's pickles go by."""
    return name.lower().endswith(_PICKLES)


def read_weights(path: Path, *, trust_pickle: bool = False) -> tuple[dict[str, Tensor], str]:
    """A file's tensors by name, and the file's SHA-256.

    Raises:
        WeightsError: no such file, a pickle without trust, or a file that holds no weights.
    """
    data = _bytes(path)
    digest = hashlib.sha256(data).hexdigest()
    if is_pickle_name(path.name) or data[:2] in (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"):
        return _state(unpickle(path, trust_pickle=trust_pickle), path), digest
    import safetensors
    from safetensors.torch import load

    try:
        return load(data), digest
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"expected a safetensors file, got {path}, which is damaged or something else") from error


def unpickle(path: Path, *, trust_pickle: bool) -> Any:
    """What a pickle holds: tensors and plain data if PyTorch's safe reader can do it, else anything.

    Raises:
        WeightsError: without trust, or the file cannot be read.
    """
    if not trust_pickle:
        raise WeightsError(
            f"{path} is a pickle, which can run any code when it is read; convert it to safetensors, or pass "
            "--trust-pickle if you know who made it"
        )
    if not path.is_file():
        raise WeightsError(f"expected a file of weights, got {path}, which does not exist")
    data = io.BytesIO(path.read_bytes())  # by name, torch.load would go by the suffix
    try:
        return torch.load(data, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError):
        data.seek(0)
    try:
        return torch.load(data, map_location="cpu", weights_only=False)
    except Exception as error:  # a pickle runs anything, so anything can go wrong
        first = (str(error).splitlines() or [""])[0]
        raise WeightsError(f"expected {path} to be readable, got {type(error).__name__}: {first}") from error


def fill(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> None:
    """Copy weights into a module; every name and shape has to fit, or nothing is changed.

    Raises:
        WeightsError: names are missing or unexpected, or shapes differ; the message gives the first few.
    """
    wanted = module.state_dict()
    given = _stripped(state, wanted)
    counters = {n for n in wanted if n.endswith("num_batches_tracked")}
    missing = [n for n in wanted if n not in given and n not in counters]
    unexpected = sorted(n for n in given if n not in wanted)
    shapes = [
        f"{n} {tuple(given[n].shape)} for {tuple(wanted[n].shape)}"
        for n in wanted
        if n in given and given[n].shape != wanted[n].shape
    ]
    problems = (("missing", missing), ("unexpected", unexpected), ("of another shape", shapes))
    told = [f"{len(names)} {what} ({_few(names)})" for what, names in problems if names]
    if told:
        raise WeightsError(
            f"expected weights that fit {type(module).__name__}, got {path.name} with {', '.join(told)}; "
            "give the weights of this very network"
        )
    module.load_state_dict(dict(given), strict=False)


def _stripped(state: Mapping[str, Tensor], wanted: Iterable[str]) -> Mapping[str, Tensor]:
    """Without the prefix that DataParallel, Lightning or torch.compile put before every name."""
    names = set(wanted)
    for prefix in _PREFIXES:
        if state and all(n.startswith(prefix) for n in state) and not names & set(state):
            return {n.removeprefix(prefix): t for n, t in state.items()}
    return state


def _state(loaded: Any, path: Path) -> dict[str, Tensor]:
    if isinstance(loaded, nn.Module):
        return loaded.state_dict()
    for name in _WRAPPERS:
        if isinstance(loaded, Mapping) and isinstance(loaded.get(name), Mapping):
            loaded = loaded[name]
    if isinstance(loaded, Mapping) and loaded and all(isinstance(t, Tensor) for t in loaded.values()):
        return {str(n): t for n, t in loaded.items()}
    raise WeightsError(f"expected tensors by name in {path}, got {type(loaded).__name__}")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise WeightsError(f"expected a file of weights, got {path}: {reason}") from error


def _few(names: list[str], most: int = 3) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
