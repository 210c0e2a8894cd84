"""What anybody may ask for, at most: beyond it a slip of the keyboard costs more memory or time than there is."""

from snellen.base.errors import UsageError

MOST_STEPS = 1_000_000
"""Of one picture; the history of its scores is kept."""
MOST_SEED = 2**63 - 1
MOST_SIDE = 4096
"""Pixels of a network's input, at either side."""


def check_steps(steps: int) -> None:
    """Raises UsageError: not a number of steps that a picture can be drawn in."""
    if not 1 <= steps <= MOST_STEPS:
        raise UsageError(f"expected 1 to {MOST_STEPS:,} steps, got {steps if abs(steps) < 2**63 else 'far more'}")


def check_seed(seed: int) -> None:
    """Raises UsageError: not a seed."""
    if not 0 <= seed <= MOST_SEED:
        raise UsageError(f"expected a seed in [0, 2**63), got {seed if abs(seed) < 2**70 else 'one far beyond'}")
