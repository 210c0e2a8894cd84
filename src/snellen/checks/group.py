"""All checks there are: the house's, and those that other packages offer under the entry points `snellen.checks`."""

from importlib.metadata import entry_points

from snellen.checks.agreement import Agreement
from snellen.checks.check import Check
from snellen.checks.gradient_honesty import GradientHonesty
from snellen.checks.jumps import Jumps
from snellen.checks.path_similarity import PathSimilarity
from snellen.checks.procedure import Procedure
from snellen.checks.response_gap import ResponseGap
from snellen.checks.silent_scan import SilentScan

GROUP = "snellen.checks"
BUILTIN: tuple[type[Check], ...] = (
    PathSimilarity,
    Jumps,
    SilentScan,
    Agreement,
    Procedure,
    ResponseGap,
    GradientHonesty,
)


def checks_for(*, quick: bool) -> tuple[Check, ...]:
    """Every check of an audit, in the order in which they are made."""
    others: list[type[Check]] = [point.load() for point in sorted(entry_points(group=GROUP), key=lambda p: p.name)]
    return tuple(kind.sized(quick=quick) for kind in (*BUILTIN, *others))
