"""The floor of the house: errors, bounds, foreign files, canonical specs and keys, seeds that fork.

Standard library only. Readers of foreign files are in `files`, shapes of JSON in `shape`: commands start without them.
"""

from snellen.base.bounds import MOST_SEED, MOST_SIDE, MOST_STEPS, check_seed, check_steps
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
    brief,
    nearest,
)
from snellen.base.seed import Seed
from snellen.base.spec import canonical, key

__all__ = [
    "MOST_SEED",
    "MOST_SIDE",
    "MOST_STEPS",
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
    "brief",
    "canonical",
    "check_seed",
    "check_steps",
    "key",
    "nearest",
]
