"""Work on several rows at once, and a BLAS that keeps to one thread meanwhile."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

import torch
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

_T = TypeVar("_T")


def each(work: Callable[[int], _T], count: int) -> list[_T]:
    """`work` of 0..count-1 on as many threads as torch may use; NumPy sorts, sums and multiplies without the lock."""
    workers = min(torch.get_num_threads(), count)
    if workers < 2:
        return [work(i) for i in range(count)]
    with ThreadPoolExecutor(max_workers=workers) as pool:
        return list(pool.map(work, range(count)))


@contextmanager
def single_threaded_products() -> Iterator[None]:
    """While open, a matrix product stays on the thread that asks for it.

    A BLAS that spreads one product over threads makes them wait for each other many times in each product; on a busy
    machine that costs more than ten times the work. Whole products on threads of our own wait for nothing.
    """
    with _libraries().limit(limits=1, user_api="blas"):
        yield


@cache
def _libraries() -> ThreadpoolController:
    """The BLAS that is loaded; looking for it takes a millisecond."""
    return ThreadpoolController()
