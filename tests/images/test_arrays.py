"""NumPy archives."""

import io
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from snellen.base import ImageError
from snellen.images import open_images

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3), dtype=np.uint8)
LABELS = np.array([0, 2, 1, 0, 2, 1])


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    file = tmp_path / "set.npz"
    names = np.array(["ant", "bee", "cat"])
    np.savez(file, train_x=PIXELS[:4], train_y=LABELS[:4], test_x=PIXELS[4:], test_y=LABELS[4:], classes=names)
    return file


def test_the_test_split_is_the_default(archive: Path) -> None:
    images = open_images(archive)
    assert images.ids == ("test/000000", "test/000001")
    assert images.name == "set:test"
    assert images.labels == (2, 1)
    assert images.class_names == ("ant", "bee", "cat")
    assert torch.equal((images.load(1, (5, 4)) * 255).round().to(torch.uint8), torch.tensor(PIXELS[5]).permute(2, 0, 1))


def test_a_split_by_name(archive: Path) -> None:
    assert len(open_images(f"{archive}:train")) == 4
    with pytest.raises(ImageError, match='got "trane"; it has train, test did you mean "train"'):
        open_images(f"{archive}:trane")


def test_plain_x_and_y_without_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=PIXELS, y=LABELS)
    images = open_images(tmp_path / "a.npz")
    assert images.ids[0] == "000000"
    assert images.class_names == ("0", "1", "2")
    np.savez(tmp_path / "b.npz", x=PIXELS)
    assert open_images(tmp_path / "b.npz").labels is None


@pytest.mark.parametrize("shape", [(6, 5, 4), (6, 5, 4, 1)])
def test_grey_arrays(tmp_path: Path, shape: tuple[int, ...]) -> None:
    grey = PIXELS[..., 0].reshape(shape)
    np.savez(tmp_path / "a.npz", x=grey)
    loaded = open_images(tmp_path / "a.npz").load(3, (5, 4))
    expected = torch.tensor(grey[3].reshape(5, 4)).expand(3, 5, 4)
    assert torch.equal((loaded * 255).round().to(torch.uint8), expected)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": PIXELS.astype(np.float32)}, "uint8"),
        ({"x": PIXELS.astype(np.uint16)}, "uint8"),
        ({"x": PIXELS.transpose(0, 3, 1, 2)}, "uint8 of shape"),
        ({"x": PIXELS[:0]}, "uint8 of shape"),
        ({"x": PIXELS, "y": LABELS[:3]}, "labels"),
        ({"x": PIXELS, "y": LABELS - 1}, "labels"),
        ({"x": PIXELS, "y": LABELS + 0.5}, "labels"),
        ({"x": PIXELS, "y": LABELS, "classes": np.array(["a"])}, "3 names"),
        ({"images": PIXELS}, "expected arrays x"),
    ],
)
def test_other_arrays_are_refused(tmp_path: Path, arrays: dict[str, np.ndarray], message: str) -> None:
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ImageError, match=message):
        open_images(tmp_path / "a.npz")


class Trap:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (Path.touch, (Path("sprung"),))


def test_pickles_are_never_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("object.npz", x=np.array([Trap()], dtype=object))
    Path("bare.npz").write_bytes(pickle.dumps(Trap()))
    for name, told in (("object.npz", "uint8"), ("bare.npz", "plain arrays")):
        with pytest.raises(ImageError, match=told):
            open_images(name)
    assert not Path("sprung").exists()


