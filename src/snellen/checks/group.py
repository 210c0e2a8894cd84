"""All checks there are."""

from snellen.base.plugins import Group
from snellen.checks.check import Check

CHECKS: Group[type[Check]] = Group(
    "snellen.checks",
    "check",
    Check,
    {
        "path-similarity": "snellen.checks.path_similarity:PathSimilarity",
        "decoding": "snellen.checks.decoding:Decoding",
        "rebuilding": "snellen.checks.rebuilding:Rebuilding",
        "jumps": "snellen.checks.jumps:Jumps",
        "silent-scan": "snellen.checks.silent_scan:SilentScan",
        "agreement": "snellen.checks.agreement:Agreement",
        "procedure": "snellen.checks.procedure:Procedure",
        "response-gap": "snellen.checks.response_gap:ResponseGap",
        "surrogates": "snellen.checks.surrogates:Surrogates",
        "gradient-honesty": "snellen.checks.gradient_honesty:GradientHonesty",
        "early-layers": "snellen.checks.early_layers:EarlyLayers",
        "transplants": "snellen.checks.transplants:Transplants",
        "siblings": "snellen.checks.siblings:Siblings",
        "starts": "snellen.checks.starts:Starts",
        "extrapolation": "snellen.checks.extrapolation:Extrapolation",
    },
    classes=True,
)


def checks_for(*, quick: bool) -> tuple[Check, ...]:
    """Every check of an audit, in the order in which they are made."""
    return tuple(kind.sized(quick=quick) for kind in CHECKS.all().values())
