"""Checks: images and activations in, a Finding out. A check never makes activations; a source hands them over."""

from snellen.checks.agreement import Family, Space, agreement
from snellen.checks.finding import Finding, Verdict
from snellen.checks.groups import Group, Grouping, by_class, by_unit
from snellen.checks.judgement import Judgement, judge
from snellen.checks.jumps import Walks, jumps, search
from snellen.checks.path_similarity import Paths, measure_paths, path_similarity
from snellen.checks.procedure import Course, Variant, procedure
from snellen.checks.response_gap import response_gap
from snellen.checks.silent_scan import Gate, Responses, silent_scan
from snellen.checks.source import ActivationSource

__all__ = [
    "ActivationSource",
    "Course",
    "Family",
    "Finding",
    "Gate",
    "Group",
    "Grouping",
    "Judgement",
    "Paths",
    "Responses",
    "Space",
    "Variant",
    "Verdict",
    "Walks",
    "agreement",
    "by_class",
    "by_unit",
    "judge",
    "jumps",
    "measure_paths",
    "path_similarity",
    "procedure",
    "response_gap",
    "search",
    "silent_scan",
]
