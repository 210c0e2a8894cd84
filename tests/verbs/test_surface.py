"""The command line, the functions and their documents agree: names, options and defaults."""

import inspect
import re
from pathlib import Path

import pytest
import typer

import snellen
from snellen.cli.app import app
from snellen.theory import report as theory

DOCS = (Path(__file__).parents[2] / "docs" / "cli.md").read_text()
COMMANDS = (
    "audit",
    "visualize",
    "layers",
    "report",
    "theory",
    "certify",
    "deceive",
    "matrix",
    "doctor",
    "plugins",
    "rebuild",
    "structure train",
    "structure compare",
)
RENAMED = {"compile": "compiled", "class": "name"}
"""Options that Python has other uses for."""
ONLY_FUNCTIONS = {"preprocess", "progress", "pages", "note", "twins", "options"}
"""What a command line cannot hold, or does by itself."""
OPEN = {"deceive": "options"}
"""Functions with names of arguments that are not their own: a method's options, which it checks."""


def function(name):
    return theory if name == "theory" else getattr(snellen, name.split()[-1])


def options(name):
    """Of a command: by what the function calls it, (its option, its default)."""
    command = typer.main.get_command(app)
    for word in name.split():
        command = command.commands[word]
    found = {}
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            found[parameter.name] = (None, parameter.default)
        elif parameter.name != "help":
            word = max(parameter.opts, key=len).removeprefix("--").replace("-", "_")
            found[RENAMED.get(word, word)] = (max(parameter.opts, key=len), parameter.default)
    return found


def parameters(name):
    return dict(inspect.signature(function(name)).parameters)


def plain(value):
    value = None if value in (inspect.Parameter.empty, ()) else value
    return str(value) if isinstance(value, Path) else value


def shown(default):
    """A default as the document writes it."""
    if default is None or default is False:
        return "" if default is None else "off"
    return f"`{default}`"


def test_the_commands_are_these():
    program = typer.main.get_command(app).commands
    known = [f"{name} {inner}" for name, c in program.items() if hasattr(c, "commands") for inner in c.commands]
    assert {*known, *(name for name, c in program.items() if not hasattr(c, "commands"))} == set(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_command_and_function_have_the_same_options_and_defaults(name):
    told, known = options(name), parameters(name)
    assert set(known) - set(told) <= ONLY_FUNCTIONS
    assert set(told) <= set(known)
    for word, (_, default) in told.items():
        assert plain(known[word].default) == plain(default), word


@pytest.mark.parametrize("name", COMMANDS)
def test_the_signature_and_the_docstring_tell_every_argument(name):
    known = parameters(name)
    assert [p.name for p in known.values() if p.kind in (p.VAR_KEYWORD, p.VAR_POSITIONAL)] == [
        open_ for command, open_ in OPEN.items() if command == name
    ]
    told = inspect.getdoc(function(name))
    assert [word for word in known if not re.search(rf"^    {word}: ", told, re.MULTILINE)] == []


@pytest.mark.parametrize("name", COMMANDS)
def test_the_document_names_every_option_with_its_default_and_no_other(name):
    section = re.search(rf"^### snellen {name}\n(.*?)(?=^##)", DOCS, re.MULTILINE | re.DOTALL)
    assert section, f"docs/cli.md has no section for {name}"
    rows = dict(re.findall(r"^\| `(--[\w-]+)` \| (.*?) \|", section[1], re.MULTILINE))
    told = {option: default for option, default in options(name).values() if option is not None}
    assert rows == {option: shown(default) for option, default in told.items()}


def test_the_document_names_every_option_of_a_method():
    from snellen.attacks.group import ATTACKS
    from snellen.attacks.options import options_of

    rows = re.findall(r"^\| `([\w-]+)` \| `(--[\w-]+)` \| (.*?) \| (.*?)(?:: .*)? \|$", DOCS, re.MULTILINE)
    house = {name: options_of(ATTACKS.load(name)).values() for name in ATTACKS.house}
    assert rows == [
        (name, f"--{o.name.replace('_', '-')}", f"`{o.default}`", o.help)
        for name, known in house.items()
        for o in known
    ]


def test_everything_that_is_announced_is_there():
    assert set(snellen.__all__) <= set(dir(snellen))
    for name in snellen.__all__:
        assert getattr(snellen, name) is not None
    for name in ("attacks", "checks", "theory"):
        assert inspect.ismodule(getattr(snellen, name))
