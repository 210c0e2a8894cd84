"""What is in memory is audited as what has a name, and the `Audit` says what was found."""

import copy
import json
import os
import shutil
import webbrowser
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import nn

import snellen
from snellen.base import RecordError, SnellenError, UnitError, UsageError

SMALL = {"steps": 4, "quick": True, "progress": False, "units": ["8:0-3", "3/pre:1", "3/pre:4"]}


@pytest.fixture(scope="module")
def made(pictures, tmp_path_factory):
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4),
    )  # fmt: skip
    out = tmp_path_factory.mktemp("audit") / "run"
    return net, snellen.audit(net, images=pictures, out=out, **SMALL)


def content(folder):
    found = {
        str(p.relative_to(folder)): p.read_bytes()
        for p in Path(folder).rglob("*")
        if p.is_file() and p.name != "index.html"
    }
    found["audit.json"] = json.dumps({**json.loads(found["audit.json"]), "created": None}).encode()
    return found


def test_an_audit_is_a_value(made):
    _, audit = made
    assert audit.verdict in ("consistent", "unreliable here", "suspicious", "unknown")
    assert audit.complete
    assert [f.check for f in audit.findings][-1] == "judgement"
    assert all(isinstance(f, snellen.Finding) for f in audit.findings)
    assert list(audit.units) == ["8:0", "8:1", "8:2", "8:3", "3/pre:1", "3/pre:4"]
    assert repr(audit) == f"<audit of Sequential: {audit.verdict}, 6 units, {audit.folder}>"
    assert any("a guess" in note for note in audit.notes)


def test_a_unit_has_its_verdict_pictures_exemplars_and_responses(made, pictures):
    net, audit = made
    unit = audit.units["8:2"]
    assert unit.verdict == next(u for u in audit.record.units if u.unit == "8:2").verdict
    assert unit.status == "ok"
    assert unit.picture.size == (32, 32)
    assert set(unit.pictures) == {"max", "min"}
    images = snellen.open_images(pictures)
    batch = torch.stack([images.load(i, (32, 32)) for i in range(24)])
    with torch.no_grad():
        expected = net(batch)[:, 2].numpy()
    np.testing.assert_allclose(unit.responses, expected, rtol=1e-4, atol=1e-6)
    tops = unit.exemplars["top"]
    assert [e.response for e in tops] == pytest.approx(sorted(expected, reverse=True)[: len(tops)], rel=1e-4)
    assert isinstance(tops[0].image, Image.Image)
    with torch.no_grad():
        pixels = torch.from_numpy(np.array(unit.picture)).permute(2, 0, 1)[None].float() / 255
        assert float(net(pixels)[0, 2]) == pytest.approx(unit.response, abs=0.02)


def test_inner_units_are_found_by_either_name_and_others_refused(made):
    _, audit = made
    assert audit.units["3:4"] is audit.units["3/pre:4"]
    assert "3:4" in audit.units
    assert "3:5" not in audit.units
    assert audit.units.get("3:5") is None
    with pytest.raises(UnitError, match=r'got "8:9"; did you mean "8:'):
        audit.units["8:9"]


def test_an_audit_is_its_folders_path(made):
    _, audit = made
    assert (audit / "audit.json").is_file()
    assert Path(audit) == audit.folder
    assert os.fspath(audit) == str(audit.folder)
    before = (audit / "index.html").read_bytes()
    (audit / "index.html").unlink()
    assert snellen.report(audit).read_bytes() == before
    again = snellen.open_audit(audit)
    assert again == audit
    assert again.verdict == audit.verdict


def test_the_same_call_continues_it_and_the_record_tells_the_call(made, pictures, tmp_path):
    net, audit = made
    before = {p: p.stat().st_mtime_ns for p in audit.folder.rglob("blobs/*/*")}
    same = snellen.audit(copy.deepcopy(net), images=tuple(p.copy() for p in pictures), out=audit.folder, **SMALL)
    assert {p: p.stat().st_mtime_ns for p in audit.folder.rglob("blobs/*/*")} == before
    assert same.verdict == audit.verdict
    told = audit.record.command
    assert told == ("snellen.audit(model, images=images, units=['8:0-3', '3/pre:1', '3/pre:4'], steps=4, quick=True)")
    names = {"snellen": snellen, "model": net, "images": pictures, "out": tmp_path / "run"}
    fresh = eval(told.removesuffix(")") + ", out=out, progress=False)", names)
    assert content(fresh) == content(audit)


