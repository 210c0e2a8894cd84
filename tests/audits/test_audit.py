import errno
import json
import os
import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from snellen.audits import run_audit
from snellen.base import Interrupted, OutputError, UsageError
from snellen.checks.paths.activations import Activations
from snellen.jobs import locked
from snellen.models import Unit, observe, response
from snellen.models.sources import load_model
from snellen.record import encoded, read_record
from snellen.studies.request import Request
from snellen.studies.world import open_world

Ask = Callable[..., Request]


@pytest.fixture(scope="module")
def ask(network, pictures) -> Ask:
    """A request for a small audit, with changes."""
    return lambda **changes: Request(
        **{"model": network, "images": str(pictures), "steps": 6, "quick": True, **changes}
    )


@pytest.fixture(scope="module")
def finished(ask, tmp_path_factory) -> Path:
    """The run of an audit that nobody disturbed."""
    return run_audit(ask(), out=tmp_path_factory.mktemp("audit") / "run")


def record(run: Path) -> dict:
    return json.loads((run / "audit.json").read_bytes())


def content(run: Path) -> dict[str, bytes]:
    """Everything that must not depend on how a run went."""
    found = {str(p.relative_to(run)): p.read_bytes() for p in (run / "blobs").rglob("*") if p.is_file()}
    found["audit.json"] = json.dumps({**record(run), "created": None}, indent=1).encode()
    return found


def test_the_record_is_what_the_report_reads(finished):
    read = read_record(finished)
    assert read.status == "complete"
    assert [u.unit for u in read.units if u.role == "class"] == ["8:0", "8:2", "8:3", "8:4"]
    assert {p.direction for u in read.units for p in u.pictures} == {"max", "min"}
    assert read.findings[0].paths.group == "classes"
    assert read.images.labels_from == "folder number"
    assert [c.unit for c in read.images.classes] == [0, 2, 3, 4]
    assert read.settings["steps"] == 6
    assert encoded(read) == (finished / "audit.json").read_bytes(), "the types lose nothing"


def test_exemplars_and_quantiles_agree_with_one_image_at_a_time(finished, network, ask):
    model, images = load_model(network), open_world(ask()).images
    for entry in record(finished)["units"]:
        unit = Unit.parse(entry["unit"])
        values = np.array(
            [
                float(response(observe(model, images.load(i, model.size)[None], [unit.address])[unit.address], unit))
                for i in range(len(images))
            ]
        )
        order = np.argsort(-values, kind="stable")
        top = entry["exemplars"]["top"]
        assert [e["id"] for e in top] == [images.ids[i] for i in order[: len(top)]]
        assert [e["response"] for e in top] == pytest.approx(values[order[: len(top)]], rel=1e-4, abs=1e-6)
        natural = entry["natural"]
        assert natural["quantiles"][50] == pytest.approx(np.median(values), rel=1e-4, abs=1e-6)
        assert natural["mean"] == pytest.approx(values.mean(), rel=1e-4, abs=1e-6)
        if entry["role"] == "class":
            own = [i for i, name in enumerate(images.ids) if int(name[:3]) == unit.channel]
            assert natural["own_class_mean"] == pytest.approx(values[own].mean(), rel=1e-4, abs=1e-6)


def test_a_picture_on_the_disk_has_the_response_that_is_recorded(finished, network):
    model = load_model(network)
    for entry in record(finished)["units"]:
        unit = Unit.parse(entry["unit"])
        for picture in entry["pictures"]:
            if picture["status"] != "ok":
                continue
            with Image.open(finished / picture["image"]) as image:
                pixels = torch.from_numpy(np.array(image)).permute(2, 0, 1)[None].float() / 255
            told = float(response(observe(model, pixels, [unit.address])[unit.address], unit))
            assert told == pytest.approx(picture["response"], abs=0.02 * max(1.0, abs(told)))
            assert picture["history_steps"] == list(range(6))


def test_activations_are_those_of_the_images_whatever_is_asked_for(ask):
    world = open_world(ask())
    drawn = torch.linspace(0, 1, 3 * 3 * 32 * 32).view(3, 3, 32, 32)
    source = Activations(world, [5, 1, 9], drawn)
    wanted = [4, 0, 2, 5]
    found = {i: t for batch in source.activations(["2"], wanted) for i, t in zip(batch[0], batch[1]["2"], strict=True)}
    assert set(found) == set(wanted)
    plain = {0: world.images.load(5, world.model.size), 2: world.images.load(9, world.model.size)}
    plain |= {4: drawn[1], 5: drawn[2]}
    for i, image in plain.items():
        torch.testing.assert_close(found[i], observe(world.model, image[None], ["2"])["2"][0])
    assert source.sizes["2"] == found[0].numel()


def test_an_audit_that_is_done_is_not_done_again_and_not_touched(finished, ask):
    before = {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file()}
    seen = []
    run_audit(ask(), out=finished, progress=lambda *told: seen.append(told))
    assert {p: p.stat().st_mtime_ns for p in finished.rglob("*") if p.is_file()} == before


def test_a_blob_that_is_lost_is_made_again_with_the_same_bytes(finished, ask):
    before = content(finished)
    for suffix in ("png", "jpg"):
        next((finished / "blobs").rglob(f"*.{suffix}")).unlink()
    run_audit(ask(), out=finished)
    assert content(finished) == before


class FullDisk:
    """Stands for `os.fsync`: from the nth file on there is no space left."""

    def __init__(self, after: int) -> None:
        self.left = after

    def __call__(self, descriptor: int) -> None:
        self.left -= stat.S_ISREG(os.fstat(descriptor).st_mode)
        if self.left < 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


