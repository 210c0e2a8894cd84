"""Who may import whom: the table of docs/architecture.md, read from the sources, and shown to catch what it forbids."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[2] / "src" / "snellen"

ABOVE_STUDIES = {
    "base",
    "models",
    "images",
    "measures",
    "progress",
    "pictures",
    "attacks",
    "theory",
    "jobs",
}
ABOVE_CHECKS = {*ABOVE_STUDIES, "studies"}
ABOVE_AUDIT = {*ABOVE_CHECKS, "checks", "record"}
ABOVE_VERBS = {*ABOVE_AUDIT, "audits", "matrices", "certificates", "structures", "reports"}
# package: (packages of this project it may import, other distributions it may import)
TABLE: dict[str, tuple[set[str], set[str]]] = {
    "base": (set(), set()),
    "models": ({"base"}, {"torch", "numpy", "safetensors", "jaxtyping", "torchvision", "timm", "transformers"}),
    "progress": ({"base"}, {"rich", "IPython"}),
    "images": ({"base"}, {"torch", "numpy", "scipy", "PIL", "skimage", "jaxtyping"}),
    "measures": ({"base"}, {"torch", "numpy", "scipy", "jaxtyping", "threadpoolctl"}),
    "pictures": ({"base", "models", "images", "progress"}, {"torch", "numpy", "PIL", "jaxtyping"}),
    "attacks": ({"base", "models", "images", "measures", "pictures"}, {"torch", "numpy", "PIL", "jaxtyping"}),
    "theory": (
        {"base", "models", "progress"},
        {"torch", "numpy", "scipy", "jaxtyping", "jinja2", "markupsafe", "matplotlib"},
    ),
    "jobs": ({"base"}, {"filelock", "ray"}),
    "record": ({"base", "jobs.store"}, {"msgspec"}),
    "studies": (ABOVE_STUDIES, {"torch", "numpy", "jaxtyping"}),
    "certificates": (ABOVE_STUDIES, {"torch", "numpy"}),
    "checks": (ABOVE_CHECKS, {"torch", "numpy", "jaxtyping"}),
    "audits": (ABOVE_AUDIT, {"torch", "numpy", "jaxtyping", "msgspec"}),
    "matrices": ({*ABOVE_AUDIT, "audits"}, {"torch", "numpy", "jaxtyping"}),
    "structures": ({*ABOVE_CHECKS, "checks", "certificates"}, {"torch", "numpy", "scipy", "safetensors", "jaxtyping"}),
    "verbs": (ABOVE_VERBS, {"torch", "numpy", "PIL", "jaxtyping", "IPython", "msgspec"}),
    "reports": ({"base", "jobs.store", "record"}, {"msgspec", "jinja2", "markupsafe", "matplotlib", "PIL"}),
    "cli": ({*ABOVE_VERBS, "verbs"}, {"typer", "rich", "torch", "numpy"}),
    "": ({*ABOVE_VERBS, "verbs"}, {"lazy_loader"}),
}
AT_THE_TOP_OF_CLI = {"typer", "rich", "snellen", "snellen.base", "snellen.cli"}


@dataclass(frozen=True)
class Import:
    """`importer` (a module of this project) imports `target` (dotted), and binds `name` from it or None."""

    importer: str
    target: str
    name: str | None
    line: int
    lazy: bool

    @property
    def where(self) -> str:
        return f"{self.importer}:{self.line}"


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(root: Path) -> Iterator[Import]:
    """Every import statement under a folder, relative ones made absolute; lazy means inside a function."""
    for path in sorted(root.rglob("*.py")):
        importer = module_name(path, root)
        tree = ast.parse(path.read_text(encoding="utf-8"), str(path))
        functions = [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)]
        lazy = {id(node) for function in functions for node in ast.walk(function)}
        lazy |= {id(n) for block in _type_checking(tree) for n in ast.walk(block)}
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(importer, alias.name, None, node.lineno, id(node) in lazy)
            elif isinstance(node, ast.ImportFrom):
                target = node.module or ""
                if node.level:
                    package = importer.split(".")
                    package = package[: len(package) - node.level + (path.name == "__init__.py")]
                    target = ".".join([*package, *([target] if target else [])])
                for alias in node.names:
                    yield Import(importer, target, alias.name, node.lineno, id(node) in lazy)


def _type_checking(tree: ast.AST) -> list[ast.If]:
    tests = [n for n in ast.walk(tree) if isinstance(n, ast.If)]
    return [n for n in tests if ast.unparse(n.test) in ("TYPE_CHECKING", "typing.TYPE_CHECKING")]


def package_of(module: str) -> str:
    return [*module.split("."), ""][1]


def violations(root: Path) -> list[str]:
    """Each import that the table forbids, as one line."""
    found = []
    for item in imports(root):
        package = package_of(item.importer)
        if package not in TABLE:
            found.append(f'{item.where}: package "{package}" is not in the table')
            continue
        own, others = TABLE[package]
        top = item.target.split(".")[0]
        if top == "snellen":
            if not _may(item, package, own):
                found.append(f'{item.where}: "{package}" may not import {item.target} ({item.name})')
        elif top not in sys.stdlib_module_names and top not in others:
            found.append(f'{item.where}: "{package}" may not import {item.target}')
        if package == "cli" and not item.lazy and not _light(item):
            found.append(f"{item.where}: {item.target} is imported at the top, not inside the command")
    return found


def _may(item: Import, package: str, own: set[str]) -> bool:
    if item.target == "snellen":
        return item.name == "__version__" or item.name in own | {package}
    target = item.target.removeprefix("snellen.")
    return package_of(item.target) == package or any(target == p or target.startswith(f"{p}.") for p in own)


def _light(item: Import) -> bool:
    top = item.target.split(".")[0]
    parents = {item.target, ".".join(item.target.split(".")[:2]), top if top != "snellen" else item.target}
    return top in sys.stdlib_module_names or bool(parents & AT_THE_TOP_OF_CLI)


def cycle(root: Path) -> list[str]:
    """A cycle of modules that import each other while they load, or of packages that import each other at all."""
    modules = {module_name(path, root) for path in root.rglob("*.py")}
    loading: dict[str, set[str]] = {m: set() for m in modules}
    packages: dict[str, set[str]] = {package_of(m): set() for m in modules if package_of(m)}
    for item in imports(root):
        submodule = f"{item.target}.{item.name}"
        target = submodule if submodule in modules else item.target
        if target in modules and not item.lazy and target != item.importer:
            loading[item.importer].add(target)
        a, b = package_of(item.importer), package_of(target)
        if target in modules and a and b and a != b:
            packages[a].add(b)
    for graph in (loading, packages):
        try:
            TopologicalSorter(graph).prepare()
        except CycleError as error:
            return list(error.args[1])
    return []


def test_every_import_is_in_the_table():
    assert violations(SOURCE) == []


def test_nothing_imports_in_a_circle():
    assert cycle(SOURCE) == []


def plant(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / "snellen" / f"{name.replace('__', '/')}.py"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root / "snellen"


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("base__errors", "import numpy"),
        ("models__unit", "from snellen.images import open_images"),
        ("models__unit", "def f():\n    from snellen import visualize"),
        ("models__unit", "from ..visualize import render"),
        ("models__unit", "if TYPE_CHECKING:\n    from snellen.studies.plan import X"),
        ("images__folder", "import torchvision"),
        ("measures__rank", "import snellen.models.unit as u"),
        ("measures__path", "from snellen.images import ImageSet"),
        ("jobs__run", "from snellen.models import Model"),
        ("jobs__run", "import torch"),
        ("reports__page", "import torch.nn"),
        ("reports__page", "from snellen.jobs import run"),
        ("reports__page", "def f():\n    import torch"),
        ("audits__suite", "from snellen.reports import build"),
        ("theory__table", "from snellen import Unit"),
        ("cli__audit", "from snellen.audits import audit"),
        ("cli__audit", "import torch"),
        ("surprise__x", "import os"),
    ],
)
def test_a_planted_violation_is_found(tmp_path, file, text):
    assert len(violations(plant(tmp_path, **{file: text}))) == 1


@pytest.mark.parametrize(
    ("file", "text"),
    [
        ("base__errors", "import json"),
        ("models__unit", "from . import tap\nfrom snellen.base import key"),
        ("reports__page", "from snellen.jobs.store import Store\nfrom snellen import __version__"),
        ("cli__audit", "import typer\ndef f():\n    from snellen.audits import audit"),
        ("cli__app", "from snellen.cli import audit\nfrom snellen.base import SnellenError"),
    ],
)
def test_what_the_table_allows_is_not_reported(tmp_path, file, text):
    assert violations(plant(tmp_path, **{file: text})) == []


def test_planted_cycles_are_found(tmp_path):
    modules = plant(tmp_path / "a", base__x="from snellen.base import y", base__y="import snellen.base.x")
    assert set(cycle(modules)) == {"snellen.base.x", "snellen.base.y"}
    packages = plant(
        tmp_path / "b", base__x="def f():\n    import snellen.jobs.y", jobs__y="import snellen.base.z", base__z=""
    )
    assert set(cycle(packages)) == {"base", "jobs"}


@pytest.mark.parametrize(
    ("module", "absent"),
    [
        ("snellen", {"torch", "numpy", "typer", "rich", "jinja2", "matplotlib"}),
        ("snellen.base", {"torch", "numpy"}),
        ("snellen.jobs", {"torch", "numpy", "filelock"}),
        ("snellen.record", {"torch", "numpy", "jinja2"}),
        ("snellen.reports", {"torch", "scipy", "snellen.models"}),
        ("snellen.cli", {"torch", "numpy", "jinja2", "matplotlib", "PIL", "snellen.models", "snellen.audits"}),
    ],
)
def test_what_an_import_brings_with_it(module, absent):
    code = f"import sys, {module}; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stdout.split()) & absent == set()
