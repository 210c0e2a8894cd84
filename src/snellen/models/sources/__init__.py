"""Where models come from: one word says which, and nothing is ever downloaded; or from memory."""

from snellen.models.sources.entrance import ModelLike, open_model
from snellen.models.sources.load import load_model

__all__ = ["ModelLike", "load_model", "open_model"]
