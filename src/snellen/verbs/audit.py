"""`snellen.audit`: pictures, natural images and how far they agree, as a report."""

from collections.abc import Callable, Iterable
from pathlib import Path

from snellen.audits.suite import run_audit
from snellen.images import ImagesLike
from snellen.models import ModelLike
from snellen.progress import Watch, told
from snellen.reports import build
from snellen.studies.memory import asked
from snellen.verbs.run import Audit


def audit(  # noqa: PLR0913 - a command line's options
    model: ModelLike = "builtin",
    *,
    images: ImagesLike | None = None,
    units: str | Iterable[str] | None = None,
    layers: str | Iterable[str] = "auto",
    steps: int | None = None,
    size: int | tuple[int, int] | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    seed: int = 0,
    quick: bool = False,
    weights: str | Path | None = None,
    trust_pickle: bool = False,
    base: str | None = None,
    precision: str = "float32",
    compiled: bool = False,
    canvas: str = "fourier",
    workers: int = 1,
    labels: str | Path | None = None,
    viewer: str = "builtin",
    preprocess: object = None,
    pages: bool = True,
    progress: Watch = True,
    note: Callable[[str], None] | None = None,
) -> Audit:
    """Draw what units look for, set natural images beside it, and report how far the pictures can be trusted.

    A run's folder can be continued: after a crash or Ctrl-C the same call goes on where it was. Models and images in
    memory are recognized by their content.

    Args:
        model: a `torch.nn.Module` in memory, a `snellen.Model`, or a word: "builtin", "path/to/file.py:factory",
            "torchvision:NAME", "timm:NAME", "transformers:FOLDER" or the folder of a saved model.
        images: a folder of class folders, a flat folder or an .npz file; or in memory a tensor or array, a pair of that
            and labels, a list of PIL images, a data set of PyTorch or Hugging Face; by default built-in photographs.
        units: addresses and ranges; by default classes that the images show and a few inner units.
        layers: of the similarity curve; "auto" for the main layers.
        steps: optimization steps of each picture.
        size: input size in pixels; by default the model's own.
        out: folder of the run; by default runs/NAME-KEY.
        device: "auto", "cpu" or "cuda". A model in memory is used where it is.
        seed: root of all random numbers.
        quick: fewer units, images and steps.
        weights: local file of weights for a model that a word names.
        trust_pickle: read pickled weights, which can run any code.
        base: of the folder of a saved model whose base is in a Python file: that network, whose code is then run.
        precision: "float32", or "bfloat16", which is faster where the hardware has it.
        compiled: fuse slow layers; needs a C++ compiler.
        canvas: "fourier" or "pixel".
        workers: processes that draw the pictures; several need Ray, and give the same record.
        labels: text file with a name for each class, one a line, where the model has none.
        viewer: another network, by a word, with whose eyes the pictures are looked at; "" for none.
        preprocess: what the model wants done to RGB in [0, 1], where nothing says it: a `snellen.Preprocess`, or
            torchvision's weights.
        pages: write the report's pages.
        progress: False for no bar; or called with (title, done, total).
        note: told what a person should know before the work starts; the result's `notes` say it, too.

    Examples:
        >>> audit = snellen.audit("builtin", units="classifier:0-1", steps=16, quick=True, out="first", progress=False)
        >>> audit.verdict
        'unreliable here'
        >>> audit.page.name, len(audit.units)
        ('index.html', 2)

    Raises:
        SnellenError: a bad argument, model, image set or folder.
        Interrupted: Ctrl-C; what was finished is saved.
    """
    with told(progress, "loading") as tell:
        request, given = asked(
            model,
            images,
            units,
            device=device,
            preprocess=preprocess,
            layers=_names(layers),
            steps=steps,
            size=size,
            seed=seed,
            quick=quick,
            weights=weights,
            trust_pickle=trust_pickle,
            base=base,
            precision=precision,
            compiled=compiled,
            canvas=canvas,
            labels=labels,
            viewer=viewer,
        )

        folder = run_audit(
            request, given, out=None if out is None else Path(out), workers=workers, progress=tell, note=note
        )
        if pages:
            build(folder)
    return Audit(folder)


def _names(layers: str | Iterable[str]) -> tuple[str, ...]:
    if isinstance(layers, str):
        return () if layers == "auto" else tuple(name.strip() for name in layers.split(","))
    return tuple(layers)
