"""Law 9: nothing is printed, warned, logged or written where nobody asked for it."""

import logging
import subprocess
import sys
import warnings

import torch
from tiny_networks import cnn, tokens

from snellen.models import layers, main_layers, observe, units
from snellen.pictures import Objective, Pixel, render


def test_reading_and_drawing_are_silent_and_write_nothing(tmp_path, monkeypatch, capfd, caplog):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.DEBUG)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        for model, unit in ((cnn(), "fc"), (tokens(), "head")):
            layers(model), main_layers(model), units([f"{unit}:*"], model)
            observe(model, torch.full((1, 3, *model.size), 0.5), [unit])
            for precision in ("float32", "bfloat16"):
                render(model, [f"{unit}:0", f"{unit}:1"], steps=3, precision=precision, canvas=Pixel())
            render(model, Objective.of(f"{unit}:0") * 2, steps=2, direction="min", size=model.size)
    assert not warned
    assert capfd.readouterr() == ("", "")
    assert not caplog.records
    assert not list(tmp_path.iterdir())


def test_importing_is_silent_and_leaves_global_state_alone(tmp_path):
    code = """
import random, numpy, torch
before = (torch.get_rng_state().tolist(), numpy.random.get_state()[1].tolist(), random.getstate())
ways = (torch.get_default_dtype(), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled())
import snellen, snellen.models, snellen.pictures
assert before == (torch.get_rng_state().tolist(), numpy.random.get_state()[1].tolist(), random.getstate())
assert ways == (torch.get_default_dtype(), torch.is_grad_enabled(), torch.are_deterministic_algorithms_enabled())
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert not list(tmp_path.iterdir())
