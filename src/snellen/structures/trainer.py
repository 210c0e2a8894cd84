"""A trained network in a folder: read if it is there and was made so, else trained, from where it was stopped."""

import contextlib
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from snellen.base import ModelError, Tell, UsageError, silence
from snellen.images import ImageSet
from snellen.structures.dataset import TrainingSet, read
from snellen.structures.saved import DESCRIPTION, described, save_structured
from snellen.structures.structure import Structure
from snellen.structures.training import PAUSED, Course, train

EPOCHS, LEAST = 12, 400
"""Passes over the images, and the least number of steps, where nobody says how long to train."""


@dataclass(frozen=True, eq=False)
class Trainer:
    """Images that several networks learn from, read once.

    Args:
        images: with classes.
        size: in pixels, a multiple of 8.
        steps: of every training; None for `EPOCHS` passes, at least `LEAST` steps.

    Raises:
        UsageError: another size.
    """

    images: ImageSet
    size: int = 32
    steps: int | None = None

    def __post_init__(self) -> None:
        if self.size < 16 or self.size % 8:
            raise UsageError(f"expected a size of at least 16 pixels that is a multiple of 8, got {self.size}")

    def course(self, structure: Structure, seed: int) -> Course:
        """How long a structure is trained."""
        steps = self.steps or max(LEAST, EPOCHS * len(self.images) // structure.batch)
        return Course(len(self.images.class_names), self.size, steps, seed)

    def training_set(self, tell: Tell) -> TrainingSet:
        """The images in memory."""
        known = self.__dict__.get("_read")
        if known is None:
            known = self.__dict__["_read"] = read(self.images, self.size, tell=tell)
        return known

    def trained(self, structure: Structure, seed: int, folder: Path, *, tell: Tell = silence) -> Path:
        """Train a network into a folder, unless it holds this very one.

        Args:
            structure: which.
            seed: of all that is random.
            folder: its own.
            tell: told (title, done, all).

        Returns:
            The folder.

        Raises:
            UsageError: it holds another network.
        """
        course = self.course(structure, seed)
        made: dict[str, Any] = {
            "course": asdict(course),
            "recipe": asdict(structure),
            "images": self.images.digest(tell),
        }
        if (folder / DESCRIPTION).exists():
            with contextlib.suppress(ModelError):
                known = described(folder)
                if (known["structure"], known["made"]) == (structure.name, made):
                    return folder
                raise UsageError(
                    f"expected {folder} to be empty or of this training, got another; choose another --out"
                )
        network = train(structure, course, self.training_set(tell), pause=folder, tell=tell)
        labels = self.images.class_names
        save_structured(network, structure, folder, size=self.size, labels=labels, made=made)
        (folder / PAUSED).unlink(missing_ok=True)
        return folder
