"""A function of tensors as the graph of everything that it computes, one tensor operation a node.

The graph is recorded below Python, where PyTorch dispatches its operations: hooks, patched instances, parametrizations
and functions of any name leave there nothing but the operations that they carry out. Values written in place, and views
of them, are made explicit. What is recorded are tensors without contents, so that no value can leave the graph and come
back as a number.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functionalize
from torch.fx.experimental.proxy_tensor import get_proxy_mode, make_fx
from torch.overrides import TorchFunctionMode

from snellen.base import ModelError, SnellenError

aten = torch.ops.aten

EMPTY = (aten.empty.memory_format, aten.empty_like.default, aten.new_empty.default, aten.empty_strided.default,
         aten.new_empty_strided.default)  # fmt: skip
"""Memory that nothing was written to yet."""

_LEAVING = (Tensor.numpy, Tensor.__array__, Tensor.tolist, Tensor.data_ptr, Tensor.untyped_storage)
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)


@dataclass(frozen=True, eq=False)
class Traced:
    """What a function computes.

    Args:
        module: holds the graph's constants.
        nodes: the function's inputs, and whatever its result depends on, in order.
        inputs: of them, the function's inputs.
        end: its result.
        names: the innermost submodule (path, class) that a node was recorded in.
    """

    module: fx.GraphModule
    nodes: tuple[fx.Node, ...]
    inputs: tuple[fx.Node, ...]
    end: fx.Node
    names: dict[fx.Node, tuple[str, str]]

    def run(self, inputs: Sequence[Tensor], *, dtype: torch.dtype = torch.float64) -> dict[fx.Node, Any]:
        """Every node's value for some inputs, in one precision throughout."""
        values: dict[fx.Node, Any] = dict(zip(self.inputs, (x.to(dtype) for x in inputs), strict=True))
        for node in self.nodes:
            if node not in values:
                values[node] = self.value(node, values, dtype=dtype)
        return values

    def constants(self) -> list[Tensor]:
        """Weights, buffers and other tensors that it computes with."""
        return [getattr(self.module, str(node.target)) for node in self.nodes if node.op == "get_attr"]

    def value(self, node: fx.Node, values: dict[fx.Node, Any], *, dtype: torch.dtype = torch.float64) -> Any:
        """One node's value from those before it; gradients pass where the network cuts them."""
        if node.op == "get_attr":
            return _rounded(getattr(self.module, str(node.target)).detach(), dtype)
        args, kwargs = arguments(node, values, dtype=dtype)
        if node.target in (aten.detach.default, aten.alias.default):
            return args[0]
        if node.target is aten.copy.default:  # of which PyTorch knows no gradient
            return args[1].to(args[0].dtype).expand_as(args[0])
        value = node.target(*args, **kwargs)  # type: ignore[operator]
        if node.target in EMPTY and value.is_floating_point():
            return torch.full_like(value, torch.nan, dtype=dtype)
        return _rounded(value, dtype)


def _rounded(value: Any, dtype: torch.dtype) -> Any:
    return value.to(dtype) if isinstance(value, Tensor) and value.is_floating_point() else value


