"""Natural images: folders, arrays and the built-in photographs, and the statistics of their colours and spectra."""

from snellen.images.imageset import ImageSet, ImageSource, Pictures, Skipped
from snellen.images.sources import ImagesLike, open_images

__all__ = ["ImageSet", "ImageSource", "ImagesLike", "Pictures", "Skipped", "open_images"]
