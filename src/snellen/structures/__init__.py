"""Networks whose structure says something of their pictures: trained, kept in folders, compared."""

from snellen.structures.dataset import TrainingSet
from snellen.structures.group import BASELINE, STRUCTURES
from snellen.structures.guarantees import Guarantee, Rung
from snellen.structures.structure import Structure
from snellen.structures.training import Course, train

__all__ = ["BASELINE", "STRUCTURES", "Course", "Guarantee", "Rung", "Structure", "TrainingSet", "train"]
