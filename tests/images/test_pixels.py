"""Pixels: modes, orientation, resizing, batches, thumbnails, digests."""

import io
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from snellen.base import UsageError
from snellen.images import ImageSet, open_images
from snellen.images.crop import fit, to_tensor


def gradient(width: int, height: int) -> Image.Image:
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, 255 - x], -1).round().astype(np.uint8))


def one(tmp_path: Path, name: str) -> ImageSet:
    images = open_images(tmp_path)
    assert images.skipped == ()
    assert images.ids == (name,)
    return images


def mean_colour(images: ImageSet) -> list[int]:
    return [round(255 * c) for c in images.load(0, (8, 8)).mean((1, 2)).tolist()]


def test_a_picture_of_the_right_size_is_untouched(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (24, 32, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(tmp_path / "x.png")
    loaded = one(tmp_path, "x.png").load(0, (24, 32))
    assert loaded.dtype == torch.float32
    assert loaded.is_contiguous()
    assert torch.equal((loaded * 255).round().to(torch.uint8), torch.from_numpy(pixels).permute(2, 0, 1))


def test_modes_come_out_as_the_colours_one_sees(tmp_path: Path) -> None:
    red, half = (200, 40, 30), Image.new("RGBA", (16, 16), (200, 40, 30, 255))
    half.paste((9, 9, 9, 0), (0, 0, 16, 8))
    over_white = [round((a + 255) / 2) for a in red]
    cases = {
        "cmyk.jpg": (Image.new("RGB", (16, 16), red).convert("CMYK"), list(red)),
        "palette.png": (Image.new("RGB", (16, 16), red).quantize(4), list(red)),
        "grey.png": (Image.new("L", (16, 16), 77), [77] * 3),
        "grey_alpha.png": (Image.new("LA", (16, 16), (77, 0)), [255] * 3),
        "bits.png": (Image.new("1", (16, 16), 1), [255] * 3),
        "rgba.png": (half, over_white),
        "palette_alpha.png": (half.quantize(8), over_white),
        "transparent.gif": (half, over_white),
    }
    for name, (image, expected) in cases.items():
        folder = tmp_path / name
        folder.mkdir()
        image.save(folder / name, quality=100) if name.endswith("jpg") else image.save(folder / name)
        got = mean_colour(one(folder, name))
        assert np.allclose(got, expected, atol=3), (name, got, expected)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpg"])
def test_exif_orientation_is_undone(tmp_path: Path, orientation: int, kind: str) -> None:
    upright = gradient(160, 80)
    stored = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # how a camera held so would store it
    image = upright if stored is None else upright.transpose(Image.Transpose(stored))
    exif = Image.Exif()
    exif[0x0112] = orientation
    image.save(tmp_path / f"x.{kind}", exif=exif, quality=98)
    loaded = one(tmp_path, f"x.{kind}").load(0, (40, 80))
    assert (loaded - to_tensor(fit(upright, (40, 80)))).abs().max() < 0.04


def resample(line: np.ndarray, target: int, start: float, stop: float) -> np.ndarray:
    """Antialiased bicubic (Keys, a = -1/2) in one dimension, written out as the definition."""
    scale = (stop - start) / target
    width = max(scale, 1.0)
    out = np.zeros((target, *line.shape[1:]))
    for i in range(target):
        centre = start + (i + 0.5) * scale
        t = np.abs((np.arange(len(line)) + 0.5 - centre) / width)
        near, far = (1.5 * t - 2.5) * t * t + 1, ((-0.5 * t + 2.5) * t - 4) * t + 2
        weight = np.where(t < 1, near, np.where(t < 2, far, 0.0))
        out[i] = np.tensordot(weight / weight.sum(), line, 1)
    return out


@settings(max_examples=30, deadline=None)
@given(st.integers(3, 70), st.integers(3, 70), st.integers(1, 40), st.integers(1, 40))
def test_fit_is_the_centre_at_the_right_scale(width: int, height: int, h: int, w: int) -> None:
    pixels = np.random.default_rng(width * 71 + height).integers(60, 190, (height, width, 3)).astype(np.uint8)
    scale = min(width / w, height / h)
    top, left = (height - h * scale) / 2, (width - w * scale) / 2
    rows = resample(pixels.astype(float), h, top, top + h * scale)
    plain = resample(rows.swapaxes(0, 1), w, left, left + w * scale).swapaxes(0, 1)
    got = np.asarray(fit(Image.fromarray(pixels), (h, w)), float)
    assert np.abs(got - plain.clip(0, 255)).max() <= 2.0  # Pillow rounds to 8 bits after each direction


def test_a_reduced_jpeg_looks_like_the_whole_one(tmp_path: Path) -> None:
    gradient(1200, 900).save(tmp_path / "x.jpg", quality=95)
    whole = to_tensor(fit(gradient(1200, 900), (64, 64)))
    assert (one(tmp_path, "x.jpg").load(0, (64, 64)) - whole).abs().max() < 0.02


@pytest.fixture
def many(tmp_path: Path) -> ImageSet:
    for i in range(11):
        Image.new("RGB", (10 + i, 20), (20 * i, 0, 255 - 20 * i)).save(tmp_path / f"{i:02d}.png")
    return open_images(tmp_path)


def test_batches_hold_every_image_once_in_order(many: ImageSet) -> None:
    chunks = list(many.batches((6, 9), 4))
    assert [indices for indices, _ in chunks] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
    assert [tuple(images.shape) for _, images in chunks] == [(4, 3, 6, 9), (4, 3, 6, 9), (3, 3, 6, 9)]
    alone = torch.stack([many.load(i, (6, 9)) for i in range(11)])
    assert torch.equal(torch.cat([images for _, images in chunks]), alone)
    [(indices, images)] = many.batches((6, 9), 8, indices=[7, 2, 7])
    assert indices == [7, 2, 7]
    assert torch.equal(images, alone[[7, 2, 7]])
    assert list(many.batches((6, 9), 8, indices=[])) == []


def test_batches_stream_and_leave_no_thread(many: ImageSet, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded: list[int] = []
    original = ImageSet.load

    def counted(self: ImageSet, index: int, size: tuple[int, int]) -> torch.Tensor:
        loaded.append(index)
        return original(self, index, size)

    monkeypatch.setattr(ImageSet, "load", counted)
    steps = many.batches((8, 8), 2)
    next(steps)
    assert len(loaded) <= 4
    steps.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("snellen-images")]


@pytest.mark.parametrize("batch", [0, -1])
def test_an_impossible_batch_is_refused(many: ImageSet, batch: int) -> None:
    with pytest.raises(UsageError, match="at least 1"):
        next(many.batches((8, 8), batch))


def test_a_thumbnail_is_a_square_jpeg_of_the_centre(many: ImageSet) -> None:
    thumb = Image.open(io.BytesIO(many.thumbnail(5, 48)))
    assert (thumb.format, thumb.size) == ("JPEG", (48, 48))
    assert np.allclose(np.asarray(thumb).mean((0, 1)), (100, 0, 155), atol=3)
    assert many.thumbnail(5, 48) == many.thumbnail(5, 48)


def test_a_subset_keeps_order_labels_and_pixels(tmp_path: Path) -> None:
    np.savez(
        tmp_path / "a.npz", x=np.random.default_rng(0).integers(0, 9, (5, 4, 4, 3), dtype=np.uint8), y=np.arange(5) % 3
    )
    images = open_images(tmp_path / "a.npz")
    part = images.subset([4, 1]).subset([1, 0])
    assert part.ids == (images.ids[1], images.ids[4])
    assert part.labels == (1, 1)
    assert part.class_names == images.class_names
    assert torch.equal(part.load(1, (4, 4)), images.load(4, (4, 4)))


def test_the_digest_sees_names_classes_content_and_order(tmp_path: Path) -> None:
    def digest_of(files: dict[str, int]) -> str:
        folder = tmp_path / str(len(list(tmp_path.iterdir())))
        for name, value in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 4), value).save(folder / name)
        return open_images(folder).digest()

    same = digest_of({"a/1.png": 1, "b/2.png": 2})
    assert same == digest_of({"b/2.png": 2, "a/1.png": 1})
    others = [{"a/1.png": 2, "b/2.png": 1}, {"a/1.png": 1, "b/3.png": 2}, {"a/1.png": 1, "c/2.png": 2}, {"a/1.png": 1}]
    assert len({same, *map(digest_of, others)}) == 5
    images = open_images(tmp_path / "0")
    assert images.subset([1, 0]).digest() != same
