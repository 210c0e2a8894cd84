"""The networks of benchmarks/projections.py and benchmarks/lying_rows.py: they answer, and lie, as these say."""

import importlib
from pathlib import Path

import pytest
import torch

from snellen.models import load_model

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def scripts():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        yield {name: importlib.import_module(name) for name in ("projections", "lying_rows")}


@pytest.mark.parametrize("kind", ["half", "blocks", "coarse", "fine"])
def test_answers_stay_and_the_gradient_is_projected(scripts, kind):
    project, honest = scripts["projections"].KINDS[kind], load_model("builtin")
    x = torch.rand(2, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(project(project(x)), project(x), atol=1e-6)
    found = []
    for model in (honest, scripts["projections"].handing(honest, project)):
        points = x.clone().requires_grad_()
        said = model(points)
        found.append((said.detach(), *torch.autograd.grad(said[:, 0].sum(), points)))
    (before, whole), (after, part) = found
    assert torch.equal(before, after)
    assert torch.allclose(part, project(whole), atol=1e-6 * float(whole.abs().max()))


def test_a_lie_is_taken_back(scripts):
    rows, model = scripts["lying_rows"], load_model("builtin")
    case = rows.CASES["tails block5"]
    honest = model.module.get_submodule("block5")
    tailed = rows.Tailed(honest, torch.ones(160), case)
    lie = rows.Lie(model, case, tailed)
    x = 8 * torch.rand(1, 128, 4, 4, generator=torch.Generator().manual_seed(0))
    with lie.installed() as changed:
        said = changed.module.get_submodule("block5")(x)
    assert model.module.get_submodule("block5") is honest
    assert torch.allclose(said[:, 5:], honest(x)[:, 5:], atol=1e-5)
