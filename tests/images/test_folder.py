"""Folders: what counts as an image, what is skipped and why, and that nothing else is said."""

import io
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snellen.base import ImageError
from snellen.images import open_images
from snellen.images.decoder import MOST_PIXELS


def picture(seed: int = 0, size: tuple[int, int] = (40, 30)) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (size[1] // 5, size[0] // 5, 3), dtype=np.uint8)
    return Image.fromarray(pixels).resize(size, Image.Resampling.BICUBIC)


def png_header(width: int, height: int, depth: int = 8, colour: int = 2) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    rows = zlib.compress(b"".join(b"\0" + bytes(width * 3 * depth // 8) for _ in range(min(height, 4))))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b", "a"):
        (tmp_path / name).mkdir()
        for i in (2, 1, 10):
            picture(i).save(tmp_path / name / f"{i}.png")
    return tmp_path


def test_class_folders_are_labels_in_sorted_order(folder: Path) -> None:
    images = open_images(folder)
    assert images.ids == ("a/1.png", "a/10.png", "a/2.png", "b/1.png", "b/10.png", "b/2.png")
    assert images.labels == (0, 0, 0, 1, 1, 1)
    assert images.class_names == ("a", "b")
    assert images.skipped == ()


def test_flat_folder_has_no_classes(folder: Path) -> None:
    images = open_images(str(folder / "a"))
    assert images.ids == ("1.png", "10.png", "2.png")
    assert images.labels is None
    assert images.class_names == ()
    assert images.name == "a"


def test_folders_below_a_class_belong_to_it(folder: Path) -> None:
    (folder / "a" / "deep" / "er").mkdir(parents=True)
    picture(7).save(folder / "a" / "deep" / "er" / "x.PNG")
    images = open_images(folder)
    assert "a/deep/er/x.PNG" in images.ids
    assert images.labels is not None
    assert images.labels[images.ids.index("a/deep/er/x.PNG")] == 0


def test_an_empty_class_folder_takes_no_label(folder: Path) -> None:
    (folder / "aa").mkdir()
    assert open_images(folder).class_names == ("a", "b")


def test_loose_images_beside_class_folders_are_listed(folder: Path) -> None:
    picture().save(folder / "loose.png")
    images = open_images(folder)
    assert len(images) == 6
    assert [s.name for s in images.skipped] == ["loose.png"]
    assert "class folders" in images.skipped[0].reason


def test_hidden_and_other_files_are_ignored(folder: Path) -> None:
    picture().save(folder / "a" / ".hidden.png")
    (folder / ".git").mkdir()
    picture().save(folder / ".git" / "x.png")
    (folder / "__MACOSX").mkdir()
    (folder / "__MACOSX" / "y.png").write_bytes(b"no image")
    (folder / "a" / "notes.txt").write_text("no image")
    (folder / "index.csv").write_text("path,label")
    images = open_images(folder)
    assert len(images) == 6
    assert images.skipped == ()


def gif(frames: int) -> bytes:
    file = io.BytesIO()
    first, *rest = [picture(i) for i in range(frames)]
    first.save(file, "GIF", save_all=True, append_images=rest)
    return file.getvalue()


def encoded(kind: str, image: Image.Image | None = None, **options: object) -> bytes:
    file = io.BytesIO()
    (image or picture(3, (200, 160))).save(file, kind, **options)
    return file.getvalue()


def deep(kind: str) -> bytes:
    return encoded(kind, Image.fromarray(np.arange(1200, dtype=np.uint16).reshape(30, 40)))


BAD = {
    "empty.jpg": (b"", "not an image"),
    "text.png": (b"<html>404</html>", "not an image"),
    "truncated.jpg": (encoded("JPEG")[:-900], "truncated"),
    "truncated_progressive.jpg": (encoded("JPEG", progressive=True)[:-900], "truncated"),
    "truncated.png": (encoded("PNG")[:-900], "truncated"),
    "truncated.webp": (encoded("WEBP")[:-900], ""),
    "truncated.bmp": (encoded("BMP")[:-900], "truncated"),
    "flipped.png": (encoded("PNG").replace(b"IDAT", b"IDAU"), "not an image"),
    "bomb.png": (png_header(60_000, 60_000)[:80], "megapixels"),
    "large.png": (png_header(10_000, MOST_PIXELS // 10_000 + 1)[:80], "megapixels"),
    "animated.gif": (gif(3), "3 frames"),
    "animated.png": (encoded("PNG", save_all=True, append_images=[picture(9, (200, 160))]), "2 frames"),
    "animated.webp": (encoded("WEBP", save_all=True, append_images=[picture(9, (200, 160))]), "2 frames"),
    "pages.tif": (encoded("TIFF", save_all=True, append_images=[picture(9)]), "2 frames"),
    "deep_grey.png": (deep("PNG"), "8 bits"),
    "deep_rgb.png": (png_header(4, 4, depth=16), "8 bits"),
    "deep.tif": (deep("TIFF"), "8 bits"),
    "deep.pgm": (deep("PPM"), "8 bits"),
    "deep_rgb.ppm": (b"P6 2 1 65535 " + bytes(12), "8 bits"),
    "float.tif": (encoded("TIFF", Image.fromarray(np.zeros((4, 4), np.float32))), "8 bits"),
    "phone.heic": (b"\0\0\0\x18ftypheic" + bytes(64), "not an image"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_file_is_skipped_with_its_reason(folder: Path, name: str) -> None:
    data, reason = BAD[name]
    (folder / "a" / name).write_bytes(data)
    images = open_images(folder)
    assert len(images) == 6
    assert [s.name for s in images.skipped] == [f"a/{name}"]
    assert reason in images.skipped[0].reason
    assert "\n" not in images.skipped[0].reason


def test_no_single_flipped_byte_or_cut_escapes_as_another_error(tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    whole = [encoded(kind, picture(1)) for kind in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "PPM")]
    for i in range(210):
        data = bytearray(whole[i % len(whole)])
        for at in random.integers(0, len(data), 6):
            data[at] = random.integers(0, 256)
        (tmp_path / f"{i:03d}.png").write_bytes(bytes(data[: random.integers(1, 2 * len(data))]))
    picture().save(tmp_path / "whole.png")
    images = open_images(tmp_path)
    assert len(images) + len(images.skipped) == 211
    assert sum(len(indices) for indices, _ in images.batches((16, 16), 32)) == len(images)


def test_a_warning_of_pillow_becomes_a_reason(folder: Path) -> None:
    tagged = bytearray(encoded("TIFF", picture()))
    at = tagged.index(struct.pack("<HH", 258, 3))
    tagged[at + 8 : at + 12] = struct.pack("<I", 2**31)  # the bits of each sample now lie beyond the end
    (folder / "a" / "bad_tag.tif").write_bytes(bytes(tagged))
    assert [s.name for s in open_images(folder).skipped] == ["a/bad_tag.tif"]


def test_a_broken_link_is_listed_and_a_pipe_ignored(folder: Path) -> None:
    (folder / "a" / "broken.png").symlink_to(folder / "nowhere.png")
    os.mkfifo(folder / "a" / "pipe.png")
    images = open_images(folder)
    assert len(images) == 6
    assert [s.name for s in images.skipped] == ["a/broken.png"]
    assert "no such file" in images.skipped[0].reason


def test_links_in_a_circle_end(folder: Path) -> None:
    (folder / "a" / "self").symlink_to(folder / "a")
    (folder / "a" / "up").symlink_to(folder)
    (folder / "b" / "other").symlink_to(folder / "a")
    images = open_images(folder)
    assert len(set(images.ids)) == len(images)
    assert {"a/1.png", "b/1.png", "b/other/1.png"} <= set(images.ids)


@pytest.mark.parametrize("bad", [True, False])
def test_nothing_usable_is_one_clear_line(tmp_path: Path, bad: bool) -> None:
    if bad:
        (tmp_path / "x.png").write_bytes(b"no")
    with pytest.raises(ImageError, match=r"expected images in .*; give") as caught:
        open_images(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_path_that_is_no_folder_says_so(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(ImageError, match="does not exist"):
        open_images(tmp_path / "none")
    with pytest.raises(ImageError, match="give the folder"):
        open_images(folder / "a" / "1.png")


def test_progress_counts_every_file(folder: Path) -> None:
    (folder / "a" / "0.png").write_bytes(b"no")
    seen: list[tuple[int, int]] = []
    open_images(folder, progress=lambda _title, done, total: seen.append((done, total)))
    assert seen == [(i, 7) for i in range(1, 8)]


def test_a_file_that_goes_after_opening_is_an_image_error(folder: Path) -> None:
    images = open_images(folder)
    (folder / "a" / "1.png").unlink()
    with pytest.raises(ImageError, match="open them again"):
        images.load(0, (16, 16))
    with pytest.raises(ImageError, match="open them again"):
        list(images.batches((16, 16), 4))
    with pytest.raises(ImageError, match="open them again"):
        images.digest()
    assert not [t for t in threading.enumerate() if t.name.startswith("snellen-images")]


def test_a_name_that_is_no_utf8_can_still_be_printed(folder: Path) -> None:
    raw = os.fsencode(folder / "a") + b"/\xff.png"
    Path(os.fsdecode(raw)).write_bytes(encoded("PNG", picture()))
    images = open_images(folder)
    assert "a/\\xff.png" in images.ids
    images.digest().encode()


def test_fifteen_hundred_photographs_open_in_seconds(tmp_path: Path) -> None:
    photograph = encoded("JPEG", picture(1, (256, 256)), quality=90)
    for i in range(1500):
        (tmp_path / f"{i}.jpg").write_bytes(photograph)
    started = time.perf_counter()
    assert len(open_images(tmp_path)) == 1500
    assert time.perf_counter() - started < 10


def test_silence_and_no_change_to_pillow_in_a_fresh_process(folder: Path) -> None:
    for name, (data, _) in BAD.items():
        (folder / "a" / name).write_bytes(data)
    code = (
        "import sys, warnings; from PIL import Image; before = (Image.MAX_IMAGE_PIXELS, warnings.filters[:])\n"
        "from snellen.images import open_images; images = open_images(sys.argv[1]); images.digest()\n"
        "[None for _ in images.batches((32, 32), 4)]\n"
        "assert before[0] == Image.MAX_IMAGE_PIXELS; assert len(images) == 6, images.ids"
    )
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def place(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)


@pytest.mark.parametrize(
    ("places", "one"),
    [
        (("train/cat/1.png", "val/cat/1.png"), "val"),
        (("train/cat/1.png", "test/cat/1.png", "Val/dog/1.png"), "Val"),
        (("train/cat/1.png", "train/dog/1.png", "val/1.png"), "val"),
        (("train2017/1.png", "val2017/1.png"), "val2017"),
        (("train/cat/1.png",), "train"),
    ],
)
def test_parts_of_a_data_set_are_not_read_as_classes(tmp_path: Path, places: tuple[str, ...], one: str) -> None:
    for name in places:
        place(tmp_path / name)
    (tmp_path / "annotations").mkdir()
    with pytest.raises(ImageError, match="expected a folder of class folders") as caught:
        open_images(tmp_path)
    assert str(caught.value).endswith(f"give one of them: {tmp_path / one}")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "places",
    [
        ("train/1.png", "bus/1.png"),
        ("train/a/1.png", "bus/a/1.png"),
        ("train/1.png",),
        ("my_test/1.png", "test-b/1.png"),
    ],
)
def test_classes_that_are_called_like_parts_stay_classes(tmp_path: Path, places: tuple[str, ...]) -> None:
    for name in places:
        place(tmp_path / name)
    assert open_images(tmp_path).class_names == tuple(sorted({name.partition("/")[0] for name in places}))


def test_a_hostile_file_says_nothing_but_its_reason(tmp_path: Path) -> None:
    """Pillow writes to its log when a TIFF claims 57,859 samples a pixel; without a handler that ends on stderr."""
    image = Image.new("RGB", (4, 4))
    image.save(tmp_path / "good.png")
    image.save(tmp_path / "bad.tiff")
    data = bytearray((tmp_path / "bad.tiff").read_bytes())
    at = data.find((277).to_bytes(2, "little") + (3).to_bytes(2, "little"))  # SamplesPerPixel, a short
    data[at + 8 : at + 10] = (57859).to_bytes(2, "little")
    (tmp_path / "bad.tiff").write_bytes(data)
    code = "import sys; from snellen.images import open_images; print(open_images(sys.argv[1]).skipped[0].name)"
    done = subprocess.run([sys.executable, "-c", code, tmp_path], capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("bad.tiff\n", "")
