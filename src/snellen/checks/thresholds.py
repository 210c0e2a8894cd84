"""Every threshold of the checks, in one place; calibrated on honest networks only.

`python benchmarks/calibrate.py` prints the figures of honest networks that these numbers were set by.
"""

JUMP = 0.02
STEEP = 0.25
QUIET = 0.01
SWITCH = 0.1
HELD = 0.25
HELD_ODD = 0.1
GAP = 100.0
AGREEMENT = 0.5
SAME = 0.7
PROCEDURE = 0.5
TAINTED = 0.25
HONEST_SHARE = 0.05


def steep_step(grid: int, steps: int) -> int:
    """Which halving of a walk looks at about 1/1000 of the way: the first interval narrower than 2^-10 of it."""
    halvings = next((k for k in range(steps) if (grid - 1) * 2**k >= 1024), steps - 1)
    return min(halvings, steps - 1)
