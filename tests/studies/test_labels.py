import json
import os
import shutil

import pytest
from torch import nn

from snellen import audit
from snellen.base import UsageError
from snellen.models import Model
from snellen.studies.labels import named
from snellen.studies.request import Request
from snellen.studies.world import open_world

NAMES = ("tench", "goldfish", "great white shark", "tiger shark", "hammerhead")
SYNSETS = (
    "n01440764 tench, Tinca tinca\nn01443537 goldfish, Carassius auratus\nn01484850 great white shark, white shark\n"
    "n01491361 tiger shark, Galeocerdo cuvieri\nn01494475 hammerhead, hammerhead shark\n"
)


@pytest.mark.parametrize("text", [SYNSETS, "\n".join(NAMES), "\r\n".join(NAMES) + "\r\n\r\n"])
def test_line_k_names_class_k_less_one(tmp_path, network, text):
    (tmp_path / "names.txt").write_bytes(text.encode())
    world = open_world(Request(network, labels=str(tmp_path / "names.txt")))
    assert world.model.labels == NAMES
    assert world.model.provenance["labels"]["file"] == "names.txt"


@pytest.mark.parametrize("inside", [True, False])
def test_lists_beside_the_images_are_found_where_the_count_fits(tmp_path, network, pictures, inside):
    root = shutil.copytree(pictures, tmp_path / "images" / "val")
    place = root if inside else root.parent
    (place / "synset_words.txt").write_text(SYNSETS)
    assert open_world(Request(network, str(root))).model.labels == NAMES
    (place / "synset_words.txt").write_text(SYNSETS + "n01496331 electric ray\n")
    assert open_world(Request(network, str(root))).model.labels == ()


def test_a_models_own_names_give_way_only_to_a_file_that_is_named(tmp_path):
    (tmp_path / "labels.txt").write_text("\n".join(NAMES))
    model = Model(nn.Identity(), labels=("a", "b", "c", "d", "e"))
    assert named(model, 5, labels=None, images=str(tmp_path)).labels == model.labels
    assert named(model, 5, labels=str(tmp_path / "labels.txt"), images=None).labels == NAMES
    unnamed = Model(nn.Identity())
    assert named(unnamed, 0, labels=None, images=str(tmp_path)) is unnamed
    assert named(unnamed, 5, labels=None, images=None) is unnamed


@pytest.mark.parametrize(
    ("content", "told"), [(None, "no such file"), (b"\xff\xfe\x00", "no UTF-8"), (b"one\ntwo", "expected 5 lines")]
)
def test_a_file_that_names_other_classes_is_refused(tmp_path, network, content, told):
    path = tmp_path / "names.txt"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UsageError, match=told):
        open_world(Request(network, labels=str(path)))


def test_the_record_has_the_names_and_a_run_keeps_to_them(tmp_path, network, pictures):
    path = tmp_path / "names.txt"
    path.write_text(SYNSETS)
    ask = {"images": pictures, "units": ("8:2",), "steps": 2, "quick": True, "labels": path, "out": tmp_path / "run"}
    folder = audit(network, **ask)
    record = json.loads((folder / "audit.json").read_text())
    assert record["units"][0]["label"] == "great white shark"
    assert [c["label"] for c in record["images"]["classes"]] == [NAMES[k] for k in (0, 2, 3, 4)]
    assert f"--labels {path}" in record["command"]
    path.write_text(SYNSETS.replace("tench", "trout"))
    with pytest.raises(UsageError, match="other class names"):
        audit(network, **ask)


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (lambda path: os.mkfifo(path), "not a regular file"),
        (lambda path: path.mkdir(), "is a directory"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "no UTF-8 text"),
        (lambda path: None, "no such file"),
    ],
)
def test_what_is_no_list_of_names_is_one_line(tmp_path, network, made, told):
    made(tmp_path / "names.txt")
    with pytest.raises(UsageError, match=told):
        open_world(Request(network, labels=str(tmp_path / "names.txt")))
