"""Pictures as jobs: one batch a job, one blob and one entry a picture."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from snellen.base import Seed
from snellen.jobs import Context
from snellen.models import Unit
from snellen.pictures import Render, Settings, canvas_named, render
from snellen.pictures.gallery import finite, thin
from snellen.pictures.sheet import png
from snellen.studies.natural import Counter
from snellen.studies.world import World

SMALL, SMALL_STEPS = 64, 64
BACKWARD = 3.0
"""Cost of a step of a picture, in forward passes."""
_NOTES = {
    "ok": "",
    "dead": "no gradient ever came back from the unit: there is nothing to show",
    "diverged": "scores became infinite: the last finite picture is shown",
}


def settings_of(world: World, *, steps: int | None = None) -> Settings:
    """How a request's pictures are optimized: small ones in fewer steps, after which only fine texture is added.

    Args:
        world: with the request.
        steps: in place of those of its pictures.
    """
    request, small = world.request, max(world.model.size) <= SMALL
    steps = steps or request.steps or min(request.scale.steps, SMALL_STEPS if small else request.scale.steps)
    canvas, precision = canvas_named(request.canvas), request.precision
    return Settings(steps=steps, canvas=canvas, precision=precision, compiled=request.compiled)  # type: ignore[arg-type]


def draw(world: World) -> Callable[[Mapping[str, Any], Context], Iterator[tuple[str, Any]]]:
    """A job's function: renders a batch of units in one direction; a part for each unit."""

    def function(spec: Mapping[str, Any], context: Context) -> Iterator[tuple[str, Any]]:
        settings, units = settings_of(world), [Unit.parse(text) for text in spec["units"]]
        drawn = render(
            world.model,
            units,
            settings,
            direction=spec["direction"],
            seeds=Seed(spec["seed"]),
            batch=len(units),
            progress=Counter(len(units) * settings.steps, context.tick).more,
        )
        if "interrupted" in drawn.status:
            raise KeyboardInterrupt
        for i, unit in enumerate(units):
            yield str(unit), _entry(drawn, i, spec, context)

    return function


def _entry(drawn: Render, index: int, spec: Mapping[str, Any], context: Context) -> dict[str, Any]:
    status = drawn.status[index]
    steps, history = thin(drawn.history[index].tolist())
    image = None
    if status != "dead":
        image = context.store.put_blob(context.keys[spec["units"][index]], ".png", png(drawn.images[index]))
    return {
        "direction": spec["direction"],
        "image": image,
        "status": status,
        "response": finite(float(drawn.responses[index])),
        "history": history,
        "history_steps": steps,
        "seed": spec["seed"],
        "note": _NOTES[status],
    }
