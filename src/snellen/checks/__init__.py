"""Checks: images and activations in, a Finding out. A check never makes activations; a source hands them over."""

from snellen.checks.finding import Finding, Verdict
from snellen.checks.groups import Group, Grouping, by_class, by_unit
from snellen.checks.path_similarity import Paths, measure_paths, path_similarity
from snellen.checks.source import ActivationSource

__all__ = [
    "ActivationSource",
    "Finding",
    "Group",
    "Grouping",
    "Paths",
    "Verdict",
    "by_class",
    "by_unit",
    "measure_paths",
    "path_similarity",
]
