"""A user's own file: run as a script would be, with its neighbours importable, and nothing of it left behind."""

import contextlib
import hashlib
import importlib.util
import linecache
import os
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn

from snellen.base import ModelError, WeightsError, brief, nearest
from snellen.base.files import home
from snellen.models.sources.found import Found
from snellen.models.sources.source import given
from snellen.models.sources.weights import unpickle
from snellen.models.steady import seeded

_NAMELESS = {"load", "model", "main", "build", "create", "factory", "make", "net", "network", "get_model", "load_model"}


def from_file(path: Path, factory: str) -> Found:
    """Call a factory in a Python file.

    Neighbouring files can be imported as from a script. While it runs, random numbers start from a fixed seed, so that
    a network that is not trained is the same each time; the global generators, `sys.path` and `sys.modules` are as
    before afterwards, and no bytecode is written beside the file.

    Raises:
        ModelError: no such file or factory, it raises, or it returns something else than a module or a `Model`.
    """
    path = home(path)
    if not os.path.isfile(path):  # False also of names that no file can have
        raise ModelError(f"expected a Python file, got {brief(str(path))}, which does not exist")
    with imports_from(path.parent.resolve()), seeded(0):
        module = _executed(path)
        made = _called(_factory(module, factory, path), path)
    source = {"source": "file", "path": str(path), "factory": factory, "sha256": _sha256(path)}
    name = path.stem if factory in _NAMELESS else factory
    return given(made, name, source, who=f"{path.name}:{factory}")


def from_pickle(path: Path, *, trust_pickle: bool) -> Found:
    """A whole pickled module, for those who trust it.

    Raises:
        WeightsError: without trust, or the file holds something else.
    """
    loaded = unpickle(path, trust_pickle=trust_pickle)
    if not isinstance(loaded, nn.Module):
        raise WeightsError(
            f"expected a pickled torch.nn.Module, got {type(loaded).__name__} in {path}; "
            "write a factory and give the file with --weights"
        )
    return Found(loaded, path.stem, provenance={"source": "pickle", "path": str(path), "sha256": _sha256(path)})


@contextlib.contextmanager
def imports_from(folder: Path) -> Iterator[None]:
    """While open, modules are looked for in a folder first; afterwards its modules are forgotten."""
    neighbours = {p.stem for p in folder.glob("*.py")} | {p.parent.name for p in folder.glob("*/__init__.py")}
    hidden = {
        name: sys.modules.pop(name)
        for name in list(sys.modules)
        if name.split(".")[0] in neighbours and name.split(".")[0] not in sys.stdlib_module_names
    }
    path, bytecode, known = list(sys.path), sys.dont_write_bytecode, set(sys.modules)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    try:
        yield
    finally:
        sys.path[:] = path
        sys.dont_write_bytecode = bytecode
        for name in set(sys.modules) - known:
            if _lies_in(sys.modules[name], folder):
                del sys.modules[name]
        sys.modules.update(hidden)


def _lies_in(module: ModuleType, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    if file is None:
        return any(Path(p).is_relative_to(folder) for p in getattr(module, "__path__", ()))
    return Path(file).is_relative_to(folder)


def _executed(path: Path) -> ModuleType:
    resolved = path.resolve()
    name = f"snellen_file_{hashlib.sha256(str(resolved).encode()).hexdigest()[:12]}"
    spec = importlib.util.spec_from_file_location(name, resolved)
    if spec is None or spec.loader is None:
        raise ModelError(f"expected a Python file, got {path}")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    linecache.checkcache(str(resolved))
    _guarded(lambda: spec.loader.exec_module(module), path)  # type: ignore[union-attr]
    return module


def _factory(module: ModuleType, name: str, path: Path) -> Callable[[], Any]:
    found = getattr(module, name, None)
    if callable(found):
        return found
    own = [n for n, v in vars(module).items() if callable(v) and getattr(v, "__module__", "") == module.__name__]
    hint = nearest(name, own) or f"the file has {', '.join(own[:5]) or 'no functions'}"
    raise ModelError(f'expected a factory in {path.name}, got "{brief(name)}"; {hint}')


def _called(factory: Callable[[], Any], path: Path) -> Any:
    return _guarded(factory, path)


def _guarded(call: Callable[[], Any], path: Path) -> Any:
    """Call a user's code; whatever it raises becomes one line with the place in the user's files."""
    try:
        return call()
    except (Exception, SystemExit) as error:
        place = _place(error, path)
        first = (str(error).strip().splitlines() or [""])[0]
        told = f"{type(error).__name__}: {first}" if first else type(error).__name__
        raise ModelError(f"{place} raised {told}; mend the file, it must load without arguments") from error


def _place(error: BaseException, path: Path) -> str:
    folder = path.parent.resolve()
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename).is_relative_to(folder):
        return f"{path.parent / Path(error.filename).relative_to(folder)}:{error.lineno}"
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if Path(f.filename).is_relative_to(folder)]
    if not own:
        return str(path)
    return f"{path.parent / Path(own[-1].filename).relative_to(folder)}:{own[-1].lineno}"


def _sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
