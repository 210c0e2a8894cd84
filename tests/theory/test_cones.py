"""The fast cones against the plain formula: where products cancel, far from the origin, on the apexes themselves."""

import numpy as np
import pytest
import torch

from snellen.theory.cones import Cones

NORMS = {"l1": 1, "l2": 2, "linf": np.inf}


def slowly(cones, x):
    """One point and one apex at a time, in float64."""
    order = NORMS[cones.norm]
    away = np.array([[np.linalg.norm(row - apex, order) for apex in cones.apexes] for row in x])
    return (cones.low - cones.bound * away).max(1), (cones.high + cones.bound * away).min(1)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
@pytest.mark.parametrize("away", [0.0, 30.0])
@pytest.mark.parametrize("spread", [1.0, 1e-3])
def test_cones_agree_with_the_plain_formula(norm, kind, away, spread):
    rng = np.random.default_rng(0)
    apexes = (away + spread * rng.uniform(size=(12, 60))).astype(np.float32).astype(float)
    values = rng.uniform(size=12)
    cones = Cones(apexes, values, values, bound=0.3 / spread, norm=norm)
    near = apexes[rng.integers(0, 12, 40)] + spread * rng.normal(size=(40, 60)) * 10.0 ** rng.uniform(-6, 0, (40, 1))
    x = torch.tensor(np.concatenate([apexes, near, away + spread * rng.uniform(size=(40, 60))]), dtype=kind)
    lo, up = cones(x)
    expected = slowly(cones, x.double().numpy())
    np.testing.assert_allclose((lo, up), expected, atol=2e-5 if kind == torch.float32 else 1e-9, rtol=0)
