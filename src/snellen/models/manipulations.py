"""Manipulations: what makes a network another one and can be taken back, of two kinds: circuits and changed weights.

The kinds are these and no others: whoever reads a saved manipulation does not know, nor trust, who made it.
"""

import contextlib
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, final

import torch
from torch import Tensor, nn

from snellen.base import ModelError, WeightsError, nearest
from snellen.base.shape import Each, Text
from snellen.models import circuits
from snellen.models.circuits import Circuit, circuit_from
from snellen.models.sentries import HIDDEN
from snellen.models.sources.weights import fill

_OURS = "changed:"  # before the names of changed weights, beside the honest ones, in a file


class Manipulation(ABC):
    """A change of a network. Its `description` and the tensors of `state`, and nothing else, bring it back.

    Attributes:
        kind: the field of the description that holds what is special to it.
        shape: of that field.
        layer: path of the layer whose units lie, or after which all do.
    """

    kind: ClassVar[str]
    shape: ClassVar[Any]
    layer: str

    @abstractmethod
    def install(self, network: nn.Module) -> Callable[[], None]:
        """Change a network; what is returned changes it back and leaves everything as it was.

        Raises:
            ModelError: it does not fit the network.
        """

    @abstractmethod
    def details(self) -> Any:
        """Plain data of the shape `shape`."""

    @abstractmethod
    def state(self, network: nn.Module) -> dict[str, Tensor]:
        """The tensors of the honest network and of the manipulation, by name.

        Args:
            network: honest; it comes back as it was.
        """

    @classmethod
    @abstractmethod
    def restored(cls, description: Mapping[str, Any], network: nn.Module, saved: "Saved") -> "Manipulation":
        """What `description` and `state` say, not installed; the network gets the honest weights.

        Args:
            description: of one, whose shape was checked.
            network: built as the honest one was, with any weights.
            saved: what `state` returned.

        Raises:
            ModelError: the network is another one, or the tensors do not fit.
        """

    @final
    def description(self) -> dict[str, Any]:
        """Plain data: the layer, and under the name of the kind what is special to it."""
        return {"layer": self.layer, self.kind: self.details()}

    @final
    @contextlib.contextmanager
    def installed(self, network: nn.Module) -> Iterator[None]:
        """While open, a network is manipulated; afterwards it is as it was."""
        undo = self.install(network)
        try:
            yield
        finally:
            undo()


@dataclass(frozen=True, eq=False)
class Saved:
    """Tensors that were read from a file.

    Args:
        state: by name.
        path: of the file, for messages.
    """

    state: Mapping[str, Tensor]
    path: Path


@final
@dataclass(frozen=True, eq=False)
class PlacedCircuit(Manipulation):
    """A circuit around a layer.

    Args:
        layer: path of the layer.
        circuit: not installed anywhere else.
    """

    kind = "circuit"
    shape = circuits.SHAPE

    layer: str
    circuit: Circuit

    def install(self, network: nn.Module) -> Callable[[], None]:
        return circuits.install(network, self.layer, self.circuit)

    def details(self) -> Any:
        return dict(self.circuit.description())

    def state(self, network: nn.Module) -> dict[str, Tensor]:
        """What the manipulated network holds: around a layer `a.b` its own weights are those of `a.b.layer`."""
        with self.installed(network):
            return network.state_dict()

    @classmethod
    def restored(cls, description: Mapping[str, Any], network: nn.Module, saved: Saved) -> "PlacedCircuit":
        wanted, there = _numbers(description[cls.kind]), sum(tensor.numel() for tensor in saved.state.values())
        if wanted > there:
            raise ModelError(
                f"expected {saved.path} with the {wanted:,} numbers of its circuit, got {there:,}; save it again"
            )
        layer = network.get_submodule(description["layer"])
        like = next((p.dtype for p in layer.parameters()), torch.float32)
        placed = cls(description["layer"], circuit_from(description[cls.kind], layer).to(like))
        with placed.installed(network):
            fill(network, saved.state, saved.path)
        return placed


def _numbers(circuit: Mapping[str, Any]) -> int:
    """How many numbers a description asks for: no more are made room for than its file holds."""
    detector, decoy, sentry = (circuit.get(part, {}) for part in ("detector", "decoy", "sentry"))
    read = 2 * sum(detector.get("layers", {}).values()) + 2 * HIDDEN * sentry.get("channels", 0)
    return read + math.prod(decoy.get("size", (0,))) + decoy.get("units", 0)


@final
@dataclass(frozen=True, eq=False)
class ChangedWeights(Manipulation):
    """Other values for some of a network's parameters and buffers; not a module more.

    Args:
        layer: path of the layer whose units lie.
        tensors: by name, each of the shape of what it replaces.
    """

    kind = "changed"
    shape = Each(Text(), least=1, most=2**16)

    layer: str
    tensors: Mapping[str, Tensor]

    @classmethod
    def between(cls, layer: str, before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> "ChangedWeights":
        """What leads from one state of a network to another: copies of the tensors that differ.

        Args:
            layer: path of the layer whose units lie.
            before: of the honest network, by name.
            after: of the manipulated one; the same names.
        """
        differing = {n: t for n, t in after.items() if not torch.equal(t, before[n])}
        return cls(layer, {name: tensor.detach().clone() for name, tensor in differing.items()})

    def install(self, network: nn.Module) -> Callable[[], None]:
        held = self._held(network)
        kept = [(tensor, tensor.data) for tensor in held.values()]
        for name, tensor in held.items():
            tensor.data = self.tensors[name].detach().to(tensor.device, tensor.dtype, copy=True)

        def undo() -> None:
            for tensor, data in reversed(kept):  # layers may share a parameter
                tensor.data = data

        return undo

    def _held(self, network: nn.Module) -> dict[str, Tensor]:
        """What is replaced, by name."""
        known: dict[str, Tensor] = dict(network.named_parameters(remove_duplicate=False))
        known |= dict(network.named_buffers(remove_duplicate=False))
        for name, tensor in self.tensors.items():
            if name not in known:
                hint = nearest(name, known) or "name others"
                raise ModelError(f'expected weights that the network has, got "{name}"; {hint}')
            if tensor.shape != known[name].shape:
                wanted, got = tuple(known[name].shape), tuple(tensor.shape)
                raise ModelError(f'expected "{name}" of shape {wanted}, got {got}; change its values alone')
        return {name: known[name] for name in self.tensors}

    def details(self) -> Any:
        return list(self.tensors)

    def state(self, network: nn.Module) -> dict[str, Tensor]:
        return network.state_dict() | {_OURS + name: tensor for name, tensor in self.tensors.items()}

    @classmethod
    def restored(cls, description: Mapping[str, Any], network: nn.Module, saved: Saved) -> "ChangedWeights":
        names = {_OURS + name: name for name in description[cls.kind]}
        absent = [name for full, name in names.items() if full not in saved.state]
        if absent:
            raise WeightsError(f'expected {saved.path} to hold the changed "{absent[0]}", got none; save it again')
        fill(network, {name: t for name, t in saved.state.items() if name not in names}, saved.path)
        changed = cls(description["layer"], {name: saved.state[full] for full, name in names.items()})
        network.get_submodule(changed.layer), changed._held(network)
        return changed


KINDS: Mapping[str, type[Manipulation]] = {kind.kind: kind for kind in (PlacedCircuit, ChangedWeights)}
