"""The C heap while a render runs: freed memory is kept, not handed back and asked for again at every operation."""

import contextlib
import ctypes
import sys
from collections.abc import Iterator

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h
_KEEP = 1 << 30
_USUAL_MMAP = 32 << 20  # the most that glibc's own rule of growing thresholds reaches
_open = 0


@contextlib.contextmanager
def roomy_heap() -> Iterator[None]:
    """On Linux with glibc: memory of freed tensors stays with the process until the context closes, then goes back.

    Otherwise every operation on a few megabytes asks the kernel for fresh pages, which costs more than the operation.
    Elsewhere nothing happens. Results never depend on it. Contexts may nest.
    """
    global _open
    libc = _glibc()
    _open += 1
    if libc is not None and _open == 1:
        libc.mallopt(_MMAP_THRESHOLD, _KEEP)
        libc.mallopt(_TRIM_THRESHOLD, _KEEP)
    try:
        yield
    finally:
        _open -= 1
        if libc is not None and _open == 0:
            libc.mallopt(_MMAP_THRESHOLD, _USUAL_MMAP)
            libc.mallopt(_TRIM_THRESHOLD, 2 * _USUAL_MMAP)
            libc.malloc_trim(0)


def _glibc() -> ctypes.CDLL | None:
    if not sys.platform.startswith("linux"):
        return None
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "mallopt") and hasattr(libc, "malloc_trim") else None
