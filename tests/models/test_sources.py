import random
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from snellen.base import DependencyError, ModelError, UsageError, WeightsError
from snellen.models import Model
from snellen.models.sources import load_model

CONV = """
from torch import nn

def net():
    conv = nn.Conv2d({channels}, 4, 3, {stride})
    return nn.Sequential(conv, nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
"""


@pytest.fixture
def in_tmp(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, name: str = "mine.py", text: str = CONV.format(channels=3, stride=2)) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def refused(kind, spec, **arguments) -> str:
    with pytest.raises(kind) as caught:
        load_model(str(spec), **arguments)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_factory_gives_a_model_in_eval_mode_with_its_provenance(tmp_path):
    path = write(tmp_path)
    model = load_model(f"{path}:net")
    assert isinstance(model, Model)
    assert not model.module.training
    assert model(torch.zeros(2, 3, *model.size)).shape == (2, 2)
    assert model.name == "mine"
    assert model.provenance["source"] == "file"
    assert model.provenance["factory"] == "net"
    assert len(model.provenance["sha256"]) == 64


def test_a_network_that_is_not_trained_is_the_same_each_time_and_global_generators_are_not_moved(tmp_path):
    path = write(
        tmp_path, text="import random, numpy, torch\n" + CONV.format(channels=3, stride=2) + "random.random()\n"
    )
    states = torch.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()
    first = load_model(f"{path}:net")
    assert first.fingerprint() == load_model(f"{path}:net").fingerprint()
    assert torch.equal(states[0], torch.get_rng_state())
    assert np.array_equal(states[1], np.random.get_state()[1])
    assert states[2] == random.getstate()


def test_neighbours_are_importable_and_same_names_in_two_folders_do_not_clash(tmp_path):
    for folder, value in (("a", 1), ("b", 2)):
        write(tmp_path / folder, "neighbour.py", f"VALUE = {value}\n")
        text = "from neighbour import VALUE\nfrom torch import nn\n\ndef net():\n    return nn.Conv2d(3, VALUE, 3)\n"
        write(tmp_path / folder, text=text)
    before = list(sys.path), dict(sys.modules), sys.dont_write_bytecode
    channels = [load_model(f"{tmp_path}/{f}/mine.py:net").module.out_channels for f in ("a", "b", "a")]
    assert channels == [1, 2, 1]
    assert (list(sys.path), dict(sys.modules), sys.dont_write_bytecode) == before
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_module_of_the_same_name_as_a_neighbour_comes_back(tmp_path, monkeypatch):
    other = type(sys)("neighbour")
    monkeypatch.setitem(sys.modules, "neighbour", other)
    write(tmp_path, "neighbour.py", "VALUE = 5\n")
    text = "from neighbour import VALUE\nfrom torch import nn\n\ndef net():\n    return nn.Conv2d(3, VALUE, 3)\n"
    assert load_model(f"{write(tmp_path, text=text)}:net").module.out_channels == 5
    assert sys.modules["neighbour"] is other


def test_a_factory_may_return_a_model_with_its_own_preprocessing(tmp_path):
    text = (
        "from torch import nn\nfrom snellen.models import Model, Preprocess\n\ndef net():\n"
        "    return Model(nn.Conv2d(3, 2, 3), 'eyes', (48, 40), Preprocess(scale=255.0), ('a', 'b'))\n"
    )
    model = load_model(f"{write(tmp_path, text=text)}:net")
    assert (model.name, model.size, model.preprocess.scale, model.labels) == ("eyes", (48, 40), 255.0, ("a", "b"))
    assert model.provenance["size_from"] == "the model"
    assert load_model(f"{tmp_path}/mine.py:net", size=32).size == (32, 32)


@pytest.mark.parametrize(
    ("text", "line", "told"),
    [
        ("import torch\n\ndef net():\n    raise ValueError('no\\nway')\n", 4, "ValueError: no"),
        ("import nowhere_to_be_found\n", 1, "ModuleNotFoundError: No module named 'nowhere_to_be_found'"),
        ("def net(:\n", 1, "SyntaxError"),
        ("import sys\nsys.exit(3)\n", 2, "SystemExit: 3"),
        ("def net(argument):\n    pass\n", None, "TypeError"),
    ],
)
def test_a_file_that_raises_is_one_line_with_its_place(tmp_path, text, line, told):
    path = write(tmp_path, text=text)
    message = refused(ModelError, f"{path}:net")
    assert told in message
    assert message.startswith(f"{path}:{line} raised" if line else f"{path} raised")


def test_an_error_in_a_neighbour_names_the_neighbour(tmp_path):
    write(tmp_path, "neighbour.py", "\n\n1 / 0\n")
    message = refused(ModelError, f"{write(tmp_path, text='import neighbour')}:net")
    assert f"{tmp_path}/neighbour.py:3 raised ZeroDivisionError" in message


