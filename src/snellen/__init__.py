"""snellen: an eye test for feature visualizations."""

__version__ = "0.1.0"
