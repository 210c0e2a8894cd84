import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from snellen.jobs import locked
from snellen.record import read_record

QUICK = ("--quick", "--steps", "4", "--device", "cpu")


def left_in(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


@pytest.mark.parametrize("words", [[], ["--help"], ["audit", "-h"], ["layers", "--help"]])
def test_help_is_help(snellen, words):
    done = snellen(*words)
    assert done.code == 0
    assert done.out.startswith("Usage: snellen")
    assert done.err == ""


def test_the_version_is_the_packages(snellen):
    import snellen as package

    assert snellen("--version").out == f"snellen {package.__version__}\n"


def test_help_is_fast():
    started = time.process_time()
    before = os.times()
    subprocess.run([sys.executable, "-m", "snellen.cli", "--help"], check=True, capture_output=True)
    used = os.times()
    assert (used.children_user - before.children_user) + (used.children_system - before.children_system) < 1.0
    assert time.process_time() - started < 1.0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["frob"], "No such command"),
        (["audit", "--frob"], "No such option"),
        (["layers"], "Missing argument"),
        (["audit", "--steps", "x"], "--steps"),
        (["audit", "--steps", "0"], "--steps"),
        (["audit", "nothing"], 'got "nothing"'),
        (["audit", "TINY:net", "--device", "tpu"], '"tpu"'),
        (["audit", "TINY:net", "--precision", "int4"], '"int4"'),
        (["audit", "TINY:net", "--canvas", "oil"], '"oil"'),
        (["audit", "TINY:net", "--layers", "0,22"], 'got "22"'),
        (["audit", "TINY:net", "--units", "66:1"], 'did you mean "6"'),
        (["audit", "TINY:net", "--units", "6:9"], "0-3"),
        (["audit", "TINY:net", "--units", "6"], '"layer:17"'),
        (["audit", "TINY:net", "--images", "nowhere"], "nowhere"),
        (["audit", "TINY:net", "--labels", "nowhere.txt"], "nowhere.txt"),
        (["audit", "TINY:net", "--workers", "0"], "--workers"),
        (["audit", "TINY:net", "--size", "2000000"], "2000000"),
        (["audit", "TINY:nett"], 'did you mean "net"'),
        (["audit", "TINY:broken"], "RuntimeError: no weights today"),
        (["audit", "NOWHERE.py:net"], "does not exist"),
        (["visualize", "TINY:net", "0:6"], "0-5"),
        (["visualize", "TINY:net", "00:1"], 'did you mean "0"'),
        (["visualize", "TINY:net"], "Missing argument"),
        (["report", "nowhere"], "audit.json"),
        (["layers", "TINY:net", "--weights", "nowhere.safetensors"], "no such file"),
        (["layers", "model.pt"], "--trust-pickle"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(snellen, tiny, tmp_path, monkeypatch, words, told):  # noqa: PLR0917
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    done = snellen(*(word.replace("TINY", str(tiny)) for word in words))
    assert told in done.line
    assert done.out == ""
    assert left_in(tmp_path / "work") == []


def test_an_error_in_a_users_file_has_its_line(snellen, tiny):
    assert re.search(r"tiny\.py:26 raised RuntimeError", snellen("layers", f"{tiny}:broken").line)


def test_weights_that_do_not_fit_name_what_is_wrong(snellen, tiny, tmp_path):
    save_file({"0.weight": torch.zeros(6, 3, 5, 5)}, tmp_path / "w.safetensors")
    line = snellen("audit", f"{tiny}:net", "--weights", tmp_path / "w.safetensors", "--out", tmp_path / "run").line
    assert "missing (0.bias, 2.weight, 2.bias, ...)" in line
    assert "0.weight (6, 3, 5, 5) for (6, 3, 3, 3)" in line
    assert not (tmp_path / "run").exists()


def test_pickled_weights_are_refused_and_read_only_for_those_who_trust_them(snellen, tiny, tmp_path):
    from snellen.models.sources import load_model

    torch.save(load_model(f"{tiny}:net").module.state_dict(), tmp_path / "w.pt")
    words = ("layers", f"{tiny}:net", "--weights", tmp_path / "w.pt")
    assert "pickle" in snellen(*words).line
    assert snellen(*words, "--trust-pickle").code == 0


def test_an_audit_ends_with_a_report_and_can_be_reported_again(snellen, tiny, images, tmp_path):
    run = tmp_path / "run"
    done = snellen("audit", f"{tiny}:net", "--images", images, "--out", run, *QUICK)
    assert (done.code, done.err) == (0, "")
    assert done.out == f"record: {run}/audit.json\nreport: {run}/index.html\n"
    page = (run / "index.html").read_bytes()
    (run / "index.html").unlink()
    assert snellen("report", run).out == f"report: {run}/index.html\n"
    assert (run / "index.html").read_bytes() == page
    assert read_record(run).command.startswith(f"snellen audit {tiny}:net --images {images}")


def test_the_command_in_the_record_makes_the_same_record(snellen, tiny, images, tmp_path):
    words = ["audit", f"{tiny}:net", "--images", images, "--units", "6:1", "--units", "2:0-1", "--layers", "6,0"]
    snellen(*words, "--seed", 3, *QUICK, "--out", tmp_path / "a")
    command = read_record(tmp_path / "a").command.split()
    assert command[0] == "snellen"
    snellen(*command[1:], "--out", tmp_path / "b")
    a, b = (json.loads((tmp_path / n / "audit.json").read_text()) | {"created": ""} for n in "ab")
    assert a == b


def test_damaged_images_are_listed_in_the_report(snellen, tiny, images, tmp_path):
    good = (images / "0_x" / "0.png").read_bytes()
    (images / "1_x" / "corrupt.png").write_bytes(good[:30] + b"?" * 60 + good[90:])
    (images / "1_x" / "truncated.png").write_bytes(good[: len(good) // 2])
    frames = [Image.fromarray(np.full((9, 9, 3), c, np.uint8)) for c in (0, 255)]
    frames[0].save(images / "1_x" / "animated.gif", save_all=True, append_images=frames[1:])
    Image.fromarray(np.full((40, 40), 40_000, np.uint16)).save(images / "1_x" / "deep.png")
    (images / "1_x" / "huge.png").write_bytes(_claiming_to_be_huge())
    run = tmp_path / "run"
    assert snellen("audit", f"{tiny}:net", "--images", images, "--out", run, *QUICK).code == 0
    listed = {Path(s.name).name for s in read_record(run).images.skipped}
    assert {"corrupt.png", "truncated.png", "animated.gif", "huge.png"} <= listed
    page = (run / "index.html").read_text()
    assert all(name in page for name in listed)


def _claiming_to_be_huge() -> bytes:
    """The head of a PNG of 100,000 x 100,000 pixels."""
    import struct
    import zlib

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", 100_000, 100_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")


def test_a_folder_that_another_run_writes_to_is_refused(snellen, tiny, images, tmp_path):
    with locked(tmp_path / "run"):
        done = snellen("audit", f"{tiny}:net", "--images", images, "--out", tmp_path / "run", *QUICK)
    assert "another run is writing" in done.line
    assert left_in(tmp_path / "run") in ([], [".lock"])


def test_a_folder_that_cannot_be_made_is_one_line(snellen, tiny, images):
    done = snellen("audit", f"{tiny}:net", "--images", images, "--out", tiny / "run", *QUICK)
    assert "not a directory" in done.line
    assert "not a directory" in snellen("visualize", f"{tiny}:net", "6:0", "--steps", 1, "--out", tiny / "p").line


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small disk needs root")
def test_a_disk_that_is_really_full_is_one_line_and_leaves_nothing_half_written(snellen, tiny, images, tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", disk], capture_output=True)
    if mounted.returncode:
        pytest.skip("mounting is not allowed here")
    try:
        done = snellen("audit", f"{tiny}:net", "--images", images, "--out", disk / "run", *QUICK)
        assert "no space left" in done.line
        assert not list(disk.rglob("*.part"))
        for path in disk.rglob("*.json"):
            json.loads(path.read_bytes())
    finally:
        subprocess.run(["umount", "-l", disk], check=True)


def test_visualize_writes_a_picture_and_its_story_for_each_unit(snellen, tiny, tmp_path):
    words = ("visualize", f"{tiny}:net", "6:1", "0:0-1", "--steps", 3, "--size", 40, "--out", tmp_path / "p")
    done = snellen(*words, "--canvas", "pixel")
    assert done.code == 0
    assert [line.split()[0] for line in done.out.splitlines()] == ["6:1", "0:0", "0:1"]
    assert left_in(tmp_path / "p") == [f"{n}-max.{s}" for n in ("0_0", "0_1", "6_1") for s in ("json", "png")]
    with Image.open(tmp_path / "p" / "6_1-max.png") as image:
        assert image.size == (40, 40)
    told = json.loads((tmp_path / "p" / "6_1-max.json").read_text())
    assert (told["unit"], told["status"], len(told["history"])) == ("6:1", "ok", 3)
    assert told["settings"]["canvas"]["type"] == "Pixel"


def test_visualize_takes_up_what_a_killed_one_left_and_nothing_else(snellen, tiny, tmp_path):
    theirs = [".film.mkv.part", ".6_2-max.png.0123456789ab.snellen-part", ".note.0123456789ab.snellen-part"]
    for name in [*theirs, *(f".6_1-max.{s}.0123456789ab.snellen-part" for s in ("png", "json"))]:
        (tmp_path / "p").mkdir(exist_ok=True)
        (tmp_path / "p" / name).write_text("half")
    assert snellen("visualize", f"{tiny}:net", "6:1", "--steps", 1, "--out", tmp_path / "p").code == 0
    assert left_in(tmp_path / "p") == sorted([*theirs, "6_1-max.json", "6_1-max.png"])


@pytest.mark.parametrize("command", ["audit", "deceive", "certify"])
def test_images_are_counted_while_they_are_checked(snellen, tiny, images, tmp_path, monkeypatch, command):  # noqa: PLR0917
    """Every title that the bar is told: twenty thousand files are not eight seconds of silence."""
    from snellen.cli import progress

    told: list[tuple[str, float, float]] = []

    @contextlib.contextmanager
    def bar(_first):
        yield lambda title, done, total: told.append((title, done, total))

    monkeypatch.setattr(progress, "bar", bar)
    more = {
        "audit": ["--units", "6:0", *QUICK, "--out", tmp_path / "out"],
        "deceive": ["--method", "silent-units", "--units", 0, "--out", tmp_path / "out"],
        "certify": [],
    }[command]
    unit = ["0:1"] if command == "certify" else []
    assert snellen(command, f"{tiny}:net", *unit, "--images", images, *more).code == 0
    assert [(done, total) for title, done, total in told if title == "checking images"] == [
        (i + 1, 12) for i in range(12)
    ]


def test_minimizing_draws_another_picture_with_a_smaller_response(snellen, tiny, tmp_path):
    words = ("visualize", f"{tiny}:net", "6:1", "--steps", 12, "--out", tmp_path)
    snellen(*words)
    snellen(*words, "--minimize")
    responses = [json.loads((tmp_path / f"6_1-{d}.json").read_text())["response"] for d in ("max", "min")]
    assert responses[0] > responses[1]


def test_layers_are_a_tree_with_shapes_and_units(snellen, tiny):
    done = snellen("layers", f"{tiny}:net", "--size", 48)
    assert "tiny  Sequential, input 48x48, 644 weights" in done.out
    assert "── 2  Conv2d  8x12x12  8 units" in done.out
    assert "── 6  Linear  4  4 units" in done.out
    assert done.out.index("Conv2d") < done.out.index("Linear")
    assert "ReLU" not in snellen("layers", f"{tiny}:net", "--main").out


@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_is_one_line_that_says_how_to_go_on(tiny, images, tmp_path, kind):
    run = tmp_path / "run"
    words = [sys.executable, "-m", "snellen.cli", "audit", f"{tiny}:net", "--images", str(images), "--out", str(run)]
    process = subprocess.Popen(
        [*words, "--steps", "200000", "--quick"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background inherits it ignored
    )
    deadline = time.monotonic() + 120
    while not (run / "audit.json").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(kind)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (2, ""), err
    assert err == f"snellen: interrupted; what is finished is in {run}, the same command continues it\n"
    assert not list(run.rglob("*.part"))
    assert read_record(run).status == "partial"


def test_a_reader_that_leaves_early_is_no_error(tiny):
    command = f"{sys.executable} -m snellen.cli layers {tiny}:net | head -1"
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("tiny")
    assert done.stderr == ""


@pytest.mark.slow
@pytest.mark.parametrize("model", ["googlenet.py:load", "mobilenet_v2.py:load", "vit_tiny.py:load"])
def test_real_networks_are_audited(snellen, shared, tmp_path, model):
    images = shared / "images" / "imagenet" / "imagenette_val"
    done = snellen("audit", f"{shared}/models/{model}", "--images", images, "--out", tmp_path / "run", *QUICK)
    assert done.code == 0
    record = read_record(tmp_path / "run")
    assert len(record.findings[0].paths.layers) > 8
