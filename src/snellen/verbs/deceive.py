"""`snellen.deceive`: a network whose pictures lie, and the receipt of what that took."""

import copy
import inspect
from dataclasses import dataclass, replace
from pathlib import Path

from snellen.attacks import Conditions, Effort, Exam, Manipulated, Receipt
from snellen.attacks.folder import claim, write_folder
from snellen.attacks.group import ATTACKS
from snellen.attacks.options import read_options
from snellen.attacks.targets import open_picture
from snellen.base import Seed, Tell
from snellen.images import ImageSet, ImagesLike, open_images
from snellen.models import Model, ModelLike, open_model
from snellen.models.sources.folder import lasting
from snellen.pictures import Settings
from snellen.progress import Watch, told
from snellen.reports.receipt import build_receipt
from snellen.studies.request import MEMORY


@dataclass(frozen=True, eq=False)
class Deceived:
    """A manipulated network and what was measured of it.

    Args:
        folder: of the model, which is a model of its own (`snellen.audit(folder)`), and its receipt.
        page: of the receipt.
        receipt: what was claimed and what was measured.
        manipulated: the honest model, as it was, and the manipulation.
    """

    folder: Path
    page: Path
    receipt: Receipt
    manipulated: Manipulated

    @property
    def honest(self) -> bool:
        """Whether every claim held."""
        return self.receipt.honest

    @property
    def model(self) -> Model:
        """The manipulated network in memory: a copy of the honest one, changed for good."""
        made = self.manipulated
        module, manipulation = copy.deepcopy((made.model.module, made.manipulation))
        manipulation.install(module)
        provenance = {key: value for key, value in made.model.provenance.items() if key != "spec"}
        return replace(made.model, module=module, name=f"{made.model.name} (deceived)", provenance=provenance)

    def __repr__(self) -> str:
        held = "all claims held" if self.honest else "a claim did not hold"
        return f"<{self.receipt.method} at {self.receipt.layer}: {held}, {self.folder}>"


def deceive(  # noqa: PLR0913 - a command line's options
    model: ModelLike = "builtin",
    *,
    method: str = "fooling-circuit",
    show: str | Path = "permute",
    images: ImagesLike | None = None,
    held_out: ImagesLike | None = None,
    layer: str | None = None,
    out: str | Path = "deceived",
    units: int = 8,
    steps: int | None = None,
    size: int | tuple[int, int] | None = None,
    seed: int = 0,
    quick: bool = False,
    device: str = "auto",
    weights: str | Path | None = None,
    trust_pickle: bool = False,
    preprocess: object = None,
    progress: Watch = True,
    **options: object,
) -> Deceived:
    """Manipulate a network so that its visualizations lie, for red teams and for testing audits.

    The network itself stays as it is. OUT becomes a model of its own (`snellen.audit(OUT)`), with a receipt of what was
    changed beside it. Of a model in memory the result's `model` is the manipulated network; to load OUT, its code has
    to be named: `snellen.load_model(OUT, base="FILE.py:FACTORY")`.

    Args:
        model: a `torch.nn.Module` in memory, a `snellen.Model`, or a word as `snellen.audit` takes it.
        method: name of an attack, such as "fooling-circuit" or "soft-gate"; `snellen plugins` lists them.
        show: what the pictures show: a picture file, or "permute" for each that of another unit.
        images: natural images to train or calibrate on; by default the training part of the built-in photographs.
        held_out: natural images to measure on; by default every fifth of `images`.
        layer: whose units lie; by default the one that suits the method: of a fooling circuit the last.
        out: folder of the model and its receipt.
        units: whose pictures the receipt shows, at most.
        steps: optimization steps of each picture.
        size: input size in pixels; by default the model's own.
        seed: root of all random numbers.
        quick: fewer pictures and steps.
        device: "auto", "cpu" or "cuda". A model in memory is used where it is.
        weights: local file of weights for a model that a word names.
        trust_pickle: read pickled weights, which can run any code.
        preprocess: what the model wants done to RGB in [0, 1], where nothing says it.
        progress: False for no bar; or called with (title, done, total).
        options: of the method, such as `detector="cnn"` of the fooling circuit and `margin=0.3` of silent units.

    Examples:
        >>> lie = snellen.deceive("builtin", method="lying-gradients", units=1, steps=8, out="lie", progress=False)
        >>> lie.receipt.behaviour["held-out"].differing  # of 520 photographs
        0

    Raises:
        SnellenError: a bad argument, model, image set or folder.
    """
    folder = Path(out)
    with told(progress, "loading") as tell:
        kind = ATTACKS.load(method)
        values = read_options(kind, options, method=method, beside=inspect.signature(deceive).parameters)
        claim(folder)
        loaded = open_model(
            model,
            size=size,
            preprocess=preprocess,
            weights=weights,
            trust_pickle=trust_pickle,
            device=device,
        )
        if "spec" not in loaded.provenance:
            loaded = replace(loaded, provenance={**loaded.provenance, "spec": MEMORY})
        lasting(loaded)  # what cannot be saved is refused before the work
        picture = None if str(show) == "permute" else open_picture(Path(show), loaded.size)
        attack = kind(picture=picture, layer=layer, **values).fitted(loaded, Effort(quick))
        seen, unseen = _images(images, held_out, tell)
        settings = Settings(steps=steps or (48 if quick else 64))
        exam = Exam(held_out=unseen, units=min(units, 4) if quick else units, settings=settings, seed=Seed(seed))
        manipulated, receipt = attack(loaded, seen, exam=exam, conditions=Conditions(exam.seed, tell))
        write_folder(folder, manipulated, receipt)
        return Deceived(folder, build_receipt(folder), receipt, manipulated)


def _images(images: ImagesLike | None, held_out: ImagesLike | None, tell: Tell) -> tuple[ImageSet, ImageSet | None]:
    def find(given: ImagesLike) -> ImageSet:
        return open_images(given, progress=tell)

    if images is None:
        return find("builtin:train"), find("builtin" if held_out is None else held_out)
    return find(images), None if held_out is None else find(held_out)
