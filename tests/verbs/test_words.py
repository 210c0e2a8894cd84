"""The other words with a network in memory: what they write and return, and that they say nothing unasked."""

import json
import warnings

import numpy as np
import pytest
import torch
from PIL import Image

import snellen
from snellen.base import ModelError, SnellenError, UsageError

CODE = """
from torch import nn


def load():
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )
"""


def test_visualize_writes_pictures_of_a_module(net, tmp_path):
    written = snellen.visualize(net, "8:0-1", steps=3, out=tmp_path / "p")
    assert [p.unit for p in written] == ["8:0", "8:1"]
    drawn = snellen.render(net, ["8:0", "8:1"], steps=3)
    for picture, image in zip(written, drawn.pil(), strict=True):
        with Image.open(picture.path) as read:
            assert np.array_equal(np.array(read), np.array(image))
    least = snellen.visualize(net, ["8:0"], steps=3, out=tmp_path / "p", minimize=True)
    assert least[0].path.name == "8_0-min.png"
    assert least[0].response < written[0].response


def test_certify_bounds_a_units_responses_to_images_in_memory(net, pictures):
    found = snellen.certify(net, "0:3", images=pictures, steps=2, exemplars=2)
    assert str(found.unit) == "0:3"
    assert found.proof.affine
    assert all(certificate.holds.all() for certificate in found.found.values())
    with pytest.raises(UsageError, match="expected one unit, got the 6"):
        snellen.certify(net, "0:*", images=pictures)


def test_deceive_leaves_the_module_and_gives_a_lying_copy(net, pictures, tmp_path):
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    done = snellen.deceive(
        net, images=pictures, out=tmp_path / "lie", method="silent-units", quick=True, steps=2, units=1, layer="2"
    )
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert done.page.is_file()
    assert json.loads((tmp_path / "lie" / "receipt.json").read_text())["method"] == "silent-units"
    images = snellen.open_images(pictures)
    batch = torch.stack([images.load(i, (32, 32)) for i in range(24)])
    lying = done.model
    assert lying.module is not net
    assert type(lying.module[2]) is not type(net[2])
    with torch.no_grad():
        torch.testing.assert_close(lying(batch), net(batch), atol=1e-4, rtol=1e-3)
    drawn = snellen.render(lying, "2:0", steps=3)
    assert drawn.images.shape == (1, 3, 32, 32)
    with pytest.raises(ModelError, match='built from "in memory"') as caught:
        snellen.load_model(str(tmp_path / "lie"))
    assert "\n" not in str(caught.value)
    (tmp_path / "code.py").write_text(CODE)
    loaded = snellen.load_model(str(tmp_path / "lie"), base=f"{tmp_path}/code.py:load")
    with torch.no_grad():
        torch.testing.assert_close(loaded(batch), lying(batch))


def test_scripts_print_nothing_and_write_nothing_but_what_was_asked_for(net, pictures, tmp_path, monkeypatch, capfd):  # noqa: PLR0917
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("snellen.progress.display.PATIENCE", 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        snellen.render(net, "8:0", steps=2)
        snellen.layers(net)
        snellen.audit(net, images=pictures, steps=1, quick=True, units="8:0", out="run")
        snellen.checks.Jumps()(net, "8:0", images=pictures, steps=1, quick=True)
        snellen.visualize(net, "8:0", steps=1, out="run/pictures")
        snellen.theory.report("affine")
    assert capfd.readouterr() == ("", "")
    assert [p.name for p in tmp_path.iterdir()] == ["run"]


def test_the_theorys_table_and_page_are_a_function(tmp_path):
    (row,) = snellen.theory.report("affine", out=tmp_path / "t", progress=False)
    assert row.entry.name == "affine"
    assert (tmp_path / "t" / "index.html").is_file()
    with pytest.raises(UsageError, match='got "afine"; did you mean'):
        snellen.theory.report("afine")


@pytest.mark.parametrize("unit", ["22:0", "8:9"])
def test_a_unit_that_is_not_there_is_one_line_everywhere(net, pictures, unit, tmp_path):
    for call in (
        lambda: snellen.render(net, unit, steps=1),
        lambda: snellen.visualize(net, unit, out=tmp_path),
        lambda: snellen.audit(net, images=pictures, units=unit, out=tmp_path / "run"),
        lambda: snellen.certify(net, unit, images=pictures),
        lambda: snellen.checks.SilentScan()(net, unit, images=pictures),
    ):
        with pytest.raises(SnellenError, match=r"expected a (layer|channel)") as caught:
            call()
        assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()
