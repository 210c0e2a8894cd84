"""Weights from files: safetensors at once, pickles only for those who trust them, and only where they fit."""

import hashlib
import io
import json
import pickle
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from snellen.base import WeightsError

_PICKLES = (".pt", ".pth", ".bin", ".ckpt", ".pkl", ".pickle", ".tar")
_MARKS = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")
_INDEX = ".index.json"
_MOST_SHARDS = 10_000
_DEEPEST = 8  # mappings inside mappings that a checkpoint may have
# what torch.compile, FSDP and activation checkpointing put into names, anywhere
_INNER = ("_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module")
# names of weights that are not meant where others in the same file fit, too: averages, and the student of a teacher
_SECOND = ("ema", "student", "momentum", "target", "averaged", "swa")


def is_pickle_name(name: str) -> bool:
    """Whether a file's name is one that PyTorch's pickles go by."""
    return name.lower().endswith(_PICKLES)


def read_weights(path: Path, *, trust_pickle: bool = False) -> tuple[dict[str, Tensor], str]:
    """A file's tensors by name, and the file's SHA-256.

    Args:
        path: safetensors; the index of sharded safetensors (`*.index.json`, whose shards lie beside it); or a pickle.
            Mappings inside mappings, as in a checkpoint with an optimizer beside, give names joined by dots.
        trust_pickle: allow pickles.

    Raises:
        WeightsError: no such file, a pickle without trust, or a file that holds no weights.
    """
    data = _bytes(path)
    if path.name.endswith(_INDEX):
        return _sharded(path, data)
    digest = hashlib.sha256(data).hexdigest()
    if is_pickle_name(path.name) or (data[:2] in _MARKS and data[8:9] != b"{"):  # a header of 1152 bytes begins so, too
        return _state(unpickle(path, trust_pickle=trust_pickle), path), digest
    import safetensors
    from safetensors.torch import load

    try:
        return load(data), digest
    except (safetensors.SafetensorError, ValueError, KeyError) as error:
        raise WeightsError(f"expected a safetensors file, got {path}, which is damaged or something else") from error


def _sharded(index: Path, data: bytes) -> tuple[dict[str, Tensor], str]:
    """All shards that an index names; the digest is over the index and the digests of the shards in order."""
    try:
        told = json.loads(data)["weight_map"]
        shards = sorted({str(name) for name in told.values()})
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise WeightsError(f"expected an index of sharded weights, got {index}, which is damaged") from error
    foreign = [name for name in shards if Path(name).name != name or not name.endswith(".safetensors")]
    if foreign or not 0 < len(shards) <= _MOST_SHARDS:
        odd = f'"{foreign[0][:80]}"' if foreign else f"{len(shards)} of them"
        raise WeightsError(f"expected {index} to name safetensors files beside it, got {odd}; save the network again")
    digest, tensors = hashlib.sha256(data), dict[str, Tensor]()
    for name in shards:
        shard, sha256 = read_weights(index.with_name(name))
        digest.update(sha256.encode())
        tensors.update(shard)
    absent = [str(name) for name in told if name not in tensors]
    if absent:
        raise WeightsError(f"expected the shards of {index.name} to hold all that it names, {few(absent)} not found")
    return tensors, digest.hexdigest()


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


def fill(module: nn.Module, state: Mapping[str, Tensor], path: Path) -> tuple[str, ...]:
    """Copy weights into a module; every name and shape has to fit, or nothing is changed.

    A prefix that all of the network's names have in the file (`module.`, `model.net.`, the name of a wrapper such as
    `state_dict.`) is found and taken off, and so is one that only the module has; what lies beside it is left.

    Returns:
        What a reader of the report has to know: a prefix, tensors not used, another precision.

    Raises:
        WeightsError: names are missing or unexpected, shapes or kinds of numbers differ (the message gives the first
            few), or several sets of weights fit and differ.
    """
    own = {n: t for n, t in module.state_dict().items() if isinstance(t, Tensor)}
    given = {plain: state[n] for n, plain in _plain(state).items()}
    for start in _starts(own):
        names = {plain.removeprefix(start): n for n, plain in _plain(own).items()}
        wanted = {plain: own[n] for plain, n in names.items()}
        fitting = _fitting(wanted, given)
        if fitting:
            break
    else:
        names = {plain: n for n, plain in _plain(own).items()}
        wanted = {plain: own[n] for plain, n in names.items()}
        fitting = [_nearest_prefix(wanted, given)]
    prefix, others = _meant(fitting, wanted, given, path)
    inside = {n.removeprefix(prefix): t for n, t in given.items() if n.startswith(prefix)}
    _refuse_misfits(module, wanted, inside, path)
    module.load_state_dict({names[n]: inside[n] for n in wanted if n in inside}, strict=False)
    return _told(given, {n: inside[n] for n in wanted if n in inside}, (prefix, *others), wanted)


def _plain(names: Iterable[str]) -> dict[str, str]:
    """Each name without what wrappers put inside it."""
    return {n: ".".join(p for p in n.split(".") if p not in _INNER) for n in names}


def _starts(own: Mapping[str, Tensor]) -> list[str]:
    """What all names of the module begin with, shortest first: it may be wrapped where the file is not."""
    split = [n.split(".")[:-1] for n in _plain(own).values()]
    starts = [""]
    for parts in zip(*split, strict=False):
        if len(set(parts)) > 1:
            break
        starts.append(f"{starts[-1]}{parts[0]}.")
    return starts


def _is_counter(name: str) -> bool:
    return name.endswith("num_batches_tracked")


