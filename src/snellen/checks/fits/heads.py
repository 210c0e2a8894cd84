"""Do photographs foretell what pictures do, from the last layer to the classes?"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from snellen.measures.surrogates import Ridge, trimmed_ridge
from snellen.studies.features import space_of
from snellen.studies.world import World

EXACT = 1e-6
"""Share of a class's variance that a fit may leave at photographs left out, and count as exact."""
PLENTY = 1.2
"""Photographs for each channel, without which no fit is called exact."""
SURE = 4.0
"""Standard deviations within which a picture counts as foretold."""
BEHIND = 6
"""Layers between the last main one and the classes that are tried."""
Means = Mapping[str, np.ndarray]
"""By layer (n, d): the mean of every channel over positions, at n images."""


@dataclass(frozen=True, eq=False)
class Chain:
    """Layers up to the classes.

    Args:
        last: those from which the classes are told: the last main layer, and what runs between it and the classes.
        classes: the layer of classes; None where there is none.
    """

    last: tuple[str, ...]
    classes: str | None

    @property
    def layers(self) -> tuple[str, ...]:
        """All of them, each once."""
        return tuple(dict.fromkeys([*self.last, *([] if self.classes is None else [self.classes])]))


def chain_of(world: World, target: str | None = None) -> Chain:
    """The layers that surrogates run between.

    Args:
        world: the network.
        target: a layer in the classes' place.
    """
    classes = target or world.class_layer
    last = None if classes is None else space_of(world, classes)
    if classes is None or last is None:
        return Chain((), classes)
    names = [layer.name for layer in world.layers]
    between = names[names.index(last) + 1 : names.index(classes)]
    behind = [name for name in between if not name.startswith(f"{classes}.") and world.layer(name).units > 1]
    return Chain((last, *behind[:BEHIND]), classes)


@dataclass(frozen=True, eq=False)
class Head:
    """u classes, told from the channels of a layer before them.

    Args:
        layer: its name.
        exact: whether the photographs left out are told exactly: then the classes are affine in these channels.
        unexplained: (u,) share of each class's variance that is left at photographs left out.
        natural: (u,) median response to photographs.
        responses: (u,) of each class to its own picture.
        said: (u,) what the fit says of it.
        unsure: (u,) how far that may be off: `SURE` standard deviations, which grow with how far off photographs it is.
        vectors: (u, d) the fit's weights.
        offsets: (u,) what it adds.
    """

    layer: str
    exact: bool
    unexplained: Float[np.ndarray, " u"]
    natural: Float[np.ndarray, " u"]
    responses: Float[np.ndarray, " u"]
    said: Float[np.ndarray, " u"]
    unsure: Float[np.ndarray, " u"]
    vectors: Float[np.ndarray, "u d"]
    offsets: Float[np.ndarray, " u"]

    @property
    def missed(self) -> Float[np.ndarray, " u"]:
        """How far the response to the own picture surely is from what the fit says, in parts of that to the median."""
        away = np.maximum(np.abs(self.responses - self.natural), 1e-12)
        return np.asarray(np.maximum(np.abs(self.responses - self.said) - self.unsure, 0) / away)


def head_of(
    chain: Chain, natural: Means, pictures: Means, *, channels: Sequence[int], truth: Float[np.ndarray, "n u"]
) -> Head | None:
    """The classes told from the first layer that tells them exactly; from the last main layer where none does.

    Args:
        chain: the layers.
        natural: means at photographs.
        pictures: means at the classes' own pictures, in order.
        channels: of the classes.
        truth: their responses to the photographs.

    Returns:
        None where there is no layer before the classes.
    """
    if not chain.last or chain.classes is None:
        return None
    name, fit, exact = told_by(chain, natural, truth)
    own = np.arange(len(channels))
    return Head(
        name,
        exact,
        fit.unexplained,
        np.median(truth, 0),
        pictures[chain.classes][own, list(channels)],
        fit.fit(pictures[name])[own, own],
        SURE * _unsure(fit, pictures[name]),
        fit.fit.weights.T,
        fit.fit.means - fit.fit.middle @ fit.fit.weights,
    )


def _unsure(fit: Ridge, pictures: Float[np.ndarray, "u d"]) -> Float[np.ndarray, " u"]:
    """Of what a fit says of each class's picture: of its residuals, and of channels that no photograph it knows wakes.

    Such a channel may weigh as much as others do.
    """
    usual = np.linalg.norm(fit.fit.weights, axis=0) / max(len(fit.axes), 1) ** 0.5
    return np.asarray(fit.scale * np.sqrt(1 + fit.leverage(pictures)) + usual * fit.across(pictures))


def are_plenty(natural: Float[np.ndarray, "n d"]) -> bool:
    """Whether photographs suffice for a fit over so many channels."""
    return len(natural) >= PLENTY * natural.shape[1]


def told_by(chain: Chain, natural: Means, truth: Float[np.ndarray, "n u"]) -> tuple[str, Ridge, bool]:
    """The layer that units are told from, how, and whether exactly: the first that does so, else the first of all.

    Args:
        chain: with a layer before the units' own.
        natural: means at photographs.
        truth: the units' responses to them.
    """
    found = []
    for name in chain.last:
        known = natural[name]
        fit = trimmed_ridge(known, truth)
        exact = are_plenty(known) and float(fit.unexplained.max()) <= EXACT
        found.append((name, fit, exact))
        if exact:
            return found[-1]
    return found[0]
