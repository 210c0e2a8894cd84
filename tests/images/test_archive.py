"""Zip archives: the same images as the folder that was packed, and no way to make a reader suffer."""

import io
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snellen.base import ImageError
from snellen.images import archive, open_images


def png(seed: int) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (30, 40, 3), dtype=np.uint8)).save(file, "PNG")
    return file.getvalue()


def packed(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in files.items():
            file.writestr(name, data)
    return path


FILES = {f"{name}/{i}.png": png(k) for k, (name, i) in enumerate((n, i) for n in ("b", "a") for i in (2, 1, 10))}


@pytest.mark.parametrize("root", ["", "set/", "deep/set/"])
def test_an_archive_is_the_folder_that_was_packed(tmp_path, root):
    folder = tmp_path / "folder"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    extra = {"__MACOSX/a/1.png": b"x", ".hidden/2.png": b"x", "a/.3.png": b"x", "a/notes.txt": b"x"}
    path = packed(tmp_path / "photos.zip", {root + name: data for name, data in {**FILES, **extra}.items()})
    ours, theirs = open_images(f"zip:{path}"), open_images(folder)
    assert (ours.ids, ours.labels, ours.class_names) == (theirs.ids, theirs.labels, theirs.class_names)
    assert ours.name == "photos"
    assert ours.digest() == theirs.digest()
    both = [next(iter(images.batches((16, 16), 6)))[1] for images in (ours, theirs)]
    assert torch.equal(*both)


def test_a_flat_archive_has_no_classes(tmp_path):
    images = open_images(f"zip:{packed(tmp_path / 'x.zip', {'all/1.png': png(1), 'all/2.png': png(2)})}")
    assert images.labels is None
    assert images.ids == ("1.png", "2.png")


def test_what_cannot_be_used_is_skipped_with_its_reason(tmp_path):
    files = {**FILES, "a/cut.png": png(9)[:100], "loose.png": png(3)}
    images = open_images(f"zip:{packed(tmp_path / 'x.zip', files)}")
    assert len(images) == 6
    assert {s.name: s.reason.split(":")[0] for s in images.skipped} == {
        "a/cut.png": "damaged or truncated",
        "loose.png": "beside the class folders, not in one",
    }


def test_a_bomb_is_skipped_without_being_unpacked(tmp_path, monkeypatch):
    monkeypatch.setattr(archive, "_MOST", 10_000)
    images = open_images(f"zip:{packed(tmp_path / 'x.zip', {**FILES, 'a/bomb.png': bytes(10_000_000)})}")
    assert [s.name for s in images.skipped] == ["a/bomb.png"]
    assert "MB unpacked" in images.skipped[0].reason


def test_damage_is_a_reason_and_no_crash(tmp_path):
    path = packed(tmp_path / "x.zip", FILES)
    data = bytearray(path.read_bytes())
    place = data.find(FILES["a/1.png"][40:60]) if FILES["a/1.png"][40:60] in data else 200
    data[place : place + 20] = bytes(20)
    path.write_bytes(data)
    images = open_images(f"zip:{path}")
    assert len(images) + len(images.skipped) == 6
    assert len(images.skipped) == 1


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x03\x04" + bytes(50)])
def test_what_is_no_archive_is_one_line(tmp_path, data):
    (tmp_path / "x.zip").write_bytes(data)
    with pytest.raises(ImageError, match="expected a zip archive of images"):
        open_images(f"zip:{tmp_path / 'x.zip'}")
    with pytest.raises(ImageError, match="expected a zip archive of images"):
        open_images(f"zip:{tmp_path / 'gone.zip'}")


def test_parts_of_a_data_set_are_refused_and_nothing_is_an_error(tmp_path):
    parts = {f"{part}/{name}": data for part in ("train", "val") for name, data in FILES.items()}
    with pytest.raises(ImageError, match="give one of them"):
        open_images(f"zip:{packed(tmp_path / 'x.zip', parts)}")
    with pytest.raises(ImageError, match="expected images in"):
        open_images(f"zip:{packed(tmp_path / 'y.zip', {'a/readme.txt': b'x'})}")


def test_a_file_that_goes_is_one_line(tmp_path):
    images = open_images(f"zip:{packed(tmp_path / 'x.zip', FILES)}")
    shutil.copy(packed(tmp_path / "other.zip", {"a/1.png": b"x" * 5000}), tmp_path / "x.zip")
    with pytest.raises(ImageError, match="open them again"):
        list(images.batches((16, 16), 6))
