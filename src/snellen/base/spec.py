"""Specs: what was asked for, as canonical JSON, and the key that addresses its result."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Mapping
from typing import Any


def canonical(spec: Any) -> str:
    """The one JSON text of a spec: keys sorted, no spaces, ASCII, floats as Python's shortest repr.

    Dataclasses become objects of their fields, with their class name under "type"; tuples become lists.

    Args:
        spec: None, bool, int, finite float, str, dataclasses, mappings with string keys, lists and tuples of these.

    Raises:
        TypeError: anything else is in it.
        ValueError: a float is not finite.
    """
    return json.dumps(_plain(spec), sort_keys=True, separators=(",", ":"), allow_nan=False)


def key(spec: Any) -> str:
    """Thirty-two hexadecimal digits (128 bits of SHA-256) that name a spec's result."""
    return hashlib.sha256(canonical(spec).encode()).hexdigest()[:32]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"expected a finite number in a spec, got {value}")
        return value
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"type": type(value).__name__, **fields}
    if isinstance(value, Mapping):
        if not all(isinstance(k, str) for k in value):
            raise TypeError("expected string keys in a spec")
        return {k: _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    raise TypeError(f"expected plain data in a spec, got {type(value).__name__}")
