"""Pictures as people handle them: PIL images, files, a sheet, and a page for notebooks."""

import base64
import io
import re
import sys

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_networks import cnn, in_sequence
from torch import nn

import snellen
from snellen.base import OutputError, UsageError
from snellen.pictures import Objective, render
from snellen.pictures.sheet import sheet


@pytest.fixture(scope="module")
def drawn():
    return render(cnn(), ["conv2:1", "fc:3", Objective.of("fc:1") - "fc:0"], steps=3)


def pixels(picture):
    return (picture * 255).round().byte().permute(1, 2, 0).numpy()


def test_pil_images_and_files_are_the_pictures(drawn, tmp_path):
    shown = drawn.pil()
    paths = drawn.save(tmp_path / "new" / "folder")
    assert [p.name for p in paths[:2]] == ["conv2_1-max.png", "fc_3-max.png"]
    for picture, image, path in zip(drawn.images, shown, paths, strict=True):
        assert image.size == (24, 24)
        assert np.array_equal(np.array(image), pixels(picture))
        with Image.open(path) as read:
            assert np.array_equal(np.array(read), pixels(picture))


def test_a_grid_holds_every_picture_in_its_place():
    pictures = torch.rand(5, 3, 6, 8, generator=torch.Generator().manual_seed(0))
    for columns, (rows, wide) in {None: (2, 3), 1: (5, 1), 2: (3, 2), 9: (1, 5)}.items():
        whole = np.array(sheet(pictures, columns))
        assert whole.shape == (rows * 8 - 2, wide * 10 - 2, 3)
        for number, picture in enumerate(pictures):
            y, x = number // wide * 8, number % wide * 10
            assert np.array_equal(whole[y : y + 6, x : x + 8], pixels(picture))
    with pytest.raises(UsageError, match="at least 1 column"):
        sheet(pictures, 0)


def test_the_grid_of_a_render_is_that_of_its_pictures(drawn):
    assert np.array_equal(np.array(drawn.grid(columns=3)), np.array(sheet(drawn.images, 3)))


def test_a_render_says_what_it_is_in_a_line(drawn):
    response = f"{drawn.responses[0]:.4g}"
    assert repr(drawn).startswith(f"<3 pictures of 24x24 px: conv2:1 (response {response}, ok), fc:3 (")
    assert "\n" not in repr(drawn)
    assert repr(render(cnn(), "fc:0", steps=1, direction="min")).startswith("<1 picture of 24x24 px: fc:0, least (")
    assert len(repr(render(cnn(), [f"fc:{i}" for i in range(5)], steps=1))) < 400


def test_a_notebook_gets_every_picture_with_address_response_and_status(drawn):
    shown = drawn._repr_html_()
    found = re.findall(r"data:image/png;base64,([\w+/=]+)", shown)
    assert len(found) == 3
    with Image.open(io.BytesIO(base64.b64decode(found[0]))) as image:
        assert np.array_equal(np.array(image), pixels(drawn.images[0]))
    for text in ("conv2:1", "fc:3", "ok", f"response {drawn.responses[1]:.4g}"):
        assert text in shown


def test_names_of_layers_are_escaped():
    torch.manual_seed(0)
    model = in_sequence(nn.Conv2d(3, 4, 3))
    model.module.add_module("<img src=x>", nn.Conv2d(4, 2, 3))
    shown = render(model, "<img src=x>:1", steps=1)._repr_html_()
    assert "<img src=x" not in shown
    assert "&lt;img src=x&gt;:1" in shown


def test_dead_pictures_have_no_file_and_same_names_are_numbered(tmp_path):
    torch.manual_seed(0)
    model = in_sequence(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 14 * 14, 2))
    with torch.no_grad():
        model.module[3].weight[0] = 0
    drawn = render(model, ["3:0", "3:1", "3:1"], steps=2)
    assert drawn.status[0] == "dead"
    paths = drawn.save(tmp_path)
    assert paths[0] is None
    assert [p.name for p in paths[1:]] == ["3_1-max.png", "3_1-max-2.png"]
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="expected to write pictures into"):
        drawn.save(tmp_path / "file")


class Terminal(io.StringIO):
    def isatty(self):
        return True


def test_drawing_shows_a_bar_in_a_terminal_unless_told_otherwise(monkeypatch):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr("snellen.progress.display.PATIENCE", 0.0)
    for progress, seen in ((True, True), (False, False), (None, False), ([].append, False)):
        monkeypatch.setattr(sys, "stderr", Terminal())
        snellen.render(cnn(), "fc:0", steps=3, progress=progress)
        assert ("drawing" in sys.stderr.getvalue()) == seen, progress
