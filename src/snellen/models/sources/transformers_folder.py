"""transformers: vision networks from a local folder, as `save_pretrained` writes it, or already in memory."""

import contextlib
import inspect
import re
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from snellen.base import MOST_SIDE, ModelError, WeightsError
from snellen.base.files import home, read_json, why
from snellen.base.shape import ShapeError
from snellen.models.sources.found import Found
from snellen.models.sources.hub import imported, raised
from snellen.models.sources.processor import Seen, guessed, seen_by
from snellen.models.sources.source import Source
from snellen.models.sources.weights import few, precision_notes, read_weights
from snellen.models.steady import seeded

_MOST_BYTES = 16 << 20
_LARGEST = 1 << 20  # of whole numbers in a configuration: widths, labels, places
_MOST_LAYERS = 1000
_LAYERS = re.compile(r"(layers|depths?|blocks|stages|repeats|experts)$")
_SIDES = re.compile(r"(image|crop|pad|window|patch|kernel)_size$")
_ELSEWHERE = re.compile(r"(hf[-_]hub|local-dir):")  # timm would look there for a network
_ATTENTION = (None, "eager", "sdpa")  # other words name kernels that the library downloads
_HEADS = ("head", "heads", "fc", "classifier", "pooler", "mask_token")
_SMALL = 1 << 22  # numbers that a network may have beside its weights: tables of places
_LONGEST_LABEL = 200


def from_transformers(folder: Path) -> Found:
    """A network of the transformers library with its weights, size and preprocessing, all from one folder.

    The architecture is the one that the configuration names. Weights that are missing are never made up: where only a
    head is missing, the network is taken without it; else the folder is refused. Weights that are not used, a prefix,
    another precision and every guess are noted. The processor's own output is compared with what the network will see.

    Args:
        folder: holds config.json, model.safetensors (or its index and shards) and, as a rule,
            preprocessor_config.json. Code that the folder may bring is never run, and nothing is downloaded.

    Raises:
        DependencyError: transformers is not installed.
        ModelError: the folder is not one of a vision network, or its processor does what no `Preprocess` says.
        WeightsError: its weights are not safetensors, damaged, or do not fit.
    """
    folder = home(folder)
    if (folder / "adapter_config.json").is_file():
        raise ModelError(
            f"expected a whole network in {folder}, got an adapter; merge it into its network (merge_and_unload) and "
            "save that"
        )
    if not (folder / "config.json").is_file():
        raise ModelError(f"expected a folder with config.json, got {folder}; save the network with save_pretrained")
    _checked(folder / "config.json", _LARGEST)
    told = [p for p in (folder / "preprocessor_config.json", folder / "processor_config.json") if p.exists()]
    for path in told:
        _checked(path, MOST_SIDE)
    weights = _weights_file(folder)
    state, digest = read_weights(weights, trust_pickle=False)
    library = imported("transformers", "transformers")
    imported("transformers.modeling_utils", "transformers")  # what networks need is loaded late, and may not load
    with seeded(0), _quiet(library):
        config = _config(library, folder)
        module, notes = _loaded(library, folder, config, state)
        if told or config.model_type == "timm_wrapper":  # which has it in the configuration
            seen = seen_by(_processor(library, folder), channels_of(module))
        else:
            seen = guessed(library, str(config.model_type), channels_of(module))
    size, size_from = _size(seen, module)
    labels, odd = labels_of(module)
    return Found(
        module,
        folder.resolve().name,
        size,
        size_from,
        seen.preprocess,
        labels,
        {
            "source": "transformers",
            "library": f"transformers {library.__version__}",
            "architecture": type(module).__name__,
            "weights": {"file": weights.name, "sha256": digest},
            "preprocess_from": seen.origin,
        },
        (*notes, *precision_notes((t.dtype, torch.float32) for t in state.values()), *seen.notes, *odd),
    )


def transformers_config(module: nn.Module) -> Found | None:
    """What a network of the transformers library that is already in memory says of itself; None for other networks.

    Size and channels come from its configuration, labels from `id2label`. Preprocessing comes from the processor that
    lies where the network was loaded from, if it is on this machine, else it is a guess that is noted: what the
    processor of this kind of network does by default.

    Args:
        module: any; transformers is imported only where the module is one of its networks.
    """
    if not any(base.__module__.startswith("transformers.") for base in type(module).__mro__):
        return None
    library = imported("transformers", "transformers")
    if not isinstance(module, library.PreTrainedModel):
        return None
    with seeded(0), _quiet(library):
        seen = _remembered(library, module)
    size, size_from = _size(seen, module)
    labels, odd = labels_of(module)
    provenance = {
        "source": "memory",
        "library": f"transformers {library.__version__}",
        "architecture": type(module).__name__,
        "preprocess_from": seen.origin,
    }
    name = str(getattr(module.config, "model_type", "") or type(module).__name__)
    return Found(module, name, size, size_from, seen.preprocess, labels, provenance, (*seen.notes, *odd))


