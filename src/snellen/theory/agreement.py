"""Whether a graph is the network that it was read from: both are run on the same inputs."""

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from snellen.base import ModelError
from snellen.theory.graph import Traced

_BATCH = 3
_ROUNDING = 1e-3
"""Of the spread of the results, what float32 may be off from float64."""


def agree(traced: Traced, function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> None:
    """Run both on random inputs, alone and in a batch, and twice.

    Args:
        traced: what was read, run in float64.
        function: what it was read from.
        inputs: the example, a batch of one each.

    Raises:
        ModelError: other results, or results that change from run to run, or with the batch, or with rounding.
    """
    trials = list(_trials(inputs))
    batch = tuple(torch.cat(parts) for parts in zip(*trials[-_BATCH:], strict=True))
    alone = [function(*(x.clone() for x in trial)) for trial in trials]
    together = function(*(x.clone() for x in batch)).double()
    again = function(*(x.clone() for x in trials[0])).double()
    exact = torch.cat([traced.run(trial)[traced.end] for trial in trials])
    found_in, found = alone[0].dtype, torch.cat(alone).double()
    if together.shape[0] != _BATCH or exact.shape != found.shape or together.shape[1:] != found.shape[1:]:
        raise ModelError("expected a network that answers every image of a batch, got other shapes for a batch")
    scale = float((exact.amax(0) - exact.amin(0)).max()) * _ROUNDING + float(exact.abs().max()) * 1e-5
    if found_in is torch.float64:  # whose rounding is that of the float64 above
        narrow = torch.cat([traced.run(trial, dtype=torch.float32)[traced.end] for trial in trials]).double()
        _compare(narrow, exact, scale, "other results in float32: rounding decides")
    _compare(found, exact, scale, "other results from the network than from its operations: it changes as it runs, or "
                                  "rounding decides")  # fmt: skip
    _compare(again, found[:1], scale, "other results from the same image")
    _compare(together, found[-_BATCH:], scale, "other results from the same image in a batch")


def _compare(found: Tensor, expected: Tensor, scale: float, told: str) -> None:
    off = float((found - expected).abs().max())
    if not off <= scale:  # NaN is no agreement either
        raise ModelError(
            f"expected a network that does to every image what was read from it, got {told} (off by {off:.3g})"
        )


def _trials(inputs: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
    """The example, and random inputs of its size: as images are, spread around it, and farther away."""
    generator = torch.Generator().manual_seed(0)
    yield tuple(inputs)
    for far in (0.0, 0.1, 1.0, 4.0):
        drawn = []
        for x in inputs:
            size = float(x.abs().max()) or 1.0
            noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
            flat = torch.rand(x.shape, generator=generator, dtype=torch.float64)
            value = size * flat if not far else x.cpu().double() + far * size * noise
            drawn.append(value.to(dtype=x.dtype, device=x.device))
        yield tuple(drawn)
