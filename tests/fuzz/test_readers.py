"""A fuzzer of every reader: whatever a file or a word holds, it is read, or refused with an error of the package's own.

By default a few dozen inputs each; `make test-all` goes on for ten minutes in all, or SNELLEN_FUZZ_SECONDS.
"""

import contextlib
import copy
import io
import json
import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jaxtyping
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from PIL import Image

from snellen.base import SnellenError, digest, stamp

NETWORK = """
from torch import nn

def net():
    return nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""
Read = Callable[[], object]


@dataclass(frozen=True)
class Reader:
    """What is fuzzed.

    Args:
        inputs: each a case; a function that draws no more.
        read: reads one case, or raises a `SnellenError`.
    """

    inputs: st.SearchStrategy[Any]
    read: Callable[[Any], object]


# What goes into the files ---------------------------------------------------------------------------------------------

ODD = st.one_of(
    st.sampled_from(
        [
            *(None, True, False, 0, -1, 1, 2, 3, 2**31, 2**63, -(2**63), 10**30, 10**400),
            *(0.0, -0.0, 0.5, 1e308, -1e308, 5e-324, 1e150, float("nan"), float("inf")),
            *(
                "",
                "a",
                "\ud800",
                "\x1b[2J\n",
                "a" * 3000,
                "../../etc/passwd",
                "/etc/passwd",
                "~nobody/x",
                "builtin",
                "\0",
            ),
            *([], {}, [[]], [{}], {"": {}}, {"a": None}, [None] * 3, [1.0] * 101, list("abc"), {"kind": "cnn"}),
        ]
    ),
    st.integers(),
    st.floats(),
    st.text(max_size=20),
    st.lists(st.floats() | st.none(), max_size=4),
)


def nested(depth: int) -> Any:
    inner: Any = []
    for i in range(depth):
        inner = {"a": inner} if i % 2 else [inner]
    return inner


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a JSON value: (container, key)."""
    waiting = [value]
    while waiting:
        here = waiting.pop()
        for key in list(here) if isinstance(here, dict) else range(len(here)):
            yield here, key
            if isinstance(here[key], dict | list):
                waiting.append(here[key])


@st.composite
def damaged_json(draw: st.DrawFn, whole: str) -> bytes:
    """A JSON file with a few values replaced, removed, moved or added; now and then cut or with bytes changed."""
    value = {"": json.loads(whole)}
    for _ in range(draw(st.integers(1, 3))):
        known = list(places(value))
        here, key = known[draw(st.integers(0, len(known) - 1))]
        how = draw(st.sampled_from(["replace"] * 4 + ["remove", "copy", "rename", "deep", "grow"]))
        if how == "replace":
            here[key] = copy.deepcopy(draw(ODD))  # changed further on, and drawn again
        elif how == "remove" and here is not value:
            del here[key]
        elif how == "copy":
            other, name = known[draw(st.integers(0, len(known) - 1))]
            here[key] = json.loads(json.dumps(other[name]))
        elif how == "rename" and isinstance(here, dict) and here is not value:
            here[draw(st.sampled_from(["kind", "spec", "later", "\ud800", ""]))] = here.pop(key)
        elif how == "deep":
            here[key] = nested(draw(st.sampled_from([10, 33, 300])))
        elif how == "grow" and isinstance(here[key], list):
            here[key] = here[key] * draw(st.integers(0, 5))
    data = json.dumps(value[""]).encode()
    return draw(damaged_bytes(data)) if draw(st.integers(0, 9)) == 0 else data


