"""The examples of docstrings give what they say."""

import doctest

import numpy as np
import pytest
import torch

import snellen
from snellen.theory import Cosine, PatchAdditive, Quadratic, Radial, RadialUnknown, envelope

SHOWN = (  # `open_audit` and `report` take what `audit` made
    snellen.load_model,
    snellen.layers,
    snellen.main_layers,
    snellen.units,
    snellen.observe,
    snellen.open_images,
    snellen.render,
    snellen.visualize,
    snellen.audit,
    snellen.open_audit,
    snellen.report,
    snellen.deceive,
    snellen.matrix,
    snellen.doctor,
    snellen.certify,
    snellen.plugins,
    snellen.checks.Jumps.__call__,
    envelope,
    PatchAdditive,
    Quadratic,
    Cosine,
    Radial,
    RadialUnknown,
)


def test_every_example_gives_what_it_says(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    finder, runner = doctest.DocTestFinder(recurse=False), doctest.DocTestRunner(verbose=False)
    for function in SHOWN:
        (found,) = finder.find(function, function.__qualname__, globs={"snellen": snellen, "np": np, "torch": torch})
        assert found.examples, f"{function.__qualname__} has no example"
        told: list[str] = []
        assert not runner.run(found, out=told.append).failed, "".join(told)


def test_an_example_that_lies_is_seen():
    found = doctest.DocTestParser().get_doctest(">>> 1 + 1\n3\n", {}, "lie", None, None)
    with pytest.raises(doctest.DocTestFailure):
        doctest.DebugRunner().run(found)
