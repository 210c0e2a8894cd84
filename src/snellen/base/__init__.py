"""The floor of the house: errors, specs and keys, seeds that fork, files that are whole. Standard library only."""

from snellen.base.errors import (
    DependencyError,
    ImageError,
    LayerError,
    ModelError,
    OutputError,
    RecordError,
    SnellenError,
    UnitError,
    UsageError,
    WeightsError,
    nearest,
)
from snellen.base.seal import altered, digest, encode_json, read_stamped, seal, stamp, unseal
from snellen.base.seed import Seed
from snellen.base.spec import canonical, key
from snellen.base.writing import cannot_write, is_file, is_folder, reason, sweep, try_folder, write_atomic

__all__ = [
    "DependencyError",
    "ImageError",
    "LayerError",
    "ModelError",
    "OutputError",
    "RecordError",
    "Seed",
    "SnellenError",
    "UnitError",
    "UsageError",
    "WeightsError",
    "altered",
    "cannot_write",
    "canonical",
    "digest",
    "encode_json",
    "is_file",
    "is_folder",
    "key",
    "nearest",
    "read_stamped",
    "reason",
    "seal",
    "stamp",
    "sweep",
    "try_folder",
    "unseal",
    "write_atomic",
]