def test_other_weights_and_other_images_are_another_audit(made, pictures):
    net, audit = made
    other = copy.deepcopy(net)
    with torch.no_grad():
        other[0].weight[0, 0, 0, 0] += 1
    with pytest.raises(UsageError, match="the same audit of other weights"):
        snellen.audit(other, images=pictures, out=audit.folder, **SMALL)
    with pytest.raises(UsageError, match="the same audit of other images"):
        snellen.audit(net, images=(255 - pictures[0], pictures[1]), out=audit.folder, **SMALL)
    how = snellen.Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))
    with pytest.raises(UsageError, match="choose another --out"):
        snellen.audit(net, images=pictures, out=audit.folder, preprocess=how, **SMALL)


def test_its_own_folder_is_named_by_what_was_asked_and_is(net, pictures, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = {"steps": 1, "quick": True, "progress": False, "units": "8:0", "pages": False}
    first = snellen.audit(net, images=pictures, **small)
    assert first.folder == snellen.audit(copy.deepcopy(net), images=pictures, **small).folder
    assert first.folder != snellen.audit(net, images=pictures[0], **small).folder
    assert first.page is None
    with pytest.raises(RecordError, match=r"snellen.report\(audit\)"):
        first.show()


def test_the_module_stays_as_it_is(made, pictures, tmp_path):
    net, _ = made
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    hooks = [len(m._forward_hooks) for m in net.modules()]
    snellen.audit(net, images=pictures, out=tmp_path / "run", steps=1, quick=True, progress=False, units="8:0")
    assert all(torch.equal(before[name], tensor) for name, tensor in net.state_dict().items())
    assert [len(m._forward_hooks) for m in net.modules()] == hooks
    assert all(p.requires_grad and p.grad is None for p in net.parameters())


def test_the_report_shows_what_was_guessed(made):
    _, audit = made
    page = audit.page.read_text()
    assert "a guess: input of 32x32 px" in page
    assert "a guess: it takes RGB in [0, 1]" in page


def test_several_workers_and_what_is_in_memory_are_one_line(net, pictures, tmp_path):
    with pytest.raises(UsageError, match="one worker for what is in memory"):
        snellen.audit(net, images=pictures, workers=2, out=tmp_path / "run", progress=False)
    with pytest.raises(SnellenError, match="expected no weights"):
        snellen.audit(net, images=pictures, weights="w.safetensors", progress=False)


def test_showing_opens_the_report(made, monkeypatch):
    opened = []
    monkeypatch.setattr(webbrowser, "open", opened.append)
    _, audit = made
    audit.show()
    assert opened == [audit.page.resolve().as_uri()]


def test_html_escapes_and_holds_its_pictures(made, tmp_path):
    _, audit = made
    folder = tmp_path / "run"
    shutil.copytree(audit.folder, folder)
    record = json.loads((folder / "audit.json").read_bytes())
    record["model"]["name"] = "<script>alert(1)</script>"
    record["units"][0]["label"] = "<b>cat</b>"
    (folder / "audit.json").write_text(json.dumps(record))
    page = snellen.open_audit(folder)._repr_html_()
    assert "<script" not in page
    assert "<b>cat" not in page
    assert "&lt;script&gt;" in page
    assert page.count("data:image/png;base64,") == 6
    assert "data:image/png" in audit.units["8:0"]._repr_html_()
    assert audit.findings[0].title in audit.findings[0]._repr_html_()


def test_a_folder_without_a_record_is_one_line(tmp_path):
    with pytest.raises(RecordError, match=r"expected a run with audit.json"):
        snellen.open_audit(tmp_path)


def test_a_folder_of_images_and_a_module_go_together(net, pictures, tmp_path):
    for number, (pixels, label) in enumerate(zip(*pictures, strict=True)):
        place = tmp_path / "images" / f"{label}_x" / f"{number:02d}.png"
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(place)
    audit = snellen.audit(net, images=tmp_path / "images", out=tmp_path / "run", steps=1, quick=True, progress=False)
    assert audit.record.command == f"snellen.audit(model, images='{tmp_path}/images', steps=1, quick=True)"
    assert audit.record.images.labels_from == "folder number"