def channels_of(module: Any) -> int:
    """How many channels a network's configuration says that it takes."""
    told = _told(module.config, "num_channels")
    return told if isinstance(told, int) else 3


def labels_of(module: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Names of a network's classes, and notes; no names for backbones, and none that are only "LABEL_7"."""
    names = getattr(module.config, "id2label", None) or {}
    if not isinstance(names, Mapping) or not _has_classes(module):
        return (), ()
    if sorted(names) != list(range(len(names))):
        return (), ("labels: id2label does not number its classes from 0 without gaps; they go without names",)
    labels = tuple(_printable(str(names[k]).split(",")[0]) for k in range(len(names)))
    return (() if all(label.startswith("LABEL_") for label in labels) else labels), ()


def _printable(label: str) -> str:
    return label[:_LONGEST_LABEL].encode("utf-8", "replace").decode("utf-8")


def _told(config: Any, name: str) -> Any:
    """A value of a configuration, or of its part for pictures."""
    own = getattr(config, name, None)
    return own if own is not None else getattr(getattr(config, "vision_config", None), name, None)


def _size(seen: Seen, module: Any) -> tuple[tuple[int, int] | None, str]:
    if seen.size is not None:
        return seen.size, seen.origin
    told = _told(module.config, "image_size")
    pair = (told, told) if isinstance(told, int) else tuple(told) if isinstance(told, list | tuple) else ()
    if len(pair) == 2 and all(isinstance(s, int) and 1 <= s <= MOST_SIDE for s in pair):
        return (pair[0], pair[1]), "the network's configuration"
    return None, ""


# ---------------------------------------------------------------------------------------------- configuration


def _checked(path: Path, largest: int) -> None:
    """Refuse a JSON file that is no plain configuration with numbers up to the largest, before the library acts."""
    refuse = f"expected a configuration in {path}, got"
    try:
        told = read_json(path, dict, most=_MOST_BYTES)
    except OSError as error:
        raise ModelError(f"{refuse}: {why(error)}; save the network again") from error
    except ShapeError as error:
        raise ModelError(f"{refuse} a damaged one: {error}; save the network again") from error
    waiting: list[tuple[str, Any]] = [("", told)]
    while waiting:
        key, value = waiting.pop()
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(key, v) for v in value]
        elif problem := _problem(key, value, largest):
            raise ModelError(f"{refuse} {key[:40]}={str(value)[:40]}, {problem}; mend it, or save the network again")


def _problem(key: str, value: Any, largest: int) -> str:
    if "attn_implementation" in key and value not in _ATTENTION:
        return "which may be foreign code"
    if isinstance(value, str) and _ELSEWHERE.match(value):
        return "which lies elsewhere"
    if key == "crop_pct" and not (isinstance(value, int | float) and 0.1 <= value <= 1):
        return "not between 0.1 and 1"
    if isinstance(value, bool) or not isinstance(value, int | float):
        return ""
    if abs(value) > largest and (isinstance(value, int) or largest == MOST_SIDE):
        return f"above {largest}"
    if _LAYERS.search(key) and value > _MOST_LAYERS:
        return f"above {_MOST_LAYERS} layers"
    return f"above {MOST_SIDE} pixels" if _SIDES.search(key) and value > MOST_SIDE else ""


def _config(library: ModuleType, folder: Path) -> Any:
    with _one_line(f"expected the configuration of a vision network in {folder}"):
        config = library.AutoConfig.from_pretrained(str(folder), local_files_only=True, trust_remote_code=False)
    if getattr(config, "quantization_config", None):
        raise ModelError(f"expected weights in floating point in {folder}, got quantized ones; save it dequantized")
    return config


def _weights_file(folder: Path) -> Path:
    whole, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if whole.exists() or not index.exists():
        if not whole.exists() and any(folder.glob("*.bin")):
            raise WeightsError(
                f"expected model.safetensors in {folder}, got pickled weights, which can run any code; "
                "save the network again with a newer transformers"
            )
        return whole
    return index


# ---------------------------------------------------------------------------------------------- network


