"""Where models come from: one word says which, and nothing is ever downloaded."""

from snellen.models.sources.load import load_model

__all__ = ["load_model"]
