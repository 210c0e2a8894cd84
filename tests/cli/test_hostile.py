"""The program among hostile words, files, streams and signals: one line, exit code 2, nothing run, nothing hanging."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from snellen.base import UsageError
from snellen.cli.failures import printable
from snellen.record import blobs, read_record

ESCAPE = "\x1b[2J"
NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["visualize", "TINY:net", "6:0", "--seed", 2**63], "expected a seed in [0, 2**63)"),
        (["audit", "TINY:net", "--seed", 2**64], "expected a seed in [0, 2**63)"),
        (["deceive", "TINY:net", "--seed", 2**63], "expected a seed in [0, 2**63)"),
        (["matrix", "--case", "TINY:net", "--seed", 2**63], "expected a seed in [0, 2**63)"),
        (["certify", "TINY:net", "6:0", "--seed", 2**63], "expected a seed in [0, 2**63)"),
        (["visualize", "TINY:net", "6:0", "--steps", 10**8], "expected 1 to 1,000,000 steps, got 100000000"),
        (["audit", "TINY:net", "--steps", 10**8], "expected 1 to 1,000,000 steps"),
        (["deceive", "TINY:net", "--steps", 10**8], "expected 1 to 1,000,000 steps"),
        (["matrix", "--case", "TINY:net", "--steps", 10**8], "expected 1 to 1,000,000 steps"),
        (["certify", "TINY:net", "6:0", "--steps", 10**8], "expected 1 to 1,000,000 steps"),
        (["audit", "TINY:net", "--steps", "9" * 5000], "--steps"),
        (
            ["deceive", "TINY:net", "--method", "silent-units", "--margin", "nan"],
            "expected margin to be a number in [0,",
        ),
        (
            ["deceive", "TINY:net", "--method", "silent-units", "--margin", "inf"],
            "expected margin to be a number in [0,",
        ),
        (["visualize", "TINY:net", "6:" + "9" * 5000], "expected a unit"),
        (["visualize", "TINY:net", "6:1@" + "9" * 5000 + ",1"], "expected a unit"),
        (["visualize", "TINY:net", "l" * 5000 + ":1"], "expected a unit"),
        (["visualize", "TINY:net", "6:٣"], "expected a unit"),
        (["visualize", "TINY:net", f"6{ESCAPE}:1"], r"6\x1b[2J"),
        (["layers", "a" * 5000], "expected a model"),
        (["layers", "a" * 5000 + ".py:net"], "does not exist"),
        (["layers", "~nobody-of-this-name/x.py:net"], "does not exist"),
        (["layers", "TINY:" + "n" * 5000], "expected a factory"),
        (["layers", "TINY:net", "--base", "TINY:net"], "--base only with the folder of a saved model"),
        (["audit", "TINY:net", "--images", "i" * 5000], "does not exist"),
        (["audit", "TINY:net", "--images", "i" * 5000 + ".npz:test"], "does not exist"),
        (["audit", "TINY:net", "--images", "~nobody-of-this-name/x"], "does not exist"),
        (["audit", "TINY:net", "--labels", "l" * 5000], "file name too long"),
        (["report", "r" * 5000], "rrr...: file name too long"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else " ".join(str(w)[:24] for w in value),
)
def test_hostile_words_are_one_line(snellen, tiny, tmp_path, monkeypatch, words, told):  # noqa: PLR0917
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    line = snellen(*(str(word).replace("TINY", str(tiny)) for word in words)).line
    assert told in line
    assert line.isprintable()
    assert len(line) < 3000
    assert not [p for p in (tmp_path / "work").rglob("*") if p.is_file()]


def test_a_model_folder_runs_no_code(snellen, tmp_path):
    """The folder that somebody sent: it names the Python file beside it."""
    from snellen.models import load_model
    from snellen.models.circuits import SilentBranch
    from snellen.models.manipulations import PlacedCircuit
    from snellen.models.sources.folder import save_manipulated

    evil = tmp_path / "evil"
    evil.mkdir()
    (evil / "net.py").write_text(NETWORK)
    model = load_model(f"{evil}/net.py:net", size=16)
    branch = SilentBranch.beside(model.module[2])
    for parameter in branch.parameters():
        parameter.data.zero_()
    save_manipulated(model, PlacedCircuit("2", branch), evil, made={})
    (evil / "net.py").write_text(f"open({str(tmp_path / 'sprung')!r}, 'w').close()\n{NETWORK}")
    for command in ("layers", "audit", "deceive", "visualize", "certify"):
        line = snellen(command, evil, *(["0:0"] if command in ("visualize", "certify") else [])).line
        assert "runs no code" in line
    assert not (tmp_path / "sprung").exists()
    assert snellen("layers", evil, "--base", f"{evil}/net.py:net").code == 0  # the auditor's own word
    assert (tmp_path / "sprung").exists()


@pytest.mark.parametrize("place", ["audit.json", "blob", "npz", "labels", "receipt.json", "snellen.json"])
def test_a_pipe_in_place_of_a_file_does_not_block(snellen, tiny, images, tmp_path, place):  # noqa: PLR0917
    pipe = tmp_path / "place" / place
    pipe.parent.mkdir()
    words = {
        "audit.json": ["report", pipe.parent],
        "npz": ["audit", f"{tiny}:net", "--images", f"{pipe}.npz"],
        "labels": ["audit", f"{tiny}:net", "--images", images, "--labels", pipe],
        "snellen.json": ["layers", pipe.parent],
    }
    if place == "npz":
        os.mkfifo(f"{pipe}.npz")
    elif place == "blob":
        snellen("audit", f"{tiny}:net", "--images", images, "--out", tmp_path / "run", "--quick", "--steps", 2)
        blob = shown_in(tmp_path / "run")
        blob.unlink()
        os.mkfifo(blob)
        words["blob"] = ["report", tmp_path / "run"]
    else:
        os.mkfifo(pipe)
    if place == "receipt.json":
        from snellen.base import RecordError
        from snellen.reports.receipt import build_receipt

        with pytest.raises(RecordError, match="not a regular file"):
            build_receipt(pipe.parent)
        return
    assert "not a regular file" in snellen(*words[place]).line


def shown_in(run: Path) -> Path:
    """An image that the run's record names."""
    return run / next(blobs(read_record(run).units))