@pytest.mark.parametrize(
    ("spec", "kind", "told"),
    [
        ("mine.py:nett", ModelError, 'did you mean "net"'),
        ("mine.py", UsageError, "mine.py:load"),
        ("nowhere.py:net", ModelError, "does not exist"),
        ("mine.py:text", ModelError, "got str"),
        ("resnet18", UsageError, "torchvision:NAME"),
        ("", UsageError, "builtin"),
    ],
)
def test_specs_that_make_no_sense(in_tmp, spec, kind, told):
    write(in_tmp, text=CONV.format(channels=3, stride=2) + "\ndef text():\n    return 'a'\n")
    assert told in refused(kind, spec)


@pytest.mark.parametrize(("stride", "side"), [(1, 32), (4, 32), (8, 64), (16, 224)])
def test_the_size_is_guessed_from_the_total_stride(tmp_path, stride, side):
    path = write(tmp_path, text=CONV.format(channels=3, stride=stride))
    model = load_model(f"{path}:net")
    assert model.size == (side, side)
    assert model.provenance["size_from"].startswith("guessed: total stride")


@pytest.mark.parametrize("side", [28, 96, 299])
def test_a_network_that_takes_one_size_gets_it(tmp_path, side):
    text = f"from torch import nn\n\ndef net():\n    return nn.Sequential(nn.Flatten(), nn.Linear(3 * {side}**2, 2))\n"
    model = load_model(f"{write(tmp_path, text=text)}:net")
    assert model.size == (side, side)
    message = refused(ModelError, f"{tmp_path}/mine.py:net", size=100)
    assert "100x100 px" in message
    assert "--size" in message


def test_one_channel_networks_get_grey_pictures_and_a_note(tmp_path):
    model = load_model(f"{write(tmp_path, text=CONV.format(channels=1, stride=1))}:net")
    assert model.preprocess.channels == "grey"
    assert "grey" in model.provenance["notes"][0]
    assert model(torch.zeros(1, 3, 32, 32)).shape == (1, 2)
    assert "takes 5 channels" in refused(ModelError, f"{write(tmp_path, text=CONV.format(channels=5, stride=1))}:net")


@pytest.mark.parametrize("size", [0, -3, 100_000])
def test_senseless_sizes_are_refused(tmp_path, size):
    refused(UsageError, f"{write(tmp_path)}:net", size=size)


def test_unknown_and_absent_devices_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert "tpu" in refused(UsageError, f"{write(tmp_path)}:net", device="tpu")
    assert "CUDA" in refused(UsageError, f"{tmp_path}/mine.py:net", device="cuda")
    assert load_model(f"{tmp_path}/mine.py:net", device="auto").device.type == "cpu"


def weights(path: Path, **changes) -> dict[str, torch.Tensor]:
    state = {n: torch.full_like(t, 0.5) for n, t in load_model(f"{path}:net").module.state_dict().items()}
    state.update(changes)
    return {n: t for n, t in state.items() if t is not None}