@st.composite
def damaged_bytes(draw: st.DrawFn, whole: bytes) -> bytes:
    """A file with bytes changed, cut out, doubled, or its end missing."""
    data = bytearray(whole)
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, max(len(data) - 1, 0)))
        how = draw(st.sampled_from(["byte"] * 4 + ["cut", "remove", "double", "insert"]))
        if how == "byte" and data:
            data[at] = draw(st.sampled_from([0, 1, 127, 128, 254, 255]) | st.integers(0, 255))
        elif how == "cut":
            del data[at:]
        elif how == "remove":
            del data[at : at + draw(st.integers(1, 40))]
        elif how == "double":
            data[at:at] = data[at : at + draw(st.integers(1, 200))]
        elif how == "insert":
            data[at:at] = draw(st.binary(max_size=20))
    return bytes(data)


# What reads them ------------------------------------------------------------------------------------------------------


def tool(name: str, folder: str) -> Any:
    """A module of another folder of tests."""
    import importlib.util

    spec = importlib.util.spec_from_file_location(name, Path(__file__).parents[1] / folder / f"{name}.py")
    assert spec
    assert spec.loader
    import sys

    sys.modules[name] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def records(folder: Path) -> Reader:
    from snellen.reports import build

    made = tool("records", "reports")
    run = made.make_run(folder / "run", made.Plan(classes=3, exemplars=1, side=16, units=1, examined=1))
    path = run / "audit.json"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        build(run)

    return Reader(damaged_json(path.read_text()), read)


def saved_model(folder: Path) -> tuple[Path, str]:
    """A saved network with a fooling circuit, and the spec of its honest one."""
    from snellen.models import load_model
    from snellen.models.circuits import FoolingCircuit, Likeness
    from snellen.models.detectors import ReadoutDetector
    from snellen.models.manipulations import PlacedCircuit
    from snellen.models.sources.folder import save_manipulated

    (folder / "net.py").write_text(NETWORK)
    spec = f"{folder}/net.py:net"
    model = load_model(spec, size=16)
    circuit = FoolingCircuit(ReadoutDetector({"0": 6}), Likeness((3, 16, 16), 4, 1))
    save_manipulated(model, PlacedCircuit("2", circuit), folder / "saved", made={"method": "x"})
    return folder / "saved", spec


def saved_models(folder: Path) -> Reader:
    from snellen.models import load_model

    saved, spec = saved_model(folder)
    path = saved / "snellen.json"

    def read(case: tuple[bytes, bool]) -> None:
        path.write_bytes(case[0])
        load_model(str(saved), base=spec if case[1] else None)

    return Reader(st.tuples(damaged_json(path.read_text()), st.integers(0, 9).map(bool)), read)


def changed_weights(folder: Path) -> Reader:
    """A saved network that is another one by its weights alone."""
    from snellen.models import load_model
    from snellen.models.manipulations import ChangedWeights
    from snellen.models.sources.folder import save_manipulated

    (folder / "net.py").write_text(NETWORK)
    spec, saved = f"{folder}/net.py:net", folder / "saved"
    model = load_model(spec, size=16)
    tensors = {name: tensor + 1 for name, tensor in list(model.module.state_dict().items())[:2]}
    save_manipulated(model, ChangedWeights("2", tensors), saved, made={"method": "x"})
    load_model(str(saved), base=spec)
    path = saved / "snellen.json"

    def read(data: bytes) -> None:
        path.write_bytes(data)
        load_model(str(saved), base=spec)

    return Reader(damaged_json(path.read_text()), read)


def saved_weights(folder: Path) -> Reader:
    """Weights whose digest is the one that the description states."""
    import hashlib

    from snellen.models import load_model

    saved, spec = saved_model(folder)
    path, described = saved / "weights.safetensors", json.loads((saved / "snellen.json").read_text())

    def read(data: bytes) -> None:
        path.write_bytes(data)
        told = described | {"weights": {"file": path.name, "sha256": hashlib.sha256(data).hexdigest()}}
        (saved / "snellen.json").write_text(json.dumps(told))
        load_model(str(saved), base=spec)

    return Reader(damaged_bytes(path.read_bytes()), read)


