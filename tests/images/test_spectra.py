"""The stated statistics: consistent with each other, and what the photographs really have."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from snellen.images.spectra import AMPLITUDE_EXPONENT, COLOR_COVARIANCE, COLOR_MEAN, COLOR_SQRT

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "natural_statistics.py"


def script():
    spec = importlib.util.spec_from_file_location("natural_statistics", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_root_is_a_root_of_the_covariance() -> None:
    root = np.array(COLOR_SQRT)
    product = root @ root.T
    assert np.allclose(product / product[0, 0], np.array(COLOR_COVARIANCE) / COLOR_COVARIANCE[0][0], atol=2e-3)
    assert np.linalg.norm(root, axis=1).max() == pytest.approx(1, abs=1e-4)
    assert np.allclose(root.T @ root, np.diag(np.diag(root.T @ root)), atol=1e-3)


def test_independent_coordinates_become_natural_colours() -> None:
    z = np.random.default_rng(0).standard_normal((200_000, 3))
    correlation = np.corrcoef((z @ np.array(COLOR_SQRT).T).T)
    covariance = np.array(COLOR_COVARIANCE)
    scale = np.sqrt(np.diag(covariance))
    assert np.allclose(correlation, covariance / np.outer(scale, scale), atol=0.01)


@pytest.mark.parametrize("exponent", [0.5, 1.0, 1.5])
def test_the_script_finds_a_known_exponent(exponent: float) -> None:
    module = script()
    frequency = np.fft.fftfreq(module.SIZE, 1 / module.SIZE)
    radius = np.hypot(frequency[:, None], frequency[None])
    assert module.slope(1 / np.maximum(radius, 1) ** exponent) == pytest.approx(exponent, abs=0.01)


def test_a_part_of_the_photographs_agrees(shared: Path) -> None:
    found = script().measure([str(shared / "images" / "imagenet" / "imagenette_val")])
    assert np.allclose(found["mean"], COLOR_MEAN, atol=0.04)
    assert np.allclose(found["covariance"], COLOR_COVARIANCE, rtol=0.15)
    assert found["exponent"] == pytest.approx(AMPLITUDE_EXPONENT, abs=0.06)


@pytest.mark.slow
def test_all_photographs_give_the_constants(shared: Path) -> None:
    module = script()
    found = module.measure(
        [str(shared / "images" / "imagenet" / name) for name in ("imagenette_train", "one_per_class")]
    )
    assert np.allclose(found["mean"], COLOR_MEAN, atol=1e-4)
    assert np.allclose(found["covariance"], COLOR_COVARIANCE, atol=1e-4)
    assert np.allclose(module.color_sqrt(found["covariance"]), COLOR_SQRT, atol=1e-4)
    assert found["exponent"] == pytest.approx(AMPLITUDE_EXPONENT, abs=1e-3)
