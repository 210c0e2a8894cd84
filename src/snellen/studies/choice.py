"""Which units are audited where nobody says: the classes that the images show, and a few units inside."""

from collections.abc import Sequence
from dataclasses import dataclass

from snellen.base import Seed, UsageError, evenly
from snellen.images.classes import Classes
from snellen.models import Unit, units
from snellen.studies.world import World


@dataclass(frozen=True)
class Chosen:
    """Units to audit: those of the last layer, whose images are known by label, and others."""

    classes: tuple[Unit, ...]
    inner: tuple[Unit, ...]

    @property
    def all(self) -> tuple[Unit, ...]:
        """Classes first."""
        return (*self.classes, *self.inner)


def choose(world: World, classes: Classes) -> Chosen:
    """The units that the request names, or a choice that depends on nothing but the request and the images.

    Raises:
        LayerError, UnitError: a unit that the model does not have.
        UsageError: nothing to audit.
    """
    if world.request.units:
        named = units(world.request.units, world.model)
        own = [u for u in named if u.layer == world.class_layer and not u.pre and u.position is None]
        return Chosen(tuple(own), tuple(u for u in named if u not in own))
    chosen = Chosen(_classes(world, classes), _inner(world))
    if not chosen.all:
        raise UsageError("expected units to audit, but the model has no layers with several; name some with --units")
    return chosen


def _classes(world: World, classes: Classes) -> tuple[Unit, ...]:
    """Those with most images; among equals spread over all of them."""
    if world.class_layer is None:
        return ()
    most = world.request.scale.classes
    layer = world.class_layer
    if world.request.model == "builtin" and not world.request.quick:
        most = world.outputs
    covered = [
        (classes.count(k), unit) for k, unit in enumerate(classes.units) if unit is not None and classes.count(k)
    ]
    if len(covered) > most:
        least = sorted((count for count, _ in covered), reverse=True)[most - 1]
        above = [unit for count, unit in covered if count > least]
        ties = [unit for count, unit in covered if count == least]
        kept = above + [ties[i] for i in evenly(len(ties), most - len(above))]
        return tuple(Unit(layer, unit) for unit in sorted(kept))
    return tuple(Unit(layer, unit) for unit in sorted(unit for _, unit in covered))


def _inner(world: World) -> tuple[Unit, ...]:
    inner = [name for name in world.curve if name != world.class_layer]
    if not inner:
        return ()
    picked = dict.fromkeys(inner[round(depth * (len(inner) - 1))] for depth in world.request.scale.depths)
    return tuple(unit for name in picked for unit in _channels(world, name))


def _channels(world: World, name: str) -> Sequence[Unit]:
    """A few channels drawn by the seed; before the closing ReLU, where there is one, so that they have a minimum."""
    layer = world.layer(name)
    root = Seed(world.request.seed).fork("inner units", name)
    drawn = sorted(range(layer.units), key=lambda c: root.fork(c).value)[: world.request.scale.channels]
    return [Unit(name, channel, pre=layer.rectified) for channel in sorted(drawn)]
