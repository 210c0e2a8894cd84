"""Checks: each a value that says what it asks, looks at a network's units, and returns a finding; and the judge of all.

    snellen.checks.Jumps()(net, ["layer4:17", "fc:3"], images="folder")

`snellen.audit` makes all of them. What they measure, and by which thresholds: docs/checks.md.
"""

from snellen.checks.agreement import Agreement
from snellen.checks.check import Check, Exhibit, Threshold, UnitCheck
from snellen.checks.decoding import Decoding
from snellen.checks.early_layers import EarlyLayers
from snellen.checks.extrapolation import Extrapolation
from snellen.checks.finding import Finding, Verdict
from snellen.checks.gradient_honesty import GradientHonesty
from snellen.checks.jumps import Jumps
from snellen.checks.path_similarity import PathSimilarity
from snellen.checks.procedure import Procedure
from snellen.checks.rebuilding import Rebuilding
from snellen.checks.response_gap import ResponseGap
from snellen.checks.rows import UnitRow
from snellen.checks.siblings import Siblings
from snellen.checks.silent_scan import SilentScan
from snellen.checks.starts import Starts
from snellen.checks.surrogates import Surrogates
from snellen.checks.transplants import Transplants

__all__ = [
    "Agreement",
    "Check",
    "Decoding",
    "EarlyLayers",
    "Exhibit",
    "Extrapolation",
    "Finding",
    "GradientHonesty",
    "Jumps",
    "PathSimilarity",
    "Procedure",
    "Rebuilding",
    "ResponseGap",
    "Siblings",
    "SilentScan",
    "Starts",
    "Surrogates",
    "Threshold",
    "Transplants",
    "UnitCheck",
    "UnitRow",
    "Verdict",
]
