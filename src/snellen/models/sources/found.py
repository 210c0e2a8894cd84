"""What a source found, before it is known whether it runs."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import nn

from snellen.models.model import Preprocess


@dataclass(frozen=True, eq=False)
class Found:
    """A module and what its source knows of it; None and empty where it knows nothing.

    Args:
        module: the network.
        name: for people.
        size: height and width of the input.
        size_from: who says so.
        preprocess: from RGB in [0, 1] to the module's input.
        labels: names of the last layer's units.
        provenance: plain data on where it came from.
        notes: what a reader of the report has to know about how it was loaded.
    """

    module: nn.Module
    name: str
    size: tuple[int, int] | None = None
    size_from: str = ""
    preprocess: Preprocess | None = None
    labels: tuple[str, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
