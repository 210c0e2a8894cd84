"""The floor of the house: errors, bounds, canonical specs and keys, seeds that fork, files that are whole.

Standard library only. Readers of foreign files are in `files`, shapes of JSON in `shape`: commands start without them.
"""

from snellen.base.bounds import MOST_SEED, MOST_SIDE, MOST_STEPS, check_seed, check_steps
from snellen.base.errors import (
    DependencyError,
    ImageError,
    Interrupted,
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
from snellen.base.progress import Note, Tell, silence
from snellen.base.seal import altered, digest, encode_json, read_stamped, seal, stamp, unseal
from snellen.base.seed import Seed
from snellen.base.selection import evenly
from snellen.base.spec import canonical, key
from snellen.base.writer import cannot_write, is_file, is_folder, sweep, try_folder, write_atomic

__all__ = [
    "MOST_SEED",
    "MOST_SIDE",
    "MOST_STEPS",
    "DependencyError",
    "ImageError",
    "Interrupted",
    "LayerError",
    "ModelError",
    "Note",
    "OutputError",
    "RecordError",
    "Seed",
    "SnellenError",
    "Tell",
    "UnitError",
    "UsageError",
    "WeightsError",
    "altered",
    "brief",
    "cannot_write",
    "canonical",
    "check_seed",
    "check_steps",
    "digest",
    "encode_json",
    "evenly",
    "is_file",
    "is_folder",
    "key",
    "nearest",
    "read_stamped",
    "seal",
    "silence",
    "stamp",
    "sweep",
    "try_folder",
    "unseal",
    "write_atomic",
]
