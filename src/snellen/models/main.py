"""Which layers a reader would draw in a diagram of a network: its blocks, between stem and head."""

from collections.abc import Iterable, Sequence

from torch import nn

_NORMS = (nn.modules.batchnorm._NormBase, nn.LayerNorm, nn.GroupNorm, nn.LocalResponseNorm)
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict)
_FEW = 3


def main_of(root: nn.Module, ran: Sequence[str]) -> set[str]:
    """Children with weights; containers, and what holds most of the network as a list of blocks, are opened.

    Args:
        root: the network.
        ran: names of the modules that returned something to read.
    """
    names: dict[int, str] = {}
    for name, module in root.named_modules():
        names.setdefault(id(module), name)
    chosen = list(dict.fromkeys(_visit(root, names, frozenset(ran), _weights(root) / 2)))
    if len(chosen) < _FEW:  # nothing but a wrapper: its layers
        kinds = dict(root.named_modules())
        leaves = [n for n in ran if isinstance(kinds[n], nn.modules.conv._ConvNd | nn.Linear)]
        chosen = leaves if len(leaves) > len(chosen) else chosen
    return set(chosen)


def _visit(module: nn.Module, names: dict[int, str], ran: frozenset[str], half: float) -> Iterable[str]:
    for child in module.children():
        name = names[id(child)]
        if not _weights(child) or isinstance(child, _NORMS):
            continue
        is_wrapper = _weights(child) > half and _holds_blocks(child)
        is_container = isinstance(child, _CONTAINERS) or name not in ran or is_wrapper
        if is_container and any(True for _ in child.children()):
            yield from _visit(child, names, ran, half)
        elif name in ran:
            yield name


def _weights(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def _holds_blocks(module: nn.Module) -> bool:
    """Whether a list of several weighted modules of one kind is somewhere inside."""
    for part in module.modules():
        if isinstance(part, _CONTAINERS):
            kinds = [type(child) for child in part.children() if _weights(child)]
            if len(kinds) > 1 and len(set(kinds)) < len(kinds):
                return True
    return False
