"""Similarity matrices of whole layers, streamed from a source in bounded memory."""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from snellen.base import LayerError, UsageError
from snellen.checks.paths.source import ActivationSource
from snellen.checks.paths.tiles import Pass, plan
from snellen.measures import (
    MEASURES,
    Block,
    Measure,
    correlations,
    correlations_and_cosines,
    rank_block,
    raw_block,
    within,
)

Matrices = dict[Measure, np.ndarray]


def stream(source: ActivationSource, layers: Sequence[str], images: int, *, memory: int) -> dict[str, Matrices]:
    """For every layer and measure the similarities between all images, (images, images).

    Args:
        source: of the activations.
        layers: in execution order.
        images: how many there are in all.
        memory: bytes that may hold activations at once; one buffer serves all passes.

    Raises:
        LayerError, UsageError: the source lacks a layer, or gives other images or shapes than it announced.
    """
    passes = plan(source.sizes, layers, images, memory)
    store = np.empty(max((one.floats(source.sizes) for one in passes), default=0), np.float32)
    found: dict[str, Matrices] = {}
    for one in passes:
        if one.piece:
            found[one.layers[0]] = _tiled(source, one, images, store)
        else:
            found.update(_whole(source, one, store))
    return {layer: found[layer] for layer in layers}


def _whole(source: ActivationSource, one: Pass, store: np.ndarray) -> dict[str, Matrices]:
    """All images at once: products of the activations first, then ranks in the same memory."""
    views = _carve(store, {layer: (one.resident, source.sizes[layer]) for layer in one.layers})
    _fill(source, views, range(one.resident), {})
    return {layer: within(views[layer]) for layer in one.layers}


def _tiled(source: ActivationSource, one: Pass, images: int, store: np.ndarray) -> Matrices:
    """A block of images stays while all later ones pass by it in pieces; then the next block stays."""
    layer, size = one.layers[0], source.sizes[one.layers[0]]
    found: Matrices = {measure: np.full((images, images), np.nan) for measure in MEASURES}
    rows = {"stay": one.resident, "stay ranked": one.resident, "go": one.piece, "go ranked": one.piece}
    views = _carve(store, {name: (count, size) for name, count in rows.items()})
    order: dict[str, tuple[int, ...]] = {}

    def load(name: str, indices: range) -> tuple[Block, Block]:
        _fill(source, {layer: views[name][: len(indices)]}, indices, order)
        raw = raw_block(views[name][: len(indices)])
        return raw, rank_block(raw, views[f"{name} ranked"][: len(indices)])

    for start in range(0, images, one.resident):
        block = range(start, min(start + one.resident, images))
        stay = load("stay", block)
        _put(found, block, block, _between(stay, stay))
        for begin in range(block.stop, images, one.piece):
            passing = range(begin, min(begin + one.piece, images))
            _put(found, block, passing, _between(stay, load("go", passing)))
    return found


def _carve(store: np.ndarray, shapes: Mapping[str, tuple[int, int]]) -> dict[str, np.ndarray]:
    views, start = {}, 0
    for name, (rows, size) in shapes.items():
        views[name] = store[start : start + rows * size].reshape(rows, size)
        start += rows * size
    return views


def _between(a: tuple[Block, Block], b: tuple[Block, Block]) -> Matrices:
    linear, angle = correlations_and_cosines(a[0], b[0])
    return {"spearman": correlations(a[1], b[1]), "pearson": linear, "cosine": angle}


def _put(found: Matrices, rows: range, columns: range, values: Matrices) -> None:
    for measure, matrix in values.items():
        found[measure][rows.start : rows.stop, columns.start : columns.stop] = matrix
        found[measure][columns.start : columns.stop, rows.start : rows.stop] = matrix.T


def _fill(
    source: ActivationSource, views: Mapping[str, np.ndarray], indices: range, orders: dict[str, tuple[int, ...]]
) -> None:
    """Write image `indices[i]`'s activations into row i, axes in the order of the layer's first batch."""
    missing = set(indices)
    for batch, tensors in source.activations(tuple(views), tuple(indices)):
        if not missing.issuperset(batch) or len(set(batch)) < len(batch):
            raise UsageError(f"expected every image once, got {batch}; give each of the images asked for, once")
        missing -= set(batch)
        for layer, rows in views.items():
            tensor = _checked(tensors, layer, (len(batch), rows.shape[1]))
            order = orders.setdefault(layer, _memory_order(tensor))
            shape = [tensor.shape[1:][axis] for axis in order]
            for index, activation in zip(batch, tensor, strict=True):
                row = torch.from_numpy(rows[index - indices.start]).view(shape)
                row.copy_(activation.detach().permute(order))
    if missing:
        raise UsageError(f"expected activations of all images, {len(missing)} did not come; give every image asked for")


def _checked(tensors: Mapping[str, Tensor], layer: str, expected: tuple[int, int]) -> Tensor:
    if layer not in tensors:
        raise LayerError(f'expected activations of "{layer}", got "{", ".join(tensors)}"; give every layer asked for')
    tensor = tensors[layer]
    if (len(tensor), math.prod(tensor.shape[1:])) != expected:
        raise UsageError(f'expected {expected} numbers of "{layer}", got {tuple(tensor.shape)}; correct the sizes')
    return tensor


def _memory_order(tensor: Tensor) -> tuple[int, ...]:
    """An activation's axes as they lie in memory: any order serves a correlation, if it is one for all images."""
    return tuple(sorted(range(tensor.dim() - 1), key=lambda axis: -tensor.stride(axis + 1)))
