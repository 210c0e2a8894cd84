from PIL import Image

from snellen.images.crop import fit


def test_every_square_fits_every_square():
    for side in range(20, 420):
        assert fit(Image.new("RGB", (side, side)), (96, 96)).size == (96, 96)