def test_damaged_archives_are_one_line(archive: Path, tmp_path: Path) -> None:
    whole = archive.read_bytes()
    for i, data in enumerate((b"", b"no archive", whole[: len(whole) // 2], whole[:200] + b"\xff" * 40 + whole[240:])):
        file = tmp_path / f"{i}.npz"
        file.write_bytes(data)
        with pytest.raises(ImageError) as caught:
            open_images(f"{file}:train")
        assert "\n" not in str(caught.value)
    with pytest.raises(ImageError, match="does not exist"):
        open_images(tmp_path / "none.npz:test")


def test_only_labels_that_occur_have_names(tmp_path: Path) -> None:
    np.savez(tmp_path / "far.npz", x=PIXELS, y=np.array([10**8, 2**62, 0, 7, 7, 10**8]))
    images = open_images(tmp_path / "far.npz")
    assert images.class_names == ("0", "7", "100000000", "4611686018427387904")
    assert images.labels == (2, 3, 0, 1, 1, 2)
    assert images.subset([3]).digest() != images.subset([5]).digest()


def test_classes_of_the_file_keep_their_places(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", x=PIXELS[:2], y=np.array([2, 0]), classes=np.array(["ant", "bee", "cat", "dog"]))
    images = open_images(tmp_path / "a.npz")
    assert images.class_names == ("ant", "bee", "cat", "dog")
    assert images.labels == (2, 0)


def _zipped(file: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return file


def _array(shape: tuple[int, ...], dtype: str, data: bytes = b"") -> bytes:
    """An array that claims a shape, whatever it holds."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_2_0(stream, {"descr": dtype, "fortran_order": False, "shape": shape})
    return stream.getvalue() + data


def _encrypted(file: Path) -> None:
    """As if it needed a password."""
    data = bytearray(file.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        at = data.find(signature)
        while at >= 0:
            data[at + flags] |= 1
            at = data.find(signature, at + 4)
    file.write_bytes(data)


def _uncommonly_packed(file: Path) -> None:
    """Of a compression that nobody knows."""
    data = bytearray(file.read_bytes())
    for signature, method in ((b"PK\x03\x04", 8), (b"PK\x01\x02", 10)):
        at = data.find(signature)
        while at >= 0:
            data[at + method] = 77
            at = data.find(signature, at + 4)
    file.write_bytes(data)


def _renamed(file: Path) -> None:
    np.save(file.with_suffix(".npy"), PIXELS)
    file.with_suffix(".npy").rename(file)


def _names(names: np.ndarray) -> Callable[[Path], None]:
    return lambda file: np.savez(file, x=PIXELS, y=LABELS, classes=names)


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (_encrypted, "plain arrays"),
        (_uncommonly_packed, "plain arrays"),
        (_renamed, "plain arrays"),
        (_names(np.array([b"ant", b"\xff\xfe", b"cat"])), "as text"),
        (_names(np.array(["ant", "\ud800", "cat"])), "as text"),
        (_names(np.array(["1" * 5000, "2", "3"])), "at most 1000 characters"),
        (_names(np.array([["ant", "bee", "cat"]])), "names"),
        (lambda f: _zipped(f, x=_array((10**12, 10, 10, 3), "|u1")), "truncated"),
        (lambda f: _zipped(f, x=_array((2, 3, 3, 3), "|u1", b"1" * 54), y=_array((10**13,), "<i8")), "2 integers"),
        (lambda f: _zipped(f, x=_array((2, -3, 3, 3), "|u1", b"1" * 54)), "uint8"),
        (lambda f: _zipped(f, x=b"\x93NUMPY\x01\x00\xff\xff" + b"(" * 65535), "plain arrays"),
        (lambda f: np.savez(f, x=PIXELS, y=np.array([0, -(2**62)] * 3)), "from 0 up"),
        (lambda f: np.savez(f, x=PIXELS, y=np.array([2**64 - 1] * 6, np.uint64), classes=np.array(["a"])), "names"),
    ],
)
def test_hostile_archives_are_one_line(archive: Path, damage: Callable[[Path], object], told: str) -> None:
    damage(archive)
    with pytest.raises(ImageError, match=told) as caught:
        open_images(archive)
    assert "\n" not in str(caught.value)


def test_an_archive_larger_than_memory_is_refused(archive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("snellen.images.arrays._memory", lambda: 100)
    with pytest.raises(ImageError, match="more than this machine's memory"):
        open_images(archive)


def test_a_pipe_for_an_archive_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.npz")
    with pytest.raises(ImageError, match="not a regular file"):
        open_images(tmp_path / "pipe.npz")
