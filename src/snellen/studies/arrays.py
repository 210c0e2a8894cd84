"""What other jobs left in the store: pictures as tensors, and natural responses as arrays."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from snellen.jobs import Context
from snellen.pictures.sheet import from_png


def stacked(context: Context, names: Sequence[str]) -> Float[Tensor, "p 3 h w"]:
    """Pictures by the names of their blobs, at least one."""
    return torch.stack([from_png(context.store.blob(name)) for name in names])


def natural_responses(context: Context, entries: Sequence[Mapping[str, Any]]) -> Float[np.ndarray, "u n"]:
    """Every unit's responses to all natural images, from the exemplar job's results."""
    return np.array([context.store.get(entry["seen"])["responses"] for entry in entries], np.float64)