def test_a_report_shows_nothing_from_outside_its_run(snellen, tiny, images, tmp_path):
    run = tmp_path / "run"
    snellen("audit", f"{tiny}:net", "--images", images, "--out", run, "--quick", "--steps", 2)
    blob = shown_in(run)
    blob.rename(tmp_path / "elsewhere.png")
    blob.symlink_to(tmp_path / "elsewhere.png")
    assert "a link, which is not followed" in snellen("report", run).line
    blob.unlink()
    folder = blob.parent
    (tmp_path / "elsewhere.png").rename(blob)
    folder.rename(tmp_path / "folder")
    folder.symlink_to(tmp_path / "folder")
    assert "a link, which is not followed" in snellen("report", run).line


def test_labels_far_apart_take_no_memory(snellen, tiny, tmp_path):
    pixels = np.random.default_rng(0).integers(0, 255, (12, 8, 8, 3), dtype=np.uint8)
    labels = np.array([0, 2**62, 10**8, 3] * 3)
    np.savez(tmp_path / "far.npz", x=pixels, y=labels)
    started = time.process_time()
    words = ("--units", "6:0", "--layers", "6", "--size", 16, "--quick", "--steps", 2, "--out", tmp_path / "run")
    done = snellen("audit", f"{tiny}:net", "--images", tmp_path / "far.npz", *words)
    assert done.code == 0, done.err
    assert time.process_time() - started < 60
    classes = json.loads((tmp_path / "run" / "audit.json").read_text())["images"]["classes"]
    assert [c["name"] for c in classes] == ["0", "3", "100000000", str(2**62)]


def test_weights_that_are_no_numbers_are_one_line(snellen, tmp_path):
    (tmp_path / "net.py").write_text(
        "import torch\nfrom torch import nn\n"
        "def load():\n    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())\n"
        "    net[0].weight.data[0] = float('nan')\n    return net\n"
    )
    line = snellen("audit", f"{tmp_path}/net.py:load", "--size", 8, "--quick").line
    assert "NaN or infinite" in line
    assert '"0.weight"' in line


def test_a_defect_is_one_line_that_says_how_to_see_more(snellen, monkeypatch):
    def broken(*_words, **_options):
        raise RuntimeError(f"first{ESCAPE}\nsecond")

    monkeypatch.setattr("snellen.verbs.report.report", broken)
    assert snellen("report", "x").line.startswith(r"RuntimeError: first\x1b[2J; this is a defect of snellen")
    monkeypatch.setenv("SNELLEN_DEBUG", "1")
    from snellen.cli import main

    with pytest.raises(RuntimeError, match="second"):
        main(["report", "x"])


@pytest.mark.parametrize(
    "error", [RecursionError("deep"), MemoryError(), UnicodeEncodeError("utf-8", "\ud800", 0, 1, "no")]
)
def test_whatever_is_raised_is_one_line(snellen, monkeypatch, error):
    def broken(*_words, **_options):
        raise error

    monkeypatch.setattr("snellen.verbs.report.report", broken)
    assert snellen("report", "x").line


def test_what_a_terminal_would_obey_is_spelled_out():
    assert printable("a\x1b[2J\u202eb\ud800 \n c") == r"a\x1b[2J\u202eb\ud800 c"


