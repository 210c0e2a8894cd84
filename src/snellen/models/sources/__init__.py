"""Where models come from: one word says which, and nothing is ever downloaded; or from memory."""

from snellen.models.sources.load import load_model
from snellen.models.sources.opened import ModelLike, open_model

__all__ = ["ModelLike", "load_model", "open_model"]