def _loaded(library: ModuleType, folder: Path, config: Any, state: dict[str, Tensor]) -> tuple[Any, list[str]]:
    """The network that the configuration names, filled; and notes."""
    if odd := [n for n, t in state.items() if n.endswith("weight") and not t.is_floating_point()]:
        raise WeightsError(f"expected weights in floating point in {folder}, got {state[odd[0]].dtype} in {odd[0]}")
    kind, config, notes = _architecture(library, folder, config, state)
    _refuse_larger(kind, config, state, folder)
    absent: list[str] = []
    for prefix in _prefixes(state):
        named = {n.removeprefix(prefix): t for n, t in state.items() if n.startswith(prefix)}
        whole, missing, unexpected = _filled(kind, config, named, folder)
        absent = absent or missing
        module, without = _without_head(whole, missing)
        if module is not None:
            _refuse_deeper(whole, unexpected, folder)
            unused = [*unexpected, *(n for n in state if not n.startswith(prefix))]
            notes += without or _headless(module)
            notes += [f'weights: "{prefix}" was taken off the names in the file'] if prefix else []
            notes += [f"weights: {len(unused)} tensors of the file are not used ({few(unused)})"] if unused else []
            return module.eval(), notes
    raise WeightsError(
        f"expected all weights of {kind.__name__} in {folder}, got {len(absent)} missing ({few(absent)}); "
        "save the network again, or name its architecture in config.json"
    )


def _architecture(
    library: ModuleType, folder: Path, config: Any, state: Mapping[str, Tensor]
) -> tuple[Any, Any, list[str]]:
    """The class of the network, its configuration, and notes: as named, else an image classifier, else a backbone."""
    named = getattr(config, "architectures", None)
    name = named[0] if isinstance(named, list | tuple) and named and isinstance(named[0], str) else None
    with _one_line(f"expected {name} of transformers to load for {folder}"):
        kind: Any = getattr(library, name, None) if name else None
    notes: list[str] = []
    part = getattr(config, "vision_config", None)
    if _is_network(library, kind) and isinstance(part, kind.config_class):
        config = part
    if not _is_network(library, kind) or not isinstance(config, kind.config_class):
        mappings = library.MODEL_FOR_IMAGE_CLASSIFICATION_MAPPING, library.MODEL_MAPPING
        kind = next((m[type(config)] for m in mappings if type(config) in m), None)
        kind = kind[0] if isinstance(kind, tuple) else kind
        notes = [f"architecture: the configuration names {name or 'none'}; guessed {getattr(kind, '__name__', None)}"]
    if not _is_network(library, kind):
        raise ModelError(f"expected a vision network in {folder}, got {name or type(config).__name__}")
    if kind.main_input_name == "pixel_values":
        return kind, config, notes
    tower: Any = library.MODEL_MAPPING.get(type(part), None)
    if part is None or tower is None:
        raise ModelError(f"expected a vision network in {folder}, got {kind.__name__}, which takes no pictures alone")
    projecting = getattr(library, f"{tower.__name__}WithProjection", None)
    if _is_network(library, projecting) and "visual_projection.weight" in state:
        tower = projecting
        part.projection_dim = config.projection_dim
    return tower, part, [*notes, f"architecture: of {kind.__name__} only the tower for pictures, {tower.__name__}"]


def _is_network(library: ModuleType, kind: Any) -> bool:
    known = isinstance(kind, type) and issubclass(kind, library.PreTrainedModel)
    return known and isinstance(kind.config_class, type)


def _refuse_larger(kind: Any, config: Any, state: Mapping[str, Tensor], folder: Path) -> None:
    """Before memory is taken for it: a network far larger than the file cannot be in it."""
    with _one_line(f"expected a vision network in {folder}"), torch.device("meta"):
        empty = kind(config)
    wanted = sum(t.numel() for t in (*empty.parameters(), *empty.buffers()))
    held = sum(t.numel() for t in state.values())
    if wanted > 2 * held + _SMALL:
        raise WeightsError(
            f"expected the weights of {kind.__name__} in {folder}, {wanted} numbers, got {held}; "
            "the configuration is of another network"
        )


