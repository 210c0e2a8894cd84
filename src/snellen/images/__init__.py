"""Natural images: folders, arrays and the built-in photographs, and the statistics of their colours and spectra."""

from snellen.images.imageset import ImageSet, Pictures, Skipped
from snellen.images.sources import open_images

__all__ = ["ImageSet", "Pictures", "Skipped", "open_images"]
