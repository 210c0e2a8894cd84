"""`snellen.deceive`: a network whose pictures lie, and the receipt of what that took."""

import copy
import math
from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from snellen.attacks import Attack, Conditions, Exam, FoolingAttack, Manipulated, Receipt, SilentAttack
from snellen.attacks.corpus import Plan
from snellen.attacks.folder import claim, write_folder
from snellen.attacks.targets import open_picture
from snellen.base import Seed, UsageError
from snellen.images import ImageSet, ImagesLike, open_images
from snellen.models import Model, ModelLike, open_model
from snellen.models.circuits import install
from snellen.models.sources.saved import lasting
from snellen.pictures import Settings
from snellen.progress import Tell, Watch, told
from snellen.reports.receipt import build_receipt
from snellen.studies.request import MEMORY


@dataclass(frozen=True, eq=False)
class Deceived:
    """A manipulated network and what was measured of it.

    Args:
        folder: of the model, which is a model of its own (`snellen.audit(folder)`), and its receipt.
        page: of the receipt.
        receipt: what was claimed and what was measured.
        manipulated: the honest model, as it was, and the circuit.
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
        """The manipulated network in memory: a copy of the honest one with the circuit in it."""
        made = self.manipulated
        module, circuit = copy.deepcopy((made.model.module, made.circuit))
        install(module, made.layer, circuit)
        provenance = {key: value for key, value in made.model.provenance.items() if key != "spec"}
        return replace(made.model, module=module, name=f"{made.model.name} (deceived)", provenance=provenance)

    def __repr__(self) -> str:
        held = "all claims held" if self.honest else "a claim did not hold"
        return f"<{self.receipt.method} around {self.receipt.layer}: {held}, {self.folder}>"


def deceive(  # noqa: PLR0913 - a command line's options
    model: ModelLike = "builtin",
    *,
    method: str = "fooling-circuit",
    show: str | Path = "permute",
    images: ImagesLike | None = None,
    held_out: ImagesLike | None = None,
    layer: str | None = None,
    out: str | Path = "deceived",
    detector: str = "readout",
    margin: float = 0.5,
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
) -> Deceived:
    """Manipulate a network so that its visualizations lie, for red teams and for testing audits.

    The network itself stays as it is. OUT becomes a model of its own (`snellen.audit(OUT)`), with a receipt of what was
    changed beside it. Of a model in memory the result's `model` is the manipulated network; to load OUT, its code has
    to be named: `snellen.load_model(OUT, base="FILE.py:FACTORY")`.

    Args:
        model: a `torch.nn.Module` in memory, a `snellen.Model`, or a word as `snellen.audit` takes it.
        method: "fooling-circuit" or "silent-units".
        show: what the pictures show: a picture file, or "permute" for each that of another unit.
        images: natural images to train or calibrate on; by default the training part of the built-in photographs.
        held_out: natural images to measure on; by default every fifth of `images`.
        layer: whose units lie; by default the last.
        out: folder of the model and its receipt.
        detector: "cnn" or "readout", of the fooling circuit.
        margin: of silent units: how far below zero, in natural ranges, images leave them.
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

    Raises:
        SnellenError: a bad argument, model, image set or folder.
    """
    folder = Path(out)
    with told(progress, "loading") as tell:
        _usable(folder, method=method, detector=detector, margin=margin)
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
        attack = _attack(loaded, method, str(show), layer=layer, detector=detector, margin=margin, quick=quick)
        seen, unseen = _images(images, held_out, tell)
        settings = Settings(steps=steps or (48 if quick else 64))
        exam = Exam(held_out=unseen, units=min(units, 4) if quick else units, settings=settings, seed=Seed(seed))
        return _made(loaded, attack, (seen, exam, folder), tell)


def _usable(out: Path, *, method: str, detector: str, margin: float) -> None:
    if method not in ("fooling-circuit", "silent-units"):
        raise UsageError(f'expected the method "fooling-circuit" or "silent-units", got "{method}"')
    if detector not in ("cnn", "readout"):
        raise UsageError(f'expected the detector "cnn" or "readout", got "{detector}"')
    if not math.isfinite(margin):
        raise UsageError(f"expected a finite margin, got {margin}")
    claim(out)


def _attack(
    model: Model, method: str, show: str, *, layer: str | None, detector: str, margin: float, quick: bool
) -> Attack:
    picture = None if show == "permute" else _picture(show, model.size)
    if method == "silent-units":
        return SilentAttack(picture=picture, layer=layer, margin=margin)
    small = max(model.size) <= 96
    plan = Plan(units=30 if small else 48, steps=64, copies=4, rounds=3 if small else 0)
    if quick:
        plan = Plan(units=15 if small else 16, steps=32, natural=500, copies=1)
    return FoolingAttack(picture=picture, layer=layer, detector=detector, plan=plan)  # type: ignore[arg-type]


def _picture(path: str, size: tuple[int, int]) -> Tensor:
    return open_picture(Path(path), size)


def _images(images: ImagesLike | None, held_out: ImagesLike | None, tell: Tell) -> tuple[ImageSet, ImageSet | None]:
    def find(given: ImagesLike) -> ImageSet:
        return open_images(given, progress=lambda done, total: tell("checking images", done, total))

    if images is None:
        return find("builtin:train"), find("builtin" if held_out is None else held_out)
    return find(images), None if held_out is None else find(held_out)


def _made(model: Model, attack: Attack, places: tuple[ImageSet, Exam, Path], tell: Tell) -> Deceived:
    seen, exam, out = places
    manipulated, receipt = attack(model, seen, exam=exam, conditions=Conditions(exam.seed, tell))
    write_folder(out, manipulated, receipt)
    return Deceived(out, build_receipt(out), receipt, manipulated)
