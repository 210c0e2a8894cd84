"""Any network can be put through `doctor`: for every layer, drawing in company and a plain hook alone say the same."""

import pytest
import torch
from families import FAMILIES, build
from torch import nn

import snellen
from snellen.verbs.doctor import COLUMNS, cells

QUICK = ("vgg", "u_net", "discriminator", "autoencoder", "vit", "transformer_encoder", "open_clip", "swin", "segformer")
SLOW = (pytest.mark.slow, pytest.mark.timeout(1200))
ALL = [name if name in QUICK else pytest.param(name, marks=SLOW) for name in FAMILIES]


@pytest.mark.parametrize("name", ALL)
def test_every_layer_of_every_family_is_read_right_or_refused(name):
    if FAMILIES[name].needs is not None:
        pytest.importorskip(FAMILIES[name].needs)
    net, size = build(name)
    found = snellen.doctor(snellen.Model(net, name, size), progress=False)
    assert not found.wrong
    ok = [layer for layer in found.layers if layer.verdict == "ok"]
    assert len(ok) >= 5
    assert all(layer.gap is not None and layer.gap < 1e-4 for layer in ok)
    assert all("shape" in layer.trouble or "no axis" in layer.trouble for layer in found.layers if not layer.shape)


class Twisted(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = nn.Conv2d(3, 6, 3)

    def forward(self, x):
        y = self.inner(x)
        return y * (1 + 0.1 * torch.arange(len(y)).view(-1, 1, 1, 1))  # depends on the place in the batch


def test_a_layer_that_depends_on_its_place_is_refused_and_the_table_says_so():
    torch.manual_seed(0)
    net = nn.Sequential(Twisted(), nn.ReLU(), nn.Sequential(nn.Conv2d(6, 4, 1), Keeps()))
    found = snellen.doctor(net, size=32, progress=False)
    verdicts = {layer.name: layer.verdict for layer in found.layers}
    assert verdicts["0.inner"] == "ok"
    assert len(cells(found.layers[0])) == len(COLUMNS)
    assert found.layers[0].name in found._repr_html_()


class Keeps(nn.Module):
    def forward(self, x):
        return x


def test_a_reading_that_is_wrong_is_found(monkeypatch):
    """The doctor does not trust what it examines."""
    from snellen.models import layout

    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.Conv2d(5, 4, 3))
    read = layout.Layout.read
    monkeypatch.setattr(layout.Layout, "read", lambda self, x, n: read(self, x, n).roll(1, 1))
    assert [layer.name for layer in snellen.doctor(net, size=32, progress=False).wrong] == ["0", "1", "2"]


def test_gradients_that_do_not_flow_are_told_and_what_is_read_is_right():
    class Frozen(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 6, 3), nn.Linear(6, 4)

        def forward(self, x):
            with torch.no_grad():
                y = self.body(x)
            return self.head(y.mean((2, 3)))

    torch.manual_seed(0)
    found = snellen.doctor(Frozen(), size=32, progress=False)
    assert [layer.verdict for layer in found.layers] == ["read only", "read only"]
    assert found.outputs == 4
