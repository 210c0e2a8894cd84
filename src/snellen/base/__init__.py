"""The floor of the house: errors, canonical specs and keys, seeds that fork. Standard library only."""

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
from snellen.base.seed import Seed
from snellen.base.spec import canonical, key

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
    "canonical",
    "key",
    "nearest",
]
