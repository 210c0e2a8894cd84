"""What checks are given: activations on demand, never a model."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol, runtime_checkable

from torch import Tensor


@runtime_checkable
class ActivationSource(Protocol):
    """Where activations come from. Images are numbered, natural ones first, then pictures."""

    @property
    def sizes(self) -> Mapping[str, int]:
        """How many numbers one image's activation has, by layer."""

    def activations(
        self, layers: Sequence[str], indices: Sequence[int]
    ) -> Iterator[tuple[list[int], dict[str, Tensor]]]:
        """Activations in batches of any size.

        Args:
            layers: which to read, in execution order; no deeper one need be run.
            indices: which images.

        Yields:
            the images of a batch, each index once over all batches, and by layer their activations (n, ...).
        """
