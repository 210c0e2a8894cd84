"""Agreement and procedures as jobs: features of pictures and photographs, read before the suspected layer."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from snellen.base import Seed
from snellen.findings import Course, Family, Space, Variant, agreement, procedure
from snellen.jobs import Context
from snellen.measures import layouts, textures
from snellen.models import observe, responses
from snellen.studies.natural import batches, fast
from snellen.studies.stored import natural_responses, stacked
from snellen.studies.world import World

TEXTURES = "textures"
Features = dict[str, np.ndarray]


def agree(world: World) -> Callable[[Mapping[str, Any], Context], Iterator[tuple[str, Any]]]:
    """A job's function: the finding of `agreement`."""

    def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
        families = []
        with fast(world), torch.no_grad():
            for number, family in enumerate(spec["families"]):
                families.append(_family(world, family, context))
                context.tick((number + 1) / len(spec["families"]))
        yield "result", agreement(families, seed=Seed(spec["seed"])).as_data()

    return function


def compare_procedures(world: World) -> Callable[[Mapping[str, Any], Context], Iterator[tuple[str, Any]]]:
    """A job's function: the finding of `procedure`."""

    def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
        with fast(world), torch.no_grad():
            courses = [_course(world, course, context) for course in spec["courses"]]
        yield "result", procedure(courses).as_data()

    return function


def _family(world: World, family: Mapping[str, Any], context: Context) -> Family:
    units = family["units"]
    natural = sorted({i for unit in units for i in unit["top"]})
    row = {index: i for i, index in enumerate(natural)}
    pictures = stacked(context, [unit["image"] for unit in units])
    seen = _features(world, family["space"], (images for _, images in batches(world, natural)))
    drawn = _features(world, family["space"], _batched(world, pictures))
    return Family(
        family["layer"],
        tuple(unit["unit"] for unit in units),
        tuple(tuple(row[i] for i in unit["top"]) for unit in units),
        tuple(Space(name, seen[name], drawn[name]) for name in seen),
        layouts(pictures).double().numpy(),
    )


def _course(world: World, course: Mapping[str, Any], context: Context) -> Course:
    units = course["units"]
    names = list(dict.fromkeys(name for unit in units for name in unit["variants"]))
    told = {name: [u["variants"].get(name, {}) for u in units] for name in names}
    variants = [_variant(world, course["space"], (name, drawn), context) for name, drawn in told.items()]
    standard = _variant(world, course["space"], ("standard", units), context)
    natural = np.quantile(natural_responses(context, units), (0.05, 0.5, 0.95), axis=1).T
    return Course(course["layer"], tuple(u["unit"] for u in units), standard, tuple(variants), natural)


def _variant(
    world: World, space: str | None, told: tuple[str, Sequence[Mapping[str, Any]]], context: Context
) -> Variant:
    name, drawn = told
    kept = [i for i, entry in enumerate(drawn) if entry.get("image") and entry.get("response") is not None]
    found = (
        _features(world, space, _batched(world, stacked(context, [drawn[i]["image"] for i in kept]))) if kept else {}
    )
    decisive = next(iter(found.values())) if found else np.zeros((0, 1))
    features, reached = np.full((len(drawn), decisive.shape[1]), np.nan), np.full(len(drawn), np.nan)
    features[kept], reached[kept] = decisive, [drawn[i]["response"] for i in kept]
    return Variant(name, features, reached)


def _features(world: World, layer: str | None, images: Iterable[Tensor]) -> Features:
    """By space: every channel's mean over positions at the layer, if there is one before; and textures."""
    inside, outside = [], []
    for batch in images:
        if layer is not None:
            inside.append(responses(observe(world.model, batch, [layer])[layer]).double().cpu().numpy())
        outside.append(textures(batch.cpu().float()).double().numpy())
    found = {} if layer is None else {layer: np.concatenate(inside)}
    return {**found, TEXTURES: np.concatenate(outside)}


def _batched(world: World, pictures: Tensor) -> Iterator[Tensor]:
    for start in range(0, len(pictures), world.batch):
        yield pictures[start : start + world.batch].to(world.model.device)