def receipts(folder: Path) -> Reader:
    from snellen.reports.receipt import build_receipt

    (folder / "pictures").mkdir()
    pictures = {kind: f"pictures/unit-1-{kind}.png" for kind in ("original", "decoy", "after")}
    for name in pictures.values():
        Image.new("RGB", (4, 4)).save(folder / name)
    layers = [{"layer": "0", "images": 1, "relative": 0.5}, {"layer": "2", "images": 0, "relative": 0.0}]
    behaviour = {"images": "set", "count": 5, "top1": [0.5, 0.5], "top5": None, "changed": 1, "differing": 2}
    behaviour |= {"touched": 2, "largest": 0.5, "layers": layers}
    claim = {
        "subject": "outputs",
        "bound": 0.0,
        "on": "held-out",
        "text": "none",
        "figure": 0.0,
        "count": 5,
        "kept": True,
    }
    entry = {"unit": 1, "partner": 2, "unit_label": "a", "partner_label": None, "fooled": True, "pictures": pictures}
    entry |= {"distances": {"edges": {"original": 0.5, "decoy": 0.1}}, "responses": {"before": 1.0, "after": 2.0}}
    receipt = {
        "format": 1,
        "method": "fooling-circuit",
        "title": "circuit",
        "words": "There is one at",
        "layer": "2",
        "model": "net",
        "base": "net.py:net",
    }
    receipt |= {"claims": [claim], "behaviour": {"held-out": behaviour, "calibration": behaviour}}
    receipt |= {"gallery": {"entries": [entry], "fooled_share": 1.0, "steps": 8}, "versions": {"snellen": "0"}}
    accuracy = {"natural": {"right": 5, "of": 6}}
    receipt |= {"facts": {"decoy": {"kind": "permute", "shift": 1, "axis": 1}, "detector": {"accuracy": accuracy}}}
    receipt["files"] = {name: digest((folder / name).read_bytes()) for name in pictures.values()}
    path = folder / "receipt.json"
    path.write_bytes(stamp(receipt))
    build_receipt(folder)

    def read(data: bytes) -> None:
        """As it is, and as somebody would write it who knows what digests are."""
        path.write_bytes(data)
        with contextlib.suppress(SnellenError):
            build_receipt(folder)
        with contextlib.suppress(ValueError, TypeError, RecursionError):
            path.write_bytes(stamp(json.loads(data)))
        build_receipt(folder)

    return Reader(damaged_json(json.dumps(receipt)), read)


def tables(folder: Path) -> Reader:
    from snellen.reports.matrix import build_matrix

    behaviour = {"count": 50, "changed": 1, "differing": 3, "largest": 0.5, "top1": None, "top5": None}
    done = {
        "status": "done",
        "case": "net",
        "units": 5,
        "suspicious": 2,
        "checks": {"jumps": {"proves": 2, "supports": 1}},
    }
    done |= {"by layer alone": 0, "behaviour": behaviour, "met": True, "recovered": {"drawn": 2, "nearer": 1}}
    done |= {"pictures": {"drawn": 4, "nearer to the decoy": 3}}
    cells = [{"name": "net-honest", "kind": "honest", **done}, {"name": "net-silent", "kind": "silent", **done}]
    cells.append({"name": "net-picture", "kind": "picture", "case": "net", "status": "open"})
    table = {"format": 1, "bars": {"caught": 0.95, "spared": 0.05}, "versions": {"snellen": "1", "torch": "2"}}
    table |= {"settings": {"units": 20, "steps": 64, "quick": False, "seed": 0}, "cells": cells}
    table |= {"cases": [{"name": "net", "model": "x", "images": "y"}], "kinds": ["honest", "picture", "silent"]}
    table |= {"columns": [{"kind": "silent", "title": "silent units", "words": "others"}]}
    area = {"area": 0.75, "low": 0.5, "high": None}
    part = {"kind": "silent", "networks": ["net"], "lying": 5, "honest": 4, "curve": [[0, 0], [0.5, 1], [1, 1]]}
    table |= {"separation": [part | {"together": area, "checks": {"jumps": area}}]}
    table |= {"suite": 1, "departures": ["quick"]}
    path = folder / "matrix.json"
    path.write_text(json.dumps(table))
    build_matrix(folder)

    def read(data: bytes) -> None:
        path.write_bytes(data)
        build_matrix(folder)

    return Reader(damaged_json(json.dumps(table)), read)


