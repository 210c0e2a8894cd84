"""`layers`, `main_layers`, `units` and `observe` of whatever a person holds as a model: words and modules too."""

from collections.abc import Iterable
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from snellen.models import taps
from snellen.models.layer_list import Layers
from snellen.models.sources.entrance import ModelLike, open_model
from snellen.models.unit import Unit


def layers(
    model: ModelLike,
    *,
    size: int | tuple[int, int] | None = None,
    preprocess: object = None,
    weights: str | Path | None = None,
    trust_pickle: bool = False,
    base: str | None = None,
    main: bool = False,
) -> Layers:
    """Every submodule that returns a tensor (or several: the first counts), as one forward pass finds them.

    They come in the order in which they finish; a notebook shows them as a tree.

    Args:
        model: a word, a `torch.nn.Module` or a `Model`.
        size: input size in pixels; by default the model's own.
        preprocess: what the module wants done to RGB in [0, 1], where the model does not say; see `open_model`.
        weights: local file of weights for a model that a word names.
        trust_pickle: read pickled weights, which can run any code.
        base: of the folder of a saved model whose base is in a Python file: that network, whose code is then run.
        main: only the main layers.

    Examples:
        >>> snellen.layers("builtin", main=True)[-1].name
        'classifier'

    Raises:
        ModelError: the network cannot take pictures of its declared size.
    """
    opened = open_model(model, size=size, preprocess=preprocess, weights=weights, trust_pickle=trust_pickle, base=base)
    return Layers((layer for layer in taps.layers(opened) if layer.main or not main), opened)


def main_layers(model: ModelLike, most: int = 16) -> tuple[str, ...]:
    """The blocks a reader would draw: in order, the last always among them, thinned evenly to at most `most`.

    Examples:
        >>> snellen.main_layers("builtin", most=3)
        ('stem', 'block4', 'classifier')
    """
    return taps.main_layers(open_model(model), most)


def units(specs: Iterable[str], model: ModelLike) -> tuple[Unit, ...]:
    """The units that command-line texts name, in order, each once.

    Examples:
        >>> [str(unit) for unit in snellen.units(["classifier:0-1", "stem/pre:3"], "builtin")]
        ['classifier:0', 'classifier:1', 'stem/pre:3']

    Raises:
        LayerError, UnitError: as `expand`.
    """
    return taps.units(specs, open_model(model))


def observe(model: ModelLike, images: Float[Tensor, "n 3 h w"], addresses: Iterable[str]) -> dict[str, Tensor]:
    """What layers say to pictures; the forward pass stops at the deepest of them. As `snellen.models.taps.observe`.

    Args:
        model: a word, a `torch.nn.Module` or a `Model`.
        images: RGB in [0, 1], (n, 3, h, w).
        addresses: layer paths, "/pre" appended to read before a layer's closing ReLU; "" is the whole network.

    Returns:
        Activations by address: (n, c, h, w), (n, tokens, d) or (n, d).

    Examples:
        >>> said = snellen.observe("builtin", torch.zeros(2, 3, 64, 64), ["block1", "classifier"])
        >>> {layer: tuple(values.shape) for layer, values in said.items()}
        {'block1': (2, 40, 32, 32), 'classifier': (2, 15)}

    Raises:
        LayerError: a layer that does not exist, that never runs, or that has no closing ReLU to read before.
        ModelError: the network cannot take pictures of this size.
    """
    return taps.observe(open_model(model), images, addresses)