def program(*words: object, redirect: str = "", **options: object) -> subprocess.CompletedProcess[str]:
    """The program as a shell starts it."""
    shell = " ".join([sys.executable, "-m", "snellen.cli", *map(str, words), redirect])
    return subprocess.run(["sh", "-c", shell], capture_output=True, text=True, timeout=120, **options)


@pytest.mark.parametrize(
    ("words", "redirect", "code"),
    [
        (["--help"], ">&-", 0),
        (["--help"], "2>&-", 0),
        (["--help"], ">&- 2>&- <&-", 0),
        (["report", "nowhere"], ">&-", 2),
        (["report", "nowhere"], "2>&-", 2),
        (["report", "nowhere"], ">&- 2>&-", 2),
        (["--help"], "| true", 0),
        (["report", "nowhere"], "2>&1 | true", 0),
        (["--help"], ">/dev/full", 2),
        (["report", "nowhere"], "2>/dev/full", 2),
    ],
)
def test_closed_and_full_streams_are_no_reason_for_a_traceback(words, redirect, code):
    done = program(*words, redirect=redirect)
    assert done.returncode == code, done
    assert "Traceback" not in done.stderr + done.stdout
    assert "Exception ignored" not in done.stderr
    assert done.stderr.count("\n") <= 1
    if "full" in redirect and redirect.startswith(">"):
        assert "no space left" in done.stderr


def test_with_closed_streams_no_result_gets_what_was_meant_for_them(tiny, tmp_path):
    words = ("visualize", f"{tiny}:net", "6:0", "--steps", 2, "--size", 16, "--out", tmp_path / "p")
    assert program(*words, redirect=">&- 2>&- <&-").returncode == 0
    assert json.loads((tmp_path / "p" / "6_0-max.json").read_text())["unit"] == "6:0"
    assert (tmp_path / "p" / "6_0-max.png").read_bytes().startswith(b"\x89PNG")


def test_ctrl_c_while_the_program_starts_is_one_line(tmp_path):
    """From its first import on; what Python does before it is Python's."""
    (tmp_path / "typer.py").write_text("import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(9)\n")
    places = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-m", "snellen.cli", "--help"],
        env={**os.environ, "PYTHONPATH": places},
        capture_output=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )
    assert (done.returncode, done.stdout) == (2, b"")
    assert done.stderr == b"snellen: interrupted; nothing was left half-written\n"


def test_no_command_asks_for_a_connection(tmp_path, tiny, images):
    """All commands in one process of its own, in which every attempt to reach a network is written down."""
    script = Path(__file__).with_name("offline.py")
    done = subprocess.run([sys.executable, script, tmp_path, tiny, images], capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout.splitlines()[-1])
    assert told["attempts"] == []
    assert set(told["codes"]) >= {"layers", "visualize", "audit", "report", "certify", "theory", "deceive", "matrix"}
    assert set(told["codes"].values()) == {0}
    assert told["control"] == 2  # a network that asks for a connection is noticed: the watch works


@pytest.mark.parametrize("bad", [2**63, -1, 10**30])
def test_seeds_out_of_range_are_our_own_error(bad):
    from snellen.studies.request import Request

    with pytest.raises(UsageError, match="seed"):
        Request(seed=bad)


@pytest.mark.parametrize("what", ["nan", "inf"])
@pytest.mark.parametrize("layer", ["conv", "out"])
def test_a_network_that_loses_its_numbers_on_some_images_is_one_line(snellen, images, tmp_path, what, layer):  # noqa: PLR0917
    (tmp_path / "net.py").write_text(f"""
import torch
from torch import nn

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.odd, self.out = nn.Conv2d(3, 4, 3), nn.Identity(), nn.Linear(4, 4)
    def forward(self, x):
        bright = (x.flatten(1).mean(1) > 0.7).float() * float("{what}")
        bright = torch.where(x.flatten(1).mean(1) > 0.7, bright, torch.zeros_like(bright))
        y = self.conv(x)
        y = self.odd(y + bright.view(-1, 1, 1, 1)) if "{layer}" == "conv" else y
        y = self.out(torch.nan_to_num(y, 0, 0, 0).mean((2, 3)))
        return y + bright[:, None] if "{layer}" == "out" else y

def load():
    torch.manual_seed(0)
    return Net()
""")
    flat = tmp_path / "flat"  # no class folders, so the model is asked for its classes
    flat.mkdir()
    for number, path in enumerate(sorted(images.rglob("*.png"))):
        path.rename(flat / f"{number:02d}.png")
    words = ("--images", flat, "--size", 16, "--quick", "--steps", 2, "--out", tmp_path / "run")
    line = snellen("audit", f"{tmp_path}/net.py:load", *words, "--units", "odd:0" if layer == "conv" else "out:0").line
    assert "finite" in line
    assert "09.png" in line  # the first bright one
