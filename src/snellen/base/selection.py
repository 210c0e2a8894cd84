"""Choosing some of many without chance."""


def evenly(count: int, most: int) -> list[int]:
    """At most `most` numbers below `count`, evenly spaced from 0 on; all of them where they are no more."""
    kept = min(count, most)
    return [i * count // kept for i in range(kept)]
