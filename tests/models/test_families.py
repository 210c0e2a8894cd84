"""The small networks of tests/networks/families.py: quick, the same every time, and with something to say."""

import importlib.util

import pytest
import torch
from families import FAMILIES, build

from snellen.models.model import first_tensor


@pytest.fixture(params=list(FAMILIES))
def name(request):
    needs = FAMILIES[request.param].needs
    if needs in ("torchvision", "timm"):
        request.getfixturevalue(needs)
    if needs and importlib.util.find_spec(needs) is None:
        pytest.skip(f"{needs} is not installed")
    return request.param


def test_a_family_is_the_same_every_time_and_tells_pictures_apart(name):
    network, size = build(name)
    again, _ = build(name)
    assert all(
        torch.equal(a, b) for a, b in zip(network.state_dict().values(), again.state_dict().values(), strict=True)
    )
    assert not any(part.training for part in network.modules())
    with torch.no_grad():
        output = first_tensor(network(torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0))))
    assert torch.isfinite(output).all()
    assert (output[0] - output[1]).abs().max() > 1e-2
