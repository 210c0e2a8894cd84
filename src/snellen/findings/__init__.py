"""Findings: images and activations in, a Finding out. A check never makes activations; a source hands them over."""

from snellen.findings.agreement import Family, Space, agreement
from snellen.findings.finding import Finding, Verdict, badge
from snellen.findings.groups import Group, Grouping, by_class, by_unit
from snellen.findings.judgement import Judgement, judge
from snellen.findings.jumps import Walks, jumps, search
from snellen.findings.path_similarity import Paths, measure_paths, path_similarity
from snellen.findings.procedure import Course, Variant, procedure
from snellen.findings.response_gap import response_gap
from snellen.findings.silent_scan import Gate, Responses, silent_scan
from snellen.findings.source import ActivationSource

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
    "badge",
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