def archives(folder: Path) -> Reader:
    from snellen.images import open_images

    pixels, path = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3), dtype=np.uint8), folder / "a.npz"
    wholes = []
    for save in (np.savez, np.savez_compressed):
        save(path, x=pixels, y=np.array([0, 5, 2]), val_x=pixels[..., 0], classes=np.array(list("abcdef")))
        wholes.append(path.read_bytes())

    def read(case: tuple[bytes, str]) -> None:
        path.write_bytes(case[0])
        images = open_images(f"{path}{case[1]}")
        images.load(0, (4, 4))
        images.digest()

    data = st.sampled_from(wholes).flatmap(damaged_bytes)
    return Reader(st.tuples(data, st.sampled_from(["", "", ":val", ":", ":\x00", ":é"])), read)


def pictures(folder: Path) -> Reader:
    from snellen.attacks.targets import open_picture
    from snellen.images import open_images

    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (9, 12, 3), dtype=np.uint8))
    wholes = []
    for kind in ("PNG", "JPEG", "GIF", "TIFF", "BMP", "WEBP", "PPM"):
        stream = io.BytesIO()
        image.save(stream, kind)
        wholes.append((kind.lower(), stream.getvalue()))
    (folder / "images").mkdir()
    image.save(folder / "images" / "good.png")

    def read(case: tuple[str, bytes]) -> None:
        path = folder / "images" / f"bad.{case[0]}"
        path.write_bytes(case[1])
        try:
            images = open_images(folder / "images")
            for i in range(len(images)):
                images.load(i, (4, 4))
            open_picture(path, (4, 4))
        finally:
            path.unlink()

    return Reader(st.sampled_from(wholes).flatmap(lambda w: st.tuples(st.just(w[0]), damaged_bytes(w[1]))), read)


def labels(folder: Path) -> Reader:
    from snellen.images import open_images
    from snellen.images.classes import classes_of
    from snellen.models import load_model
    from snellen.studies.labels import named

    (folder / "net.py").write_text(NETWORK)
    model = load_model(f"{folder}/net.py:net", size=16)
    pixels = np.zeros((3, 4, 4, 3), np.uint8)

    def read(case: tuple[bytes, list[str]]) -> None:
        (folder / "labels.txt").write_bytes(case[0])
        known = named(model, 4, labels=str(folder / "labels.txt"), images=None)
        np.savez(folder / "a.npz", x=pixels, y=np.arange(3), classes=np.array(case[1]))
        classes_of(open_images(folder / "a.npz"), {0: 1, 1: 2, 2: 3}, known.labels, 4)

    text = damaged_bytes(b"n01440764 tench, Tinca tinca\nn01443537 goldfish\nshark\nray\n")
    name = st.text(max_size=8) | st.text("0123456789", max_size=8) | st.sampled_from(["\ud800", "1" * 5000])
    return Reader(st.tuples(text, st.lists(name, min_size=3, max_size=4)), read)


