import pytest
import torch
from tiny_networks import cnn
from torch import nn

from snellen.base import ModelError
from snellen.models import Model, Preprocess


def pictures(n=2, h=4, w=5):
    return torch.rand(n, 3, h, w, generator=torch.Generator().manual_seed(0))


def test_preprocessing_is_scaled_then_centred_then_divided():
    x = pictures()
    found = Preprocess(scale=255.0, mean=(1.0, 2.0, 3.0), std=(4.0, 5.0, 6.0))(x)
    for c, (mean, std) in enumerate(((1, 4), (2, 5), (3, 6))):
        torch.testing.assert_close(found[:, c], (255 * x[:, c] - mean) / std)


def test_bgr_is_reversed_before_the_means_are_taken_off():
    x = pictures()
    found = Preprocess(channels="bgr", mean=(0.1, 0.2, 0.3))(x)
    for c, mean in enumerate((0.1, 0.2, 0.3)):
        torch.testing.assert_close(found[:, c], x[:, 2 - c] - mean)


def test_grey_is_luma_with_one_channel_and_its_own_mean():
    x = pictures()
    luma = 0.299 * x[:, 0] + 0.587 * x[:, 1] + 0.114 * x[:, 2]
    torch.testing.assert_close(Preprocess(channels="grey")(x), luma[:, None])
    found = Preprocess(channels="grey", mean=(0.5,), std=(0.25,))(x)
    torch.testing.assert_close(found, (luma[:, None] - 0.5) / 0.25)


def test_the_default_leaves_pictures_as_they_are_and_double_stays_double():
    x = pictures()
    assert Preprocess()(x) is x
    assert Preprocess(mean=(0.5, 0.5, 0.5))(x.double()).dtype is torch.float64


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"std": (1.0, 0.0, 1.0)}, "above 0"),
        ({"mean": (0.5,)}, "as many means"),
        ({"std": (1.0,)}, "as many means"),
        ({"scale": float("nan")}, "finite"),
        ({"mean": (0.0, float("inf"), 0.0)}, "finite"),
        ({"std": (1.0, float("nan"), 1.0)}, "finite"),
        ({"mean": (0.0,) * 4, "std": (1.0,) * 4}, "1 or 3 channels"),
        ({"mean": (), "std": ()}, "1 or 3 channels"),
        ({"channels": "grey", "mean": (0.4, 0.5, 0.6)}, "one mean"),
    ],
)
def test_preprocessing_that_cannot_work_is_refused_when_made(arguments, told):
    with pytest.raises(ModelError, match=told):
        Preprocess(**arguments)


class Returns(nn.Module):
    def __init__(self, wrap):
        super().__init__()
        self.wrap = wrap

    def forward(self, x):
        return self.wrap(x.mean((2, 3)), x)


class Modes(nn.Module):
    def __init__(self):
        super().__init__()
        self.seen = set()

    def forward(self, x):
        self.seen.add(self.training)
        return x


class WithLogits:
    def __init__(self, logits, other):
        self.other, self.logits = other, logits


@pytest.mark.parametrize(
    "wrap",
    [
        lambda y, x: y,
        lambda y, x: (y, x),
        lambda y, x: [None, y, x],
        lambda y, x: {"out": y, "aux": x},
        lambda y, x: WithLogits(y, x),
    ],
)
def test_the_output_is_the_first_tensor_or_the_logits(wrap):
    x = pictures()
    torch.testing.assert_close(Model(Returns(wrap))(x), x.mean((2, 3)))


def test_a_module_that_returns_no_tensor_is_an_error():
    with pytest.raises(ModelError, match="expected the module to return a tensor, got str"):
        Model(Returns(lambda y, x: "cat"))(pictures())


def test_only_modules_make_models():
    with pytest.raises((ModelError, TypeError), match=r"Module|type"):
        Model(lambda x: x)


def test_a_network_is_run_in_eval_mode_and_keeps_its_own():
    module = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm2d(3)), Modes())
    module[0].eval()
    model, x = Model(module), pictures()
    for _ in range(2):
        torch.testing.assert_close(model(x), x / (1 + module[1][0].eps) ** 0.5)
        assert module[1][0].num_batches_tracked == 0
        module[1].train()
        assert [part.training for part in module] == [False, True, True]
    assert module[2].seen == {False}


def test_the_number_type_of_pictures_follows_the_weights():
    assert cnn().dtype is torch.float32
    assert cnn(double=True).dtype is torch.float64
    assert Model(nn.ReLU()).dtype is torch.float32
    assert cnn().parameters == sum(p.numel() for p in cnn().module.parameters())


def test_a_fingerprint_sees_every_weight_buffer_layer_and_preprocessing():
    print_of = cnn(0).fingerprint()
    assert print_of == cnn(0).fingerprint()
    others = [cnn(1), cnn(0, preprocess=Preprocess()), Model(nn.Sequential(cnn(0).module))]
    for name in ("fc.weight", "fc.bias", "stem.1.running_var"):
        changed = cnn(0)
        with torch.no_grad():
            changed.module.state_dict()[name].flatten()[0] += 1e-6
        others.append(changed)
    halved = cnn(0)
    halved.module.norm.alpha = 0.25
    others.append(halved)
    assert len({print_of, *(other.fingerprint() for other in others)}) == 1 + len(others)


def test_a_fingerprint_does_not_depend_on_the_memory_layout():
    model = cnn(0)
    before = model.fingerprint()
    model.module.to(memory_format=torch.channels_last)
    assert model.fingerprint() == before