def test_weights_that_fit_are_copied_in_any_precision(tmp_path):
    path = write(tmp_path)
    save_file({n: t.half() for n, t in weights(path).items()}, tmp_path / "w.safetensors")
    model = load_model(f"{path}:net", weights=tmp_path / "w.safetensors")
    assert {float(t.mean()) for t in model.module.state_dict().values()} == {0.5}
    assert {t.dtype for t in model.module.state_dict().values()} == {torch.float32}
    assert model.provenance["weights"]["file"] == "w.safetensors"


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"0.bias": None}, "1 missing (0.bias)"),
        ({"extra": torch.zeros(1)}, "1 unexpected (extra)"),
        ({"0.weight": torch.zeros(9, 3, 3, 3)}, "1 of another shape (0.weight (9, 3, 3, 3) for (4, 3, 3, 3))"),
        ({f"extra{i}": torch.zeros(1) for i in range(9)}, "9 unexpected (extra0, extra1, extra2, ...)"),
    ],
)
def test_weights_that_do_not_fit_say_what_is_wrong(tmp_path, changes, told):
    path = write(tmp_path)
    save_file(weights(path, **changes), tmp_path / "w.safetensors")
    assert told in refused(WeightsError, f"{path}:net", weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize("content", [b"", b"hello", b"\x10\x00\x00\x00\x00\x00\x00\x00{", None])
def test_damaged_and_absent_weights_are_one_line(tmp_path, content):
    path = tmp_path / "w.safetensors"
    if content is not None:
        path.write_bytes(content)
    refused(WeightsError, f"{write(tmp_path)}:net", weights=path)


@pytest.mark.parametrize("name", ["w.pt", "w.pth", "w.bin", "disguised.safetensors"])
def test_pickles_are_refused_without_trust(tmp_path, name):
    path = write(tmp_path)
    torch.save(weights(path), tmp_path / name)
    assert "--trust-pickle" in refused(WeightsError, f"{path}:net", weights=tmp_path / name)
    model = load_model(f"{path}:net", weights=tmp_path / name, trust_pickle=True)
    assert {float(t.mean()) for t in model.module.state_dict().values()} == {0.5}


class Bomb:
    """A pickle of it touches a file when it is read."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


def test_a_pickle_that_runs_code_does_not_run_it_unless_trusted(tmp_path):
    path, fuse = write(tmp_path), tmp_path / "exploded"
    torch.save({"state_dict": weights(path), "note": Bomb(fuse)}, tmp_path / "w.pt")
    refused(WeightsError, f"{path}:net", weights=tmp_path / "w.pt")
    refused(WeightsError, tmp_path / "w.pt")
    assert not fuse.exists()
    load_model(f"{path}:net", weights=tmp_path / "w.pt", trust_pickle=True)
    assert fuse.exists()


@pytest.mark.global_random
def test_a_pickled_module_is_a_model_for_those_who_trust_it(tmp_path):
    torch.save(nn.Sequential(nn.Conv2d(3, 2, 3, device="cpu")), tmp_path / "net.pt")
    assert "--trust-pickle" in refused(WeightsError, tmp_path / "net.pt")
    assert load_model(str(tmp_path / "net.pt"), trust_pickle=True).name == "net"


@pytest.mark.parametrize("wrap", [lambda s: {"state_dict": s}, lambda s: {f"module.{n}": t for n, t in s.items()}])
def test_the_usual_wrappings_are_taken_off(tmp_path, wrap):
    path = write(tmp_path)
    torch.save(wrap(weights(path)), tmp_path / "w.pt")
    load_model(f"{path}:net", weights=tmp_path / "w.pt", trust_pickle=True)


@pytest.mark.parametrize("library", ["torchvision", "timm"])
def test_a_library_that_is_not_installed_says_how_to_get_it(library, monkeypatch):
    for name in [n for n in sys.modules if n.split(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, library, None)
    assert f'pip install "snellen[{library}]"' in refused(DependencyError, f"{library}:resnet18")


def test_torchvision_networks_bring_their_metadata_and_random_weights_are_noted(torchvision):
    model = load_model("torchvision:mobilenet_v3_small")
    assert model.size == (224, 224)
    assert model.preprocess.mean == pytest.approx((0.485, 0.456, 0.406))
    assert model.labels[574] == "golf ball"
    assert "random weights" in model.provenance["notes"][0]
    assert model.fingerprint() == load_model("torchvision:mobilenet_v3_small").fingerprint()
    assert 'did you mean "resnet18"' in refused(ModelError, "torchvision:resnet-18")


def test_timm_networks_bring_their_data_config(timm):
    model = load_model("timm:vit_tiny_patch16_224")
    assert model.size == (224, 224)
    assert model.preprocess.mean == (0.5, 0.5, 0.5)
    assert model.labels[574] == "golf ball"
    assert "vit_tiny_patch16_224" in refused(ModelError, "timm:vit_tiny_patch16_22")


def test_real_weights_of_timm_names_fit(timm, shared):
    path = shared / "weights" / "vit_tiny_patch16_224.safetensors"
    assert load_model("timm:vit_tiny_patch16_224", weights=path).provenance["weights"]["file"] == path.name
    assert "unexpected" in refused(
        WeightsError, "timm:vit_tiny_patch16_384", weights=path.with_name("mobilenet_v2.safetensors")
    )


@pytest.mark.parametrize(
    ("spec", "size"),
    [
        ("googlenet.py:load", 224),
        ("mobilenet_v2.py:load", 224),
        ("vit_tiny.py:load", 224),
        ("cifar_resnet.py:resnet20", 32),
    ],
)
def test_real_files_with_neighbours_load_and_leave_no_bytecode(shared, spec, size):
    before = sorted(shared.glob("models/**/*"))
    model = load_model(f"{shared}/models/{spec}")
    assert model.size == (size, size)
    assert model.name == ("resnet20" if "cifar" in spec else spec.split(".")[0])
    assert "preprocess" not in sys.modules
    assert sorted(shared.glob("models/**/*")) == before


def test_loading_does_not_need_a_shell_variable_against_bytecode(tmp_path):
    write(tmp_path, "neighbour.py", "VALUE = 5\n")
    path = write(tmp_path, text="import neighbour\n" + CONV.format(channels=3, stride=2))
    code = f"from snellen.models.sources import load_model; load_model('{path}:net')"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert not (tmp_path / "__pycache__").exists()
