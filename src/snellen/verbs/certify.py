"""`snellen.certify`: what a unit's pictures and exemplars guarantee about its response to further images."""

from pathlib import Path

from snellen.base import UsageError
from snellen.certificates.units import Asked, Certified, certify_unit
from snellen.images import ImagesLike, open_images
from snellen.models import ModelLike, Unit, open_model
from snellen.models import units as expand
from snellen.progress import Watch, told
from snellen.structures.saved import structure_of


def certify(  # noqa: PLR0913 - a command line's options
    model: ModelLike,
    unit: str | Unit,
    *,
    images: ImagesLike = "builtin",
    over: str | None = None,
    lipschitz: float | None = None,
    most: int = 200,
    exemplars: int = 9,
    steps: int = 128,
    pictures: int | None = None,
    size: int | tuple[int, int] | None = None,
    weights: str | Path | None = None,
    trust_pickle: bool = False,
    base: str | None = None,
    seed: int = 0,
    preprocess: object = None,
    progress: Watch = True,
) -> Certified:
    """Guaranteed response intervals of a unit, from its pictures and exemplars, checked against its true responses.

    Args:
        model: a `torch.nn.Module` in memory, a `snellen.Model`, or a word as `snellen.audit` takes it.
        unit: "layer:3", "layer:3@2,4" or "layer/pre:3".
        images: natural images, as `snellen.audit` takes them.
        over: take the unit as a function of this layer's output; None for the image.
        lipschitz: your own l2 Lipschitz constant, not a proved one.
        most: how many images to read.
        exemplars: at either end that count as evidence.
        steps: optimization steps of the two pictures.
        pictures: of a class of a network from "structure:FOLDER" whose structure says what many of them guarantee
            together (a patch-quadratic one); None for 1,024, or 128 of images of more than 40 px. Exemplars and steps
            play no part there.
        size: input size in pixels; by default the model's own.
        weights: local file of weights for a model that a word names.
        trust_pickle: read pickled weights, which can run any code.
        base: of the folder of a saved model whose base is in a Python file: that network, whose code is then run.
        seed: root of all random numbers.
        preprocess: what the model wants done to RGB in [0, 1], where nothing says it.
        progress: False for no bar; or called with (title, done, total).

    Examples:
        >>> certified = snellen.certify("builtin", "classifier:3", over="block6", most=4, steps=8, progress=False)
        >>> ball = certified.found["its pictures on the ball around the outputs of block6"]
        >>> bool((abs(ball.up - ball.lo) < 1e-3).all()), bool((abs(ball.up - ball.truth) < 1e-3).all())
        (True, True)

    Raises:
        ModelError: no class can be proved, and none is declared.
        InconsistentEvidenceError: responses contradict the constant.
        SnellenError: a bad argument, model, unit or image set.
    """
    with told(progress, "loading") as tell:
        loaded = open_model(
            model, size=size, preprocess=preprocess, weights=weights, trust_pickle=trust_pickle, base=base
        )
        found = expand([str(unit)], loaded)
        if len(found) > 1:
            raise UsageError(f'expected one unit, got the {len(found)} of "{unit}"; name one, such as "{found[0]}"')
        if over is not None:  # a mistyped name gets its hint
            expand([f"{over}:0"], loaded)
        shown = open_images(images, progress=tell)
        shown = shown.subset(range(0, len(shown), max(len(shown) // most, 1))[:most])
        asked = Asked(over, lipschitz, exemplars, steps, seed, pictures)
        structure = structure_of(loaded)
        if structure is None:
            return certify_unit(loaded, found[0], shown, asked, tell=tell)
        return structure.certified(loaded, found[0], shown, asked=asked, tell=tell)