def _filled(kind: Any, config: Any, state: dict[str, Tensor], folder: Path) -> tuple[Any, list[str], list[str]]:
    """The network, the names that the library had to make up, and those that it has no place for."""

    def fill(**options: Any) -> tuple[Any, Mapping[str, Any]]:
        with _one_line(f"expected the weights of {kind.__name__} in {folder}", WeightsError):
            module, told = kind.from_pretrained(
                None,
                config=config,
                state_dict=state,
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                dtype=torch.float32,
                **options,
            )
        shapes = [f"{name} {tuple(a)} for {tuple(b)}" for name, a, b in sorted(told["mismatched_keys"])]
        if shapes or told["error_msgs"]:
            problems = shapes or [" ".join(str(told["error_msgs"]).split())]
            raise WeightsError(
                f"expected weights that fit {kind.__name__} in {folder}, got {len(problems)} that do not "
                f"({few(problems)}); the configuration is of another network"
            )
        return module, told

    module, told = fill()
    if told["missing_keys"] and "add_pooling_layer" in inspect.signature(kind.__init__).parameters:
        bare, known = fill(add_pooling_layer=False)
        module, told = (module, told) if known["missing_keys"] else (bare, known)
    counters = {n for n, t in state.items() if not t.is_floating_point()}  # and places: nobody trained them
    return module, sorted(told["missing_keys"]), sorted(set(told["unexpected_keys"]) - counters)


def _without_head(module: Any, missing: list[str]) -> tuple[Any, list[str]]:
    """The network if it is whole; its backbone, and a note, if only what follows is missing; else None."""
    if not missing:
        return module, []
    backbone = module.base_model
    start = next((f"{n}." for n, m in module.named_modules() if m is backbone and n), None)
    if start is None or any(n.startswith(start) for n in missing):
        return None, []
    note = (
        f"weights: the file has no {few(missing)} of {type(module).__name__}; taken without this head, as "
        f"{type(backbone).__name__}: an embedding, no classes"
    )
    return backbone, [note]


def _headless(module: Any) -> list[str]:
    name = type(module).__name__
    return [] if _has_classes(module) else [f"architecture: {name} gives an embedding, no classes"]


def _has_classes(module: Any) -> bool:
    return re.search(r"For[A-Z]", type(module).__name__) is not None


def _refuse_deeper(module: Any, unexpected: list[str], folder: Path) -> None:
    """Other heads beside a network are harmless; weights inside it without a place make it another network."""
    parts = dict(module.named_modules())
    outside = ("", *(n for n, m in parts.items() if m is module.base_model))
    deep = []
    for name in unexpected:
        words = name.split(".")
        parent = next(i for i in range(len(words) - 1, -1, -1) if ".".join(words[:i]) in parts)
        if ".".join(words[:parent]) not in outside and words[parent] not in _HEADS:
            deep.append(name)
    if deep:
        raise WeightsError(
            f"expected a network that uses all weights of {folder}, got {type(module).__name__} without a place for "
            f"{len(deep)} of them ({few(deep)}); the configuration is of another network"
        )


def _prefixes(state: Mapping[str, Tensor]) -> list[str]:
    """None, and what most names begin with, ever longer: foreign prefixes worth a try."""
    found, names = [""], list(state)
    for _ in range(4):
        heads = [n.removeprefix(found[-1]).partition(".") for n in names]
        usual = max((h for h, dot, _ in heads if dot), key=[h for h, _, _ in heads].count, default="")
        if not usual:
            break
        found.append(f"{found[-1]}{usual}.")
        names = [n for n in names if n.startswith(found[-1])]
    return found


# ---------------------------------------------------------------------------------------------- processor


def _processor(library: ModuleType, where: Path | str) -> Any:
    """The image processor of a folder; the one without torchvision where that does not load."""
    options = {"local_files_only": True, "trust_remote_code": False}
    try:
        return library.AutoImageProcessor.from_pretrained(str(where), **options)
    except Exception:
        with _one_line(f"expected an image processor in {where}"):
            return library.AutoImageProcessor.from_pretrained(str(where), backend="pil", **options)


def _remembered(library: ModuleType, module: Any) -> Seen:
    where = str(getattr(module.config, "_name_or_path", "") or "")
    if where:
        try:
            return seen_by(_processor(library, where), channels_of(module), f" of {where}")
        except ModelError:
            pass
    return guessed(library, str(module.config.model_type), channels_of(module))


# ---------------------------------------------------------------------------------------------- the library


@contextlib.contextmanager
def _one_line(expected: str, kind: type[ModelError] = ModelError) -> Iterator[None]:
    """Whatever the library raises, in one line."""
    try:
        yield
    except ModelError:
        raise
    except Exception as error:  # the library's constructors raise whatever they like
        raise kind(f"{expected}, got {raised(error)}") from error


@contextlib.contextmanager
def _quiet(library: ModuleType) -> Iterator[None]:
    level, bars = library.logging.get_verbosity(), library.logging.is_progress_bar_enabled()
    library.logging.set_verbosity(100)
    library.logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        library.logging.set_verbosity(level)
        if bars:
            library.logging.enable_progress_bar()


TRANSFORMERS = Source("transformers", "FOLDER", lambda folder: from_transformers(Path(folder)))
