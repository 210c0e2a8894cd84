"""A network as a graph of operations, with the places where its layers speak."""

import operator
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx, nn

from snellen.base import LayerError, ModelError
from snellen.theory.factors import ENTRYWISE

_RECTIFIERS = {"relu", "relu_", "relu6"}


@dataclass(frozen=True, eq=False)
class Traced:
    """The graph, and for every submodule that returns one value the node of that value (of its first call)."""

    module: fx.GraphModule
    outputs: dict[str, fx.Node]

    def output(self, layer: str, *, pre: bool = False) -> fx.Node:
        """The node of a layer's output, or of what enters the ReLU that closes it.

        Raises:
            LayerError: the layer is not called, returns several values, or has no closing ReLU.
        """
        if layer not in self.outputs:
            raise LayerError(f'expected a layer that the network calls for one value, got "{layer}"; try another')
        node = self.outputs[layer]
        while pre and node.op == "call_module" and isinstance(self.called(node), nn.Identity | nn.Dropout):
            node = node.all_input_nodes[0]
        if pre and not is_rectifier(node, self.module):
            raise LayerError(f'expected a layer that ends in a ReLU for "/pre", got "{layer}"; leave "/pre" away')
        return node.all_input_nodes[0] if pre else node

    def ancestors(self, end: fx.Node) -> set[fx.Node]:
        """Every node that `end` depends on, and itself."""
        found, open_ = {end}, [end]
        while open_:
            fresh = [a for a in open_.pop().all_input_nodes if a not in found]
            found.update(fresh)
            open_ += fresh
        return found

    def one_channel(self, end: fx.Node, start: fx.Node | None) -> set[fx.Node]:
        """Nodes of which one channel of `end` needs that channel alone: back to the layer that mixes channels."""
        found, node = set(), end
        while node is not start and (node.op == "call_module" or is_rectifier(node, self.module)):
            if is_rectifier(node, self.module) or isinstance(self.called(node), ENTRYWISE):
                found.add(node)
                node = node.all_input_nodes[0]
                continue
            return found | {node} if isinstance(self.called(node), nn.Conv2d | nn.Linear) else found
        return found

    def called(self, node: fx.Node) -> nn.Module:
        """The module that a `call_module` node calls."""
        return self.module.get_submodule(str(node.target))


def is_rectifier(node: fx.Node, module: nn.Module) -> bool:
    """Whether the node is a ReLU, as a module, a function or a method."""
    if node.op == "call_module":
        return isinstance(module.get_submodule(str(node.target)), nn.ReLU | nn.ReLU6)
    name = node.target if isinstance(node.target, str) else getattr(node.target, "__name__", "")
    return node.op in ("call_function", "call_method") and name in _RECTIFIERS


def scale_of(n: fx.Node, name: str) -> float | None:
    """|c| for a product or quotient of one value and a number c; None for anything else."""
    numbers = [abs(float(a)) for a in n.args if isinstance(a, int | float)]
    if len(n.args) != 2 or len(numbers) != 1 or n.kwargs:
        return None
    if name in ("mul", "imul"):
        return numbers[0]
    return 1 / numbers[0] if name in ("truediv", "div") and isinstance(n.args[0], fx.Node) and numbers[0] else None


_REORDERING = {"flatten", "unflatten", "view", "reshape", "flip", "permute", "transpose", "squeeze", "unsqueeze",
               "contiguous"}  # fmt: skip
_POOLING = {"max_pool2d": nn.MaxPool2d, "avg_pool2d": nn.AvgPool2d, "adaptive_avg_pool2d": nn.AdaptiveAvgPool2d}


def pooling(n: fx.Node) -> nn.Module | None:
    """The layer that does what a call of a pooling function does; None for anything else."""
    found = _POOLING.get(getattr(n.target, "__name__", ""))
    return None if found is None or n.op != "call_function" else found(*n.args[1:], **n.kwargs)


def reorders(n: fx.Node, name: str) -> bool:
    """Whether a call changes nothing but the order of the entries; dropout does where it is switched off."""
    if n.op == "call_function" and getattr(n.target, "__module__", "").partition(".")[0] != "torch":
        return False
    if name == "dropout":
        return (n.kwargs["training"] if "training" in n.kwargs else [*n.args, True, True][2]) is False
    return n.op in ("call_function", "call_method") and name in _REORDERING


def sorts(n: fx.Node, name: str) -> bool:
    """Whether a node is a sort, or takes the values out of one: both are 1-Lipschitz, in every norm of entries."""
    if name == "sort" and n.op in ("call_method", "call_function"):
        return True
    of = n.args[0] if n.args else None
    return (
        isinstance(of, fx.Node)
        and (of.target == "sort" or of.target is torch.sort)
        and n.target in (operator.getitem, getattr)
        and n.args[1] in (0, "values")
    )


class _Tracer(fx.Tracer):
    def __init__(self) -> None:
        super().__init__()
        self.outputs: dict[str, fx.Node] = {}

    def call_module(self, m: nn.Module, forward: Any, args: Any, kwargs: Any) -> Any:
        result = super().call_module(m, forward, args, kwargs)
        if isinstance(result, fx.Proxy):
            self.outputs.setdefault(self.path_of_module(m), result.node)
        return result


def trace(module: nn.Module) -> Traced:
    """The network's operations.

    Raises:
        ModelError: torch.fx cannot follow it, as where control flow depends on values.
    """
    tracer = _Tracer()
    try:
        graph = tracer.trace(module)
        return Traced(fx.GraphModule(tracer.root, graph), tracer.outputs)
    except Exception as error:
        reason = " ".join(str(error).split())[:120]
        raise ModelError(f"expected a network whose operations can be read off, tracing failed: {reason}") from None