@pytest.mark.parametrize("files", [0, 1, 8, 24, 40])
def test_a_disk_that_fills_up_is_one_line_and_the_audit_can_go_on(finished, ask, tmp_path, files):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", FullDisk(files))
        with pytest.raises(OutputError, match="no space left") as caught:
            run_audit(ask(), out=tmp_path / "run")
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.rglob("*.part"))
    if (tmp_path / "run" / "audit.json").exists():
        assert read_record(tmp_path / "run").status == "partial"
    run_audit(ask(), out=tmp_path / "run")
    assert content(tmp_path / "run") == content(finished)


@pytest.mark.parametrize("after", [0, 3])
def test_ctrl_c_says_how_to_go_on_and_leaves_a_partial_record(finished, ask, tmp_path, after):
    titles = []

    def interrupt(title, done, _total):
        if title not in (*titles, "checking images", "reading images"):
            titles.append(title)
        if len(titles) > after and done:
            raise KeyboardInterrupt

    with pytest.raises(Interrupted, match="the same command continues it"):
        run_audit(ask(), out=tmp_path / "run", progress=interrupt)
    if after:
        partial = read_record(tmp_path / "run")
        assert partial.status == "partial"
        assert any(u.pictures for u in partial.units)
    run_audit(ask(), out=tmp_path / "run")
    assert content(tmp_path / "run") == content(finished)


@pytest.mark.parametrize(
    ("changes", "told"),
    [({"steps": 7}, "--steps 6"), ({"seed": 1}, "that of"), ({"quick": False}, "--quick"), ({"size": 40}, "that of")],
)
def test_a_folder_with_another_audit_is_refused(finished, ask, changes, told):
    before = content(finished)
    with pytest.raises(UsageError, match="choose another --out") as caught:
        run_audit(ask(**changes), out=finished)
    assert told in str(caught.value)
    assert content(finished) == before


def test_the_same_audit_of_changed_weights_is_refused(network, tmp_path, ask):
    path = tmp_path / "tiny.py"
    source = Path(network.rpartition(":")[0]).read_text()
    path.write_text(source)
    asked = ask(model=f"{path}:net", units=("8:0",), steps=1)
    run_audit(asked, out=tmp_path / "run")
    path.write_text(source.replace("manual_seed(3)", "manual_seed(4)"))
    with pytest.raises(UsageError, match="other weights"):
        run_audit(asked, out=tmp_path / "run")


def test_two_audits_do_not_write_to_one_folder(ask, tmp_path):
    with locked(tmp_path / "run"), pytest.raises(OutputError, match="another run is writing"):
        run_audit(ask(), out=tmp_path / "run")


def test_by_default_every_request_has_a_folder_of_its_own(ask, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    runs = [run_audit(ask(units=("8:0",), steps=s)) for s in (1, 2)]
    assert runs[0] != runs[1]
    assert all(run.parent == Path("runs") and run.name.startswith("tiny-") for run in runs)


def test_a_flat_folder_takes_the_models_predictions_for_classes(network, pictures, tmp_path, ask):
    run = run_audit(ask(images=str(pictures / "000_colour")), out=tmp_path / "run")
    images = read_record(run).images
    assert images.labels_from == "model predictions"
    model, source = load_model(network), open_world(ask(images=str(pictures / "000_colour"))).images
    predicted = [int(model(source.load(i, model.size)[None]).argmax()) for i in range(len(source))]
    assert [c.unit for c in images.classes] == sorted(set(predicted))


def test_damaged_images_are_skipped_and_listed(ask, pictures, tmp_path):
    folder = tmp_path / "pictures" / "000_colour"
    folder.mkdir(parents=True)
    for path in (pictures / "000_colour").iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "broken.png").write_bytes((folder / "0.png").read_bytes()[:200])
    (folder / "text.jpg").write_text("no picture")
    run = run_audit(ask(images=str(tmp_path / "pictures"), units=("2:0",), steps=1), out=tmp_path / "run")
    images = read_record(run).images
    assert images.count == 6
    assert sorted(Path(s.name).name for s in images.skipped) == ["broken.png", "text.jpg"]


def test_a_dead_unit_is_told_as_dead_and_has_no_picture(pictures, tmp_path, ask):
    path = tmp_path / "dead.py"
    path.write_text(
        "import torch\nfrom torch import nn\n\n\ndef net():\n"
        "    conv = nn.Conv2d(3, 2, 3)\n    nn.init.zeros_(conv.weight)\n    nn.init.constant_(conv.bias, -1.0)\n"
        "    return nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2, 5))\n"
    )
    run = run_audit(ask(model=f"{path}:net", units=("1:0",)), out=tmp_path / "run")
    (unit,) = read_record(run).units
    assert {p.status for p in unit.pictures} == {"dead"}
    assert {p.image for p in unit.pictures} == {None}
    assert "nothing to show" in unit.pictures[0].note


def test_a_viewer_that_is_no_model_fails_before_work_starts(ask, tmp_path):
    with pytest.raises(UsageError, match="expected a model as"):
        run_audit(ask(viewer="nobody"), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_another_viewer_is_another_audit_and_none_is_possible(ask, network, tmp_path):
    asked = {"units": ("8:0-3",), "steps": 2}
    run = run_audit(ask(viewer="", **asked), out=tmp_path / "run")
    assert "--viewer ''" in read_record(run).command
    with pytest.raises(UsageError, match="choose another --out"):
        run_audit(ask(**asked), out=run)
