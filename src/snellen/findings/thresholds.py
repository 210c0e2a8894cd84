"""Every threshold of the checks, in one place; calibrated on honest networks only.

`python benchmarks/calibrate.py` prints the figures of honest networks that these numbers were set by.
"""

# jumps: shares of the range of responses on a way (honest networks: at most 0.0007 and 0.014)
JUMP = 0.02
"""Left within 2^-14 of the way."""
STEEP = 0.25
"""Left within 1/1000 of the way."""

# silent scan (honest networks: at most 0.002 of a response hangs on what is held)
QUIET = 0.01
"""Share of photographs that may wake a channel that counts as silent."""
SWITCH = 0.1
"""Share of photographs, and of pictures, for which a switch may stand the other way: a detector's mistakes."""
ASLEEP = 0.9
"""Share of a gate's channels at rest on photographs (honest networks: at most 0.25 of those that anything wakes)."""
HELD = 0.25
"""Share of a response on held channels that proves something."""
HELD_ODD = 0.1
"""Share that supports suspicion."""

# response gap
GAP = 300.0
"""Robust standard deviations between a picture's response and the median photograph's."""
SHORT = 0.98
"""Share of photographs that a unit's picture must excite it more than (honest networks: all of them)."""

# agreement
AGREEMENT = 0.5
"""AUC that the whole interval must lie below: nearer to other units' photographs than to its own."""
SAME = 0.7
"""Median correlation of layouts with pictures of units that other photographs excite (honest: at most 0.25)."""

PROCEDURE = 0.5
"""Agreement with the picture drawn from a photograph below which it counts as another picture, if others agree."""

# verdicts
TAINTED = 0.25
"""Share of a layer's audited units that must be proven for the others to count as suspicious too."""
HONEST_SHARE = 0.05
"""Share of an honest network's units that may be suspicious."""
HONEST_PATHS = (0.39, 1.16)
"""Similarity of paths of class pictures at the last layer in honest networks, lowest and highest: for reference."""


def steep_step(grid: int, steps: int) -> int:
    """Which halving of a walk looks at about 1/1000 of the way: the first interval narrower than 2^-10 of it."""
    halvings = next((k for k in range(steps) if (grid - 1) * 2**k >= 1024), steps - 1)
    return min(halvings, steps - 1)