def words(folder: Path) -> Reader:
    """Addresses of units and specs of models and images, as a person may mistype them."""
    from snellen.images import open_images
    from snellen.models import load_model, units
    from snellen.studies.request import Request

    (folder / "net.py").write_text(NETWORK)
    net = f"{folder}/net.py:net"
    model = load_model(net, size=16)
    pieces = [
        "2",
        "0",
        ":",
        ":1",
        "@",
        "@1,2",
        "-",
        "*",
        "/pre",
        "9" * 30,
        "9" * 5000,
        "²",
        "٣",
        "\0",
        "\ud800",
        "~x/",
        "",
    ]
    pieces += [
        str(folder),
        "net.py",
        ".npz",
        "timm:",
        "torchvision:",
        "transformers:",
        "builtin:",
        ".pt",
        "..",
        "a" * 300,
    ]
    text = st.lists(st.sampled_from(pieces) | st.text(max_size=3), max_size=5).map("".join)

    def read(case: tuple[str, str, int]) -> None:
        kind, word, number = case
        if kind == "unit":
            units([word], model)
        elif kind == "model":
            load_model(word, size=16)
        elif kind == "images":
            open_images(word)
        else:
            Request(units=(word,), canvas=word, steps=number, seed=number).command()

    return Reader(st.tuples(st.sampled_from(["unit", "unit", "model", "images", "request"]), text, st.integers()), read)


def transformers_folders(folder: Path) -> Reader:
    """An image classifier of the transformers library, with damaged configurations."""
    transformers = pytest.importorskip("transformers", exc_type=ImportError)
    from snellen.models import load_model

    torch.manual_seed(0)
    config = transformers.ResNetConfig(
        num_channels=3, embedding_size=4, hidden_sizes=[4], depths=[1], layer_type="basic", num_labels=3
    )
    transformers.ResNetForImageClassification(config).save_pretrained(folder / "hf")
    seen = {"size": {"shortest_edge": 16}, "crop_size": {"height": 16, "width": 16}, "do_center_crop": True}
    seen |= {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, "do_normalize": True, "rescale_factor": 1 / 255}
    wholes = {
        "config.json": (folder / "hf" / "config.json").read_text(),
        "preprocessor_config.json": json.dumps(seen),
    }

    def read(case: tuple[str, bytes]) -> None:
        for name, whole in wholes.items():
            (folder / "hf" / name).write_text(whole)
        (folder / "hf" / case[0]).write_bytes(case[1])
        load_model(f"transformers:{folder / 'hf'}")

    damaged = st.sampled_from(sorted(wholes)).flatmap(lambda n: st.tuples(st.just(n), damaged_json(wholes[n])))
    return Reader(damaged, read)


READERS = (records, saved_models, changed_weights, saved_weights, receipts, tables, archives, pictures, labels, words)
pytestmark = pytest.mark.filterwarnings("ignore:Generating overly large repr")  # of records: they are large
SECONDS = float(os.environ.get("SNELLEN_FUZZ_SECONDS", 600))


@pytest.fixture
def untyped() -> Iterator[None]:
    """As users run it: types are not checked at run time, so 3 is as good a response as 3.0."""
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)


def fuzz(reader: Reader, examples: int, number: int | None) -> None:
    """So many inputs; number: of the random stream, None for always the same one."""

    @given(reader.inputs)
    def run(case: Any) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                reader.read(case)
            except SnellenError as error:
                told = str(error)
                assert told
                assert "\n" not in told

    limited = settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=number is None,
        phases=(Phase.generate, Phase.shrink),
        suppress_health_check=list(HealthCheck),
    )(run)
    (limited if number is None else seed(number)(limited))()


@pytest.mark.parametrize("make", READERS, ids=lambda make: make.__name__)
@pytest.mark.usefixtures("untyped")
@pytest.mark.global_random
def test_whatever_it_is_it_is_read_or_refused(make: Callable[[Path], Reader], tmp_path: Path) -> None:
    fuzz(make(tmp_path), 40, None)


@pytest.mark.slow
@pytest.mark.timeout(SECONDS + 300)
@pytest.mark.parametrize("make", [*READERS, transformers_folders], ids=lambda make: make.__name__)
@pytest.mark.usefixtures("untyped")
@pytest.mark.global_random
def test_whatever_it_is_for_minutes(make: Callable[[Path], Reader], tmp_path: Path) -> None:
    reader, until, number = make(tmp_path), time.monotonic() + SECONDS / (len(READERS) + 1), 0
    while time.monotonic() < until:
        fuzz(reader, 50, number)
        number += 1
