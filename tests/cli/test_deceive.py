import html
import json
import re
from pathlib import Path

import pytest
import torch
from PIL import Image

from snellen.models import load_model
from snellen.reports.receipt import build_receipt

NET = """
import torch
from torch import nn

def load():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 8, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(),
        nn.Linear(32, 15),
    )
"""


@pytest.fixture
def net(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    return f"{tmp_path / 'net.py'}:load"


def words(net, out, *more):
    return ["deceive", net, "--size", "24", "--quick", "--steps", "8", "--units", "2", "--out", str(out), *more]


@pytest.mark.parametrize("how", [(m, s) for m in ("fooling-circuit", "silent-units") for s in ("permute", "picture")])
def test_a_deceived_network_is_an_ordinary_model_with_a_receipt(net, tmp_path, snellen, how):
    method, show = how
    out = tmp_path / "out"
    if show == "picture":
        pixels = torch.rand(20, 30, 3, generator=torch.Generator().manual_seed(0)).mul(255).byte().numpy()
        Image.fromarray(pixels).save(tmp_path / "target.png")
        show = str(tmp_path / "target.png")
    done = snellen(*words(net, out, "--method", method, "--show", show))
    assert done.code == 0, done.err
    audit = f"audit it: snellen audit {out} --base {net}"
    assert done.out.splitlines() == [f"model: {out}", f"receipt: {out / 'index.html'}", audit]
    model = load_model(str(out), base=net)
    assert model.provenance["made"]["method"] == method
    receipt = json.loads((out / "receipt.json").read_text())
    assert receipt["behaviour"]["held-out"]["count"] == 520
    if method == "silent-units":
        assert receipt["behaviour"]["calibration"]["differing"] == 0
        assert receipt["claims"][0]["kept"]
    page = (out / "index.html").read_text()
    assert receipt["behaviour"]["held-out"]["classes"]["words"] in html.unescape(page)
    pictures = re.findall(r'<img src="([^"]+)" alt="([^"]+)"', page)
    assert len(pictures) == 6
    assert all((out / name).is_file() for name, _ in pictures)
    assert "http" not in re.sub(r"http-equiv|http://www\.w3\.org/2000/svg", "", page)
    assert build_receipt(out).read_text() == page


@pytest.mark.parametrize(
    "wish",
    [
        (["--method", "magic"], 'soft-gate, input-warp, slingshot, push, prox-pulse as method, got "magic"'),
        (["--detector", "eye"], 'expected the detector "cnn" or "readout", got "eye"'),
        (["--show", "nowhere.png"], 'expected "permute" or a picture file to show'),
        (["--layer", "22"], "expected a layer of the model"),
        (["--images", "/nowhere"], "does not exist"),
    ],
)
def test_bad_input_is_one_line_and_two(net, tmp_path, snellen, wish):
    more, told = wish
    assert told in snellen(*words(net, tmp_path / "out", *more)).line
    assert not (tmp_path / "out").exists()


def test_a_folder_with_something_else_in_it_is_left_alone(net, tmp_path, snellen):
    (tmp_path / "mine.txt").write_text("mine")
    assert "expected an empty folder" in snellen(*words(net, tmp_path)).line


def test_a_killed_or_full_disk_is_taken_up_by_the_same_command(net, images, tmp_path, snellen, monkeypatch):  # noqa: PLR0917
    """At every file that it writes: what is left is its own, and the next try ends with the same bytes."""
    import errno
    import os

    from snellen.base import writer

    whole, out = tmp_path / "whole", tmp_path / "out"
    quick = ("--method", "silent-units", "--units", "1", "--images", str(images))
    assert snellen(*words(net, whole, *quick)).code == 0
    named = {p.relative_to(whole): p.read_bytes() for p in whole.rglob("*") if p.is_file()}
    assert len(named) == 4 + 3
    replace = os.replace
    for count in range(4):
        left = [count]

        def full(*places, left=left):
            left[0] -= 1
            if left[0] < 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            replace(*places)

        with monkeypatch.context() as patch:
            patch.setattr(writer.os, "replace", full)
            assert "no space left" in snellen(*words(net, out, *quick)).line
        begun = ("snellen.json", "weights.safetensors") if (out / "snellen.json").exists() else ("snellen.json",)
        for name in begun:  # as a kill would leave it
            (out / f".{name}.0123456789ab.snellen-part").write_bytes(b"half")
    assert snellen(*words(net, out, *quick)).code == 0
    again = {p.relative_to(out): p.read_bytes() for p in out.rglob("*") if p.is_file()}
    assert {**again, Path("snellen.json"): b""} == {**named, Path("snellen.json"): b""}


def test_a_place_that_cannot_be_written_to_is_told_before_the_work(net, tmp_path, snellen):
    (tmp_path / "file").write_text("")
    for command in (["deceive", "nowhere.py:net"], ["visualize", net, "0:0", "--steps", "100000"]):
        assert "not a directory" in snellen(*command, "--out", tmp_path / "file" / "out").line


@pytest.mark.parametrize("name", ["receipt.json", "pictures/unit-0-after.png"])
def test_a_page_is_only_made_of_what_was_written(net, tmp_path, snellen, name):
    from snellen.base import RecordError

    out = tmp_path / "out"
    snellen(*words(net, out, "--method", "silent-units", "--units", "1"))
    path = out / name
    data = path.read_bytes()
    path.write_bytes(data.replace(b'"count": 520', b'"count": 521') if name.endswith(".json") else data[:-1] + b"?")
    with pytest.raises(RecordError, match=path.name):
        build_receipt(out)


def test_a_receipt_copies_no_picture_from_elsewhere(net, tmp_path, snellen):
    from snellen.base import RecordError, stamp

    out = tmp_path / "out"
    snellen(*words(net, out, "--method", "silent-units", "--units", "1"))
    receipt = json.loads((out / "receipt.json").read_text())
    receipt["gallery"]["entries"][0]["pictures"]["after"] = "../../secret.png"
    (out / "receipt.json").write_bytes(stamp(receipt))
    with pytest.raises(RecordError, match=r"expected gallery.* to be the path of a picture"):
        build_receipt(out)


def test_a_damaged_receipt_is_said_in_one_line(tmp_path):
    from snellen.base import RecordError

    for text, told in (("{", "damaged"), ('{"format": 9}', "another version")):
        (tmp_path / "receipt.json").write_text(text)
        with pytest.raises(RecordError, match=told):
            build_receipt(tmp_path)
    (tmp_path / "receipt.json").unlink()
    with pytest.raises(RecordError, match="expected a receipt at"):
        build_receipt(tmp_path)
