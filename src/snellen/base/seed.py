"""Random streams as values: a seed forks into independent seeds by name, and nothing global is touched."""

import hashlib
from dataclasses import dataclass

from snellen.base.bounds import check_seed


@dataclass(frozen=True)
class Seed:
    """A root of random streams.

    `Seed(0).fork("unit", 17)` is the same value on every machine and run, and independent (by SHA-256) of every other
    fork. The packages above turn `.value` into a generator: `torch.Generator().manual_seed(seed.value)` or
    `numpy.random.default_rng(seed.value)`.

    Args:
        value: 0 <= value < 2**63.

    Raises:
        UsageError: another value.
    """

    value: int = 0

    def __post_init__(self) -> None:
        check_seed(self.value)

    def fork(self, *names: str | int) -> "Seed":
        """An independent seed for this path of names; ("a", 1) and ("a1",) differ."""
        text = repr((self.value, *((type(n).__name__, n) for n in names)))
        return Seed(int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1)