def arguments(
    node: fx.Node, values: dict[fx.Node, Any], *, dtype: torch.dtype = torch.float64
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a node's operation is called with, in one precision."""
    args, kwargs = fx.node.map_arg((node.args, node.kwargs), values.__getitem__)
    kept = {name: dtype if name == "dtype" and value in _FLOATS else value for name, value in kwargs.items()}
    return args, kept


def trace(function: Callable[..., Tensor], inputs: Sequence[Tensor], module: nn.Module | None = None) -> Traced:
    """The operations of a function of one image.

    Args:
        function: of `inputs`, batches of one.
        inputs: for the shapes; no result depends on their values.
        module: whose submodules give the operations their names.

    Raises:
        ModelError: the operations depend on values, or cannot be followed.
    """
    names: dict[int, tuple[str, str]] = {}

    def sealed(*given: Tensor) -> Tensor:
        with _Sealed():
            return function(*given)

    try:
        with torch.no_grad(), _named(module, names):
            graph = _recorded(sealed, inputs)
        if _written(graph):  # by operations that are made of others: those are written out now
            names.clear()
            with torch.no_grad():
                graph = _recorded(graph, inputs)
    except Exception as error:
        raise _refusal(error) from None
    written = _written(graph)
    if written:
        raise ModelError(f'expected a network that leaves its weights and buffers as they are, got "{written[0].name}" '
                         "which writes over one")  # fmt: skip
    every = list(graph.graph.nodes)
    (end,) = every[-1].all_input_nodes or (None,)
    if end is None:
        raise ModelError("expected a unit that depends on its input, got a constant; take another")
    found, open_ = {end}, [end]
    while open_:
        fresh = [a for a in open_.pop().all_input_nodes if a not in found]
        found.update(fresh)
        open_ += fresh
    starts = tuple(n for n in every if n.op == "placeholder")
    nodes = tuple(n for n in every if n in found or n in starts)
    return Traced(graph, nodes, starts, end, {n: names[i] for i, n in enumerate(every) if i in names})


def _recorded(function: Callable[..., Tensor], inputs: Sequence[Tensor]) -> fx.GraphModule:
    pure = functionalize(function, remove="mutations")
    return make_fx(pure, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)


def _written(graph: fx.GraphModule) -> list[fx.Node]:
    """Operations that write over something else than the function's inputs, which is the last that happens to those."""

    def writes(node: fx.Node) -> bool:
        if not isinstance(node.target, torch._ops.OpOverload) or not node.target._schema.is_mutable:
            return False
        into = node.args[0] if node.target is aten.copy_.default else None
        return not isinstance(into, fx.Node) or into.op != "placeholder" or any(user > node for user in into.users)

    return [node for node in graph.graph.nodes if writes(node)]


class _Sealed(TorchFunctionMode):
    """Refuses to hand a tensor's contents to anything that is no tensor operation."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in _LEAVING:
            name = getattr(func, "__name__", str(func))
            raise ModelError(f'expected values that stay in the network, got "{name}" which takes one out')
        return func(*args, **(kwargs or {}))


def _refusal(error: BaseException) -> SnellenError:
    """One line; what the house has already put into words passes as it is, unless something foreign lies below."""
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    if isinstance(root, SnellenError):
        return root
    told = str(root)
    if "data-dependent" in told.lower() or "unallocated storage" in told:
        why = "its control depends on values, or a value leaves it as a number"
        return ModelError(f"expected a network that does the same to every image, tracing failed: {why}")
    if "mutating a non-functional tensor" in told:
        why = "it writes over one"
        return ModelError(f"expected a network that leaves its weights and buffers as they are, tracing failed: {why}")
    if "autograd.Function" in told or "custom_function_call" in told:
        why = "it has a function that states its own gradient"
        return ModelError(f"expected a network of tensor operations, tracing failed: {why}")
    reason = " ".join(told.split())[:120] or type(root).__name__
    return ModelError(f"expected a network whose operations can be read off, tracing failed: {reason}")


@contextmanager
def _named(module: nn.Module | None, names: dict[int, tuple[str, str]]) -> Iterator[None]:
    """While open, nodes that are recorded inside a submodule get its name: {position in the graph: (path, class)}."""
    if module is None:
        yield
        return

    def recorded() -> int:
        mode = get_proxy_mode()
        return 0 if mode is None else len(mode.tracer.graph.nodes)

    begun: list[int] = []

    def begin(_module: nn.Module, _inputs: Any) -> None:
        begun.append(recorded())

    def finish(name: tuple[str, str]) -> Callable[..., None]:
        def hook(_module: nn.Module, _inputs: Any, _output: Any) -> None:
            for position in range(begun.pop(), recorded()):
                names.setdefault(position, name)

        return hook

    with ExitStack() as stack:
        for path, child in module.named_modules():
            if path and not isinstance(child, torch.jit.ScriptModule):  # those take no hooks
                stack.callback(child.register_forward_pre_hook(begin, prepend=True).remove)
                end = child.register_forward_hook(finish((path, type(child).__name__)), always_call=True)
                stack.callback(end.remove)
        yield
