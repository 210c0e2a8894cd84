"""`snellen.visualize`: pictures of single units, as files."""

from collections.abc import Iterable
from pathlib import Path

from snellen.models import ModelLike, open_model
from snellen.pictures.gallery import Picture
from snellen.pictures.gallery import visualize as draw
from snellen.progress import Watch, told


def visualize(  # noqa: PLR0913 - a command line's options
    model: ModelLike,
    units: str | Iterable[str],
    *,
    minimize: bool = False,
    canvas: str = "fourier",
    steps: int | None = None,
    size: int | tuple[int, int] | None = None,
    out: str | Path = "pictures",
    device: str = "auto",
    seed: int = 0,
    weights: str | Path | None = None,
    trust_pickle: bool = False,
    base: str | None = None,
    precision: str = "float32",
    compiled: bool = False,
    preprocess: object = None,
    progress: Watch = True,
) -> tuple[Picture, ...]:
    """Draw what units look for: a PNG and a small JSON for each.

    Args:
        model: a `torch.nn.Module` in memory, a `snellen.Model`, or a word as `snellen.audit` takes it.
        units: addresses and ranges: "layer:3", "layer:3@2,4", "layer:0-9" or "layer:*"; or objectives by name, as in
            "deepdream(layer)".
        minimize: draw what a unit responds to least.
        canvas: "fourier" or "pixel".
        steps: optimization steps of each picture; None for 512.
        size: input size in pixels; by default the model's own.
        out: folder for the pictures.
        device: "auto", "cpu" or "cuda". A model in memory is used where it is.
        seed: root of all random numbers.
        weights: local file of weights for a model that a word names.
        trust_pickle: read pickled weights, which can run any code.
        base: of the folder of a saved model whose base is in a Python file: that network, whose code is then run.
        precision: "float32", or "bfloat16", which is faster where the hardware has it.
        compiled: fuse slow layers; needs a C++ compiler.
        preprocess: what the model wants done to RGB in [0, 1], where nothing says it.
        progress: False for no bar; or called with (title, done, total).

    Examples:
        >>> (picture,) = snellen.visualize("builtin", "classifier:3", steps=8, out="pictures", progress=False)
        >>> picture.unit, picture.status, picture.path.name
        ('classifier:3', 'ok', 'classifier_3-max.png')

    Raises:
        SnellenError: a bad argument, model, unit or folder.
        Interrupted: Ctrl-C; finished batches are on the disk.
    """
    with told(progress, "loading") as tell:
        opened = open_model(
            model,
            size=size,
            preprocess=preprocess,
            weights=weights,
            trust_pickle=trust_pickle,
            base=base,
            device=device,
        )
        return draw(
            opened,
            (units,) if isinstance(units, str) else units,
            direction="min" if minimize else "max",
            canvas=canvas,
            steps=steps or 512,
            seed=seed,
            precision=precision,
            compiled=compiled,
            out=Path(out),
            progress=tell,
        )