def _candidates(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    needed = [n for n in wanted if not _is_counter(n)]
    found = [
        name[: len(name) - len(anchor)]
        for anchor in (*needed[:1], *needed[-1:])
        for name in given
        if name == anchor or name.endswith(f".{anchor}")
    ]
    return list(dict.fromkeys(found))


def _fitting(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> list[str]:
    """Prefixes under which the file holds all of the network, the one that is meant first."""
    needed = {n: t for n, t in wanted.items() if not _is_counter(n)}
    fitting = [p for p in _candidates(wanted, given) if all(_fits(given.get(p + n), t) for n, t in needed.items())]
    return sorted(fitting, key=lambda p: (_is_second(p), len(p), p))


def _nearest_prefix(wanted: Mapping[str, Tensor], given: Mapping[str, Tensor]) -> str:
    """The prefix under which most of the network is, for a message about the rest."""
    return max(_candidates(wanted, given), key=lambda p: (sum(p + n in given for n in wanted), -len(p)), default="")


def _meant(
    fitting: Sequence[str], wanted: Mapping[str, Tensor], given: Mapping[str, Tensor], path: Path
) -> tuple[str, list[str]]:
    """Of prefixes that fit the one to take, and others under which there are other weights."""
    first, *rest = fitting
    shared = [n for n in wanted if not _is_counter(n)]
    differing = [p for p in rest if not all(_same(given[first + n], given[p + n]) for n in shared)]
    if any(_is_second(p) == _is_second(first) for p in differing):
        told = ", ".join(f'"{p.rstrip(".") or "top"}"' for p in (first, *differing))
        raise WeightsError(
            f"expected one set of weights for the network, got {1 + len(differing)} that fit and differ in {path.name} "
            f"({told}); save the one that you mean alone"
        )
    return first, differing


def _is_second(prefix: str) -> bool:
    return any(word in prefix.lower() for word in _SECOND)


def _fits(tensor: Tensor | None, wanted: Tensor) -> bool:
    return tensor is not None and (is_lazy(wanted) or tensor.shape == wanted.shape)


def _same(first: Tensor, second: Tensor) -> bool:
    return first.dtype == second.dtype and torch.equal(first, second)


def _storage(tensor: Tensor) -> tuple[Any, ...]:
    """The same for two names of one tensor."""
    return (id(tensor),) if is_lazy(tensor) else (tensor.data_ptr(), tensor.shape, tensor.stride())


def _refuse_misfits(module: nn.Module, wanted: Mapping[str, Tensor], inside: Mapping[str, Tensor], path: Path) -> None:
    both = {n: (inside[n], t) for n, t in wanted.items() if n in inside and not _is_counter(n)}
    shared = {_storage(t) for _, t in both.values()}
    problems = {
        "missing": [
            n for n, t in wanted.items() if n not in inside and not _is_counter(n) and _storage(t) not in shared
        ],
        "unexpected": sorted(n for n in inside if n not in wanted and not _is_counter(n)),
        "of another shape": [
            f"{n} {tuple(given.shape)} for {tuple(t.shape)}" for n, (given, t) in both.items() if not _fits(given, t)
        ],
        "of another kind of numbers": [
            f"{n} {given.dtype} for {t.dtype}".replace("torch.", "")
            for n, (given, t) in both.items()
            if given.is_floating_point() != t.is_floating_point() or given.is_complex() != t.is_complex()
        ],
    }
    told = [f"{len(names)} {what} ({few(names)})" for what, names in problems.items() if names]
    if told:
        raise WeightsError(
            f"expected weights that fit {type(module).__name__}, got {path.name} with {', '.join(told)}; "
            "give the weights of this very network"
        )


def _told(
    given: Mapping[str, Tensor], used: Mapping[str, Tensor], prefixes: Sequence[str], wanted: Mapping[str, Tensor]
) -> tuple[str, ...]:
    prefix, *others = prefixes
    notes = [f'weights: "{prefix}" was taken off the names in the file'] if prefix else []
    notes += [f'weights: the file holds others that fit, under "{p}"; they are not used' for p in others]
    beside = [n for n in given if not n.startswith(tuple(prefixes))]
    if beside:
        notes.append(f"weights: {len(beside)} other tensors of the file are not used ({few(beside)})")
    return (*notes, *precision_notes((t.dtype, wanted[n].dtype) for n, t in used.items()))


def precision_notes(kinds: Iterable[tuple[torch.dtype, torch.dtype]]) -> list[str]:
    """Says so where floating numbers are stored in another precision than they are computed in.

    Args:
        kinds: of each tensor, as stored and as computed.
    """
    pairs = {(a, b) for a, b in kinds if a != b and a.is_floating_point and b.is_floating_point}
    told = sorted(f"stored as {a}, computed in {b}".replace("torch.", "") for a, b in pairs)
    return [f"weights: {line}" for line in told]


def _state(loaded: Any, path: Path) -> dict[str, Tensor]:
    """All tensors of nested mappings (and of modules in them), by names joined with dots."""
    tensors: dict[str, Tensor] = {}
    waiting: list[tuple[str, Any, int]] = [("", loaded, 0)]
    while waiting:
        name, value, depth = waiting.pop()
        if isinstance(value, Tensor):
            tensors[name] = value.detach()
        elif isinstance(value, nn.Module):
            waiting.append((name, value.state_dict(), depth))
        elif isinstance(value, Mapping) and depth < _DEEPEST:
            waiting += [(f"{name}.{key}" if name else str(key), v, depth + 1) for key, v in value.items()]
    if not tensors:
        raise WeightsError(f"expected tensors by name in {path}, got {type(loaded).__name__} without any")
    return tensors


def _bytes(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise WeightsError(f"expected a file of weights, got {path}, which is no regular file")
    try:
        return path.read_bytes()
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        raise WeightsError(f"expected a file of weights, got {path}: {reason}") from error


def few(names: Sequence[str], most: int = 3) -> str:
    """The first few of many names."""
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")
