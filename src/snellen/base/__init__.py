"""The floor of the house: errors, bounds, foreign files, canonical specs and keys, seeds that fork.

Standard library only.
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
from snellen.base.files import home, open_regular, read_file, read_json, why
from snellen.base.seed import Seed
from snellen.base.shape import ShapeError
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
    "ShapeError",
    "SnellenError",
    "UnitError",
    "UsageError",
    "WeightsError",
    "brief",
    "canonical",
    "check_seed",
    "check_steps",
    "home",
    "key",
    "nearest",
    "open_regular",
    "read_file",
    "read_json",
    "why",
]
