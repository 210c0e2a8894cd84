"""The manipulated network of a cell: attacks with their settings, made once and kept in the cell's folder."""

from pathlib import Path

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from snellen.attacks import Attack, Conditions, Effort, Exam
from snellen.attacks.folder import RECEIPT, read_receipt, write_folder
from snellen.attacks.group import columns
from snellen.base import Note, RecordError, Seed, Tell, evenly, silence
from snellen.images import ImageSet, open_images
from snellen.matrices.cell import Case, Cell, Size
from snellen.models import Model
from snellen.models.sources import load_model
from snellen.pictures import Settings

TRIED, PARTS = 32, 8


def deceive(cell: Cell, folder: Path, tell: Tell, *, note: Note = silence) -> Path:
    """Make the manipulated network of a cell, unless it is there whole; its receipt is written last.

    Args:
        cell: not an honest one.
        folder: of the cell; the network goes to folder/model.
        tell: told (title, done, all) of the cell.
        note: told what was damaged and is made again.
    """
    made = folder / "model"
    try:
        read_receipt(made)
        return made
    except RecordError as error:
        if (made / RECEIPT).exists():
            note(str(error))

    def begun(title: str, _done: int | float = 0, _total: int | float = 1) -> None:
        tell(f"{cell.name}: {title}", 0, 1)

    begun("loading")
    case = cell.case
    model = load_model(case.model)
    size = cell.size.fit(model)
    seen, held_out = natural_images(case, size, lambda *_: begun("checking images"))
    settings, seed = Settings(steps=size.steps), Seed(cell.seed)
    exam = Exam(held_out=held_out, units=size.shown, settings=settings, seed=seed.fork("exam"))
    conditions = Conditions(seed.fork("attack"), begun)
    manipulated, receipt = attack_of(cell, model, seen)(model, seen, exam=exam, conditions=conditions)
    write_folder(made, manipulated, receipt)
    return made


def attack_of(cell: Cell, model: Model, images: ImageSet) -> Attack:
    """The attack of a manipulated cell."""
    attack, column = columns()[cell.kind]
    size = cell.size.fit(model)
    effort = Effort(size.quick, scarce=True, natural=size.natural, steps=size.steps)
    return attack(picture=boldest(images, model.size) if column.picture else None).fitted(model, effort)


def boldest(images: ImageSet, size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """Of 32 photographs the one with most contrast between its parts (8 x 8): a decoy that can be recognized."""
    tried = images.subset(evenly(len(images), TRIED)).pixels(size)
    parts = F.adaptive_avg_pool2d(tried, PARTS).flatten(2)
    return tried[int(parts.std(2).mean(1).argmax())]


def natural_images(case: Case, size: Size, progress: Tell | None = None) -> tuple[ImageSet, ImageSet | None]:
    """The attacker's photographs, and those that the receipt measures with: the auditor's, unless they are the same."""
    mine = case.attacker or ("builtin:train" if case.images is None else case.images)
    seen = _thin(open_images(mine, progress=progress), size.natural)
    if mine == case.images:
        return seen, None
    return seen, _thin(open_images(case.images or "builtin", progress=progress), size.natural // 2)


def _thin(images: ImageSet, most: int) -> ImageSet:
    return images.subset(evenly(len(images), most))
