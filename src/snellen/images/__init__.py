"""Natural images: folders, arrays and the built-in photographs, and the statistics of their colours and spectra."""

from snellen.images.imageset import ImageSet, Pictures, Skipped
from snellen.images.sources import ImagesLike, open_images

__all__ = ["ImageSet", "ImagesLike", "Pictures", "Skipped", "open_images"]
