"""Types checked at run time, global random state watched, real models where they are at hand."""

import importlib.util
import os
import random
import sys
import warnings
from pathlib import Path
from types import ModuleType

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # on a busy machine spinning threads are most of the time

# beartype looks at a random item of each container: it gets a generator of its own, so that ours can be watched
_getrandbits, random.getrandbits = random.getrandbits, random.Random(0).getrandbits
import beartype.door  # noqa: E402

beartype.beartype(lambda: None)
random.getrandbits = _getrandbits

import jaxtyping  # noqa: E402

jaxtyping.install_import_hook("snellen", "beartype.beartype")

import numpy as np  # noqa: E402
import pytest  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402

ROOT = Path(__file__).parent.parent
torch.set_num_threads(1 if "PYTEST_XDIST_WORKER" in os.environ else 2)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "global_random: may move global generators without seeding them")


def _declare_torchvision_operators() -> torch.library.Library | None:
    """Let torchvision's CUDA build be imported beside a CPU build of torch.

    Its compiled operators do not load there, and torchvision describes the fakes of two of them all the same, which
    torch refuses for operators that nobody declared. The networks that the tests use call neither.
    """
    if any((Path(folder) / "torchvision" / "_C.so").is_file() for folder in sys.path) and torch.version.cuda is None:
        library = torch.library.Library("torchvision", "FRAGMENT")
        library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        return library
    return None


_TORCHVISION = _declare_torchvision_operators()


def _states() -> dict[str, bytes]:
    return {
        "torch": bytes(torch.get_rng_state().numpy()),
        "numpy": repr(np.random.get_state(legacy=True)[1:]).encode() + np.random.get_state()[1].tobytes(),
        "python": repr(random.getstate()).encode(),
    }


@pytest.fixture(autouse=True)
def global_random_state_is_left_alone(request, monkeypatch):
    """Law 2: no call into the library moves or seeds a global generator.

    A test that needs a random network seeds torch itself (`torch.manual_seed`) and then torch's generator is its own;
    drawing from a global generator unseeded fails, whoever did it. `@pytest.mark.global_random` lifts the watch.
    """
    if request.node.get_closest_marker("global_random"):
        yield
        return
    seeded: dict[str, list[str]] = {"torch": [], "numpy": [], "python": []}
    for name, module, function in [
        ("torch", torch, "manual_seed"),
        ("numpy", np.random, "seed"),
        ("python", random, "seed"),
    ]:
        monkeypatch.setattr(module, function, _noting(getattr(module, function), seeded[name]))
    before = _states()
    yield
    after = _states()
    for name, state in before.items():
        callers = seeded[name]
        guilty = [c for c in callers if c.split(".")[0] == "snellen"]
        assert not guilty or after[name] == state, f"{guilty[0]} seeded the global generator of {name}"
        assert callers or after[name] == state, f"the test moved the global generator of {name} without seeding it"


def _noting(function, callers):
    def seed(*args, **kwargs):
        callers.append(sys._getframe(1).f_globals.get("__name__", "?"))
        return function(*args, **kwargs)

    return seed


@pytest.fixture(scope="session")
def browser() -> ModuleType:
    """The module beside this file that drives a headless Chromium."""
    spec = importlib.util.spec_from_file_location("tests_browser", Path(__file__).with_name("browser.py"))
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real models and images, or a skip that says how to bring it."""
    folder = Path(os.environ.get("SNELLEN_SHARED", ROOT.parent / "shared"))
    if not (folder / "models").is_dir():
        pytest.skip(f"no real models at {folder}; set SNELLEN_SHARED to a folder with models/, weights/ and images/")
    return folder.resolve()


@pytest.fixture
def torchvision():
    """torchvision, or a skip; its own warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return pytest.importorskip("torchvision", exc_type=ImportError)


@pytest.fixture
def timm():
    """timm, or a skip; its own warnings are not ours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        pytest.importorskip("torchvision", exc_type=ImportError)
        return pytest.importorskip("timm", exc_type=ImportError)


NETWORK = """
import torch
from torch import nn


def net():
    torch.manual_seed(3)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1), nn.ReLU(), nn.Conv2d(8, 8, 3, 1, 1), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )
"""


@pytest.fixture(scope="session")
def network(tmp_path_factory) -> str:
    """What to give as MODEL."""
    path = tmp_path_factory.mktemp("network") / "tiny.py"
    path.write_text(NETWORK)
    return f"{path}:net"


@pytest.fixture(scope="session")
def pictures(tmp_path_factory) -> Path:
    """Four classes of six images each, each class of a colour; folder numbers 0, 2, 3 and 4."""
    root = tmp_path_factory.mktemp("pictures")
    random = np.random.default_rng(0)
    for number, colour in ((0, (200, 40, 40)), (2, (40, 200, 40)), (3, (40, 40, 200)), (4, (180, 180, 60))):
        folder = root / f"{number:03d}_colour"
        folder.mkdir()
        for i in range(6):
            pixels = random.integers(0, 90, (36, 44, 3)) + np.array(colour) * 0.6
            Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i}.png")
    return root


@pytest.fixture
def install(tmp_path_factory, monkeypatch):
    """Install a package as an installer leaves it: its modules by path, and its entry points."""
    site = tmp_path_factory.mktemp("site")
    monkeypatch.syspath_prepend(site)
    tops = set()

    def installed(name: str, version: str, modules: dict[str, str], entry_points: str) -> Path:
        for path, code in modules.items():
            (site / path).parent.mkdir(parents=True, exist_ok=True)
            (site / path).write_text(code)
            tops.add(Path(path).parts[0].removesuffix(".py"))
        info = site / f"{name}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(entry_points)
        importlib.invalidate_caches()
        return site

    yield installed
    for name in [name for name in sys.modules if name.partition(".")[0] in tops]:
        del sys.modules[name]
