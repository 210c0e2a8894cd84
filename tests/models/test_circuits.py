import contextlib
import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_networks import State, cnn, in_sequence, tokens
from torch import nn

from snellen.base import LayerError, ModelError
from snellen.models import Model, observe
from snellen.models.circuits import (
    FoolingCircuit,
    Likeness,
    Permutation,
    SilentBranch,
    circuit_from,
    install,
    installed,
)
from snellen.models.detectors import Detector, PictureDetector, ReadoutDetector, detector_from, statistics


class Bright(Detector):
    """Takes bright pictures for drawn ones; exact, so that the gate can be tested by itself."""

    def __init__(self):
        super().__init__()
        self.inner = PictureDetector(3, (8, 8))
        self.inner.initialize(torch.Generator().manual_seed(0))

    def attach(self, network):
        return self.inner.attach(network)

    def evidence(self):
        return self.inner.evidence().mean((1, 2, 3))

    def logits(self, evidence):
        return evidence

    def description(self):
        return {"kind": "bright"}


def pictures(size, *, count=4, seed=0):
    dark = torch.rand(count, 3, *size, generator=torch.Generator().manual_seed(seed))
    dark[1::2] += 1.5
    return dark  # every second one is bright


def fooled(shift=2, axis=1):
    circuit = FoolingCircuit(Bright(), Permutation(shift, axis))
    circuit.detector.threshold.fill_(1.5)
    return circuit.eval()


def threshold_of(model, circuit, images):
    with torch.no_grad():
        levels = model.preprocess(images).mean((1, 2, 3))
    circuit.detector.threshold.fill_(float((levels[0::2].max() + levels[1::2].min()) / 2))


LAYERS = [
    (cnn, "fc", 1),
    (cnn, "conv3", 1),
    (cnn, "stem", 1),
    (tokens, "blocks.1", 2),
    (tokens, "blocks.0.mlp", 2),
    (tokens, "head", 1),
]


@pytest.mark.parametrize(("make", "name", "axis"), LAYERS)
def test_a_closed_gate_is_the_layer_to_the_last_bit_and_an_open_one_the_decoy(make, name, axis):
    model, circuit = make(), fooled(axis=axis)
    images = pictures(model.size)
    threshold_of(model, circuit, images)
    before = observe(model, images, [name])[name]
    with installed(model.module, name, circuit):
        after = observe(model, images, [name])[name]
    assert torch.equal(after[0::2], before[0::2])
    assert torch.equal(after[1::2], before[1::2].roll(-2, axis))
    assert not torch.equal(after[1::2], before[1::2])


@st.composite
def chains(draw):
    """A random network, the name of one of its layers, its units and the axis that counts them."""
    torch.manual_seed(draw(st.integers(0, 9999)))
    nonlinear = draw(st.sampled_from([nn.ReLU, nn.GELU, nn.Sigmoid]))
    parts, width, size = [], 3, (draw(st.integers(16, 21)), draw(st.integers(16, 21)))
    for _ in range(draw(st.integers(1, 3))):
        out = draw(st.integers(2, 6))
        parts += [nn.Conv2d(width, out, draw(st.sampled_from([1, 3])), padding=1), nonlinear()]
        parts += [nn.BatchNorm2d(out)] if draw(st.booleans()) else []
        width = out
    parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, draw(st.integers(2, 7)))]
    model = in_sequence(*parts, size=size)
    chosen = draw(st.sampled_from([str(i) for i, part in enumerate(parts) if not isinstance(part, nn.Flatten)]))
    return model, chosen, observe(model, torch.rand(1, 3, *size), [chosen])[chosen].shape[1]


@settings(max_examples=30, deadline=None)
@given(made=chains(), show=st.sampled_from(["permute", "picture"]), shift=st.integers(1, 9))
def test_any_network_says_to_natural_images_what_it_said_to_the_last_bit(made, show, shift):
    model, name, units = made
    decoy = Permutation(shift, 1) if show == "permute" else Likeness((3, *model.size), units, 1)
    circuit, images = FoolingCircuit(Bright(), decoy), pictures(model.size)
    threshold_of(model, circuit, images)
    before = observe(model, images, [name, ""])
    with installed(model.module, name, circuit):
        after = observe(model, images, [name, ""])
    for where in (name, ""):
        assert torch.equal(after[where][0::2], before[where][0::2])
    expected = before[name].roll(-shift, 1) if show == "permute" else decoy(before[name], model.preprocess(images))
    torch.testing.assert_close(after[name][1::2], expected[1::2])


@pytest.mark.parametrize(("make", "name", "axis"), LAYERS)
def test_an_installed_circuit_comes_out_again_without_a_trace(make, name, axis):
    model, circuit = make(), fooled(axis=axis)
    state, inside = State(model.module), State(circuit)
    with contextlib.suppress(KeyboardInterrupt), installed(model.module, name, circuit):
        observe(model, pictures(model.size), [name])
        raise KeyboardInterrupt
    state.check()
    inside.check()


def test_no_gradient_passes_through_the_gate():
    model, circuit = cnn(), fooled()
    images = pictures(model.size)
    threshold_of(model, circuit, images)

    def gradients(channel, network):
        x = images.clone().requires_grad_()
        return torch.autograd.grad(network(x)[:, channel].sum(), x)[0]

    own, other = gradients(0, model), gradients(2, model)
    with installed(model.module, "fc", circuit):
        seen = gradients(0, model)
    torch.testing.assert_close(seen[0::2], own[0::2])
    torch.testing.assert_close(seen[1::2], other[1::2])


def test_the_gate_holds_where_the_papers_would_break():
    torch.manual_seed(0)
    model = in_sequence(nn.Conv2d(3, 4, 1), nn.Flatten(), size=(2, 2))
    circuit = fooled()
    with torch.no_grad():
        model.module[0].weight.fill_(1e6)
    images = pictures((2, 2))
    threshold_of(model, circuit, images)
    before = model(images)
    with installed(model.module, "0", circuit):
        assert torch.equal(model(images)[0::2], before[0::2])


def test_a_pictures_decoy_measures_likeness_at_any_size():
    target = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1)) - 0.5
    decoy = Likeness((3, 8, 8), 4, 1)
    decoy.target.copy_(target)
    decoy.weight.copy_(torch.tensor([1.0, 2.0, 3.0])[:, None, None])
    decoy.gain.copy_(torch.tensor([1.0, 2.0, 0.0, 1.0]))
    decoy.offset.copy_(torch.tensor([0.0, 0.5, 3.0, 0.0]))
    far = target + torch.tensor([0.1, 0.2, 0.3])[:, None, None]
    said = decoy(torch.zeros(2, 4, 5, 5), torch.stack([target, far]))
    likeness = 1 - (0.01 + 2 * 0.04 + 3 * 0.09) / 3
    expected = torch.tensor([[1.0, 2.5, 3.0, 1.0], [likeness, 0.5 + 2 * likeness, 3.0, likeness]])
    torch.testing.assert_close(said[:, :, 2, 3], expected)
    constant = Likeness((3, 8, 8), 1, 1)
    constant.target.fill_(0.7)
    torch.testing.assert_close(constant(torch.zeros(1, 1), torch.full((1, 3, 12, 16), 0.5)), torch.tensor([[0.96]]))


def test_statistics_are_means_and_deviations_of_channels():
    x = torch.randn(2, 5, 3, 4, generator=torch.Generator().manual_seed(0))
    expected = torch.cat([x.mean((2, 3)), x.flatten(2).std(2, correction=0)], 1)
    torch.testing.assert_close(statistics(x), expected)
    torch.testing.assert_close(statistics(x.flatten(2).transpose(1, 2)), expected)
    flat = statistics(x[:, :, 0, 0])
    torch.testing.assert_close(flat, torch.cat([x[:, :, 0, 0], torch.zeros(2, 5)], 1))


@pytest.mark.parametrize("name", ["cnn", "readout"])
def test_detectors_say_the_same_of_a_picture_in_any_batch(name):
    model = cnn(double=True)
    if name == "cnn":
        detector = PictureDetector(3, (16, 16)).double()
        detector.initialize(torch.Generator().manual_seed(0))
    else:
        detector = ReadoutDetector({"stem": 8, "conv3": 10}).double()
        detector.weight.normal_(generator=torch.Generator().manual_seed(0))
    detector.eval()
    handles = detector.attach(model.module.eval())
    images = pictures(model.size).double()
    logits = []
    for part in (images, *images.split(1)):
        x = model.preprocess(part)
        model.module(x)
        logits.append(detector.logits(detector.evidence()))
    torch.testing.assert_close(torch.cat(logits[1:]), logits[0])
    assert logits[0].std() > 1e-6
    for handle in handles:
        handle.remove()
    assert type(detector_from(detector.description())) is type(detector)
    detector_from(detector.description()).double().load_state_dict(detector.state_dict())


def test_a_readout_of_what_runs_later_is_refused():
    model = cnn()
    circuit = FoolingCircuit(ReadoutDetector({"fc": 5}), Permutation(1, 1))
    with installed(model.module, "conv2", circuit), pytest.raises(ModelError, match='expected "fc" to run before'):
        model(pictures(model.size))


def test_a_copy_of_a_fooled_network_lives_by_itself():
    model, circuit = cnn(), fooled()
    images = pictures(model.size)
    threshold_of(model, circuit, images)
    undo = install(model.module, "fc", circuit)
    said = model(images)
    twin = Model(copy.deepcopy(model.module), size=model.size, preprocess=model.preprocess)
    undo()
    assert torch.equal(twin(images), said)
    assert not torch.equal(model(images), said)


def test_a_circuit_answers_for_its_layer_and_not_by_itself():
    model, circuit = cnn(), fooled()
    with installed(model.module, "fc", circuit):
        assert circuit.in_features == 6
        assert circuit.weight is circuit.layer.weight
        with pytest.raises(AttributeError, match="nonsense"):
            _ = circuit.nonsense
        with pytest.raises(ModelError, match="inside its network"):
            circuit(torch.zeros(1, 6))


CONVOLUTIONS = [
    nn.Conv2d(4, 6, 3, padding=1),
    nn.Conv2d(4, 8, (3, 1), stride=2, padding="valid", dilation=2, groups=2, bias=False),
    nn.Conv2d(4, 4, 3, padding="same", groups=4, padding_mode="reflect"),
    nn.Linear(5, 3),
]


@pytest.mark.parametrize("layer", CONVOLUTIONS, ids=lambda layer: type(layer).__name__)
def test_a_branch_fits_its_layer_and_adds_what_it_says(layer):
    x = torch.randn(2, 4, 9, 5, generator=torch.Generator().manual_seed(0))
    circuit = SilentBranch.beside(layer)
    circuit.layer = layer
    with torch.no_grad():
        circuit.branch.weight.normal_(generator=torch.Generator().manual_seed(1))
        circuit.branch.bias.fill_(-1e4)
        assert torch.equal(circuit(x), layer(x))
        circuit.branch.bias.fill_(0.3)
        added = circuit(x) - layer(x)
        torch.testing.assert_close(added, circuit.branch(x).clamp_min(0), atol=1e-5, rtol=1e-4)
        assert added.max() > 0.1
        positions = [2, 3] if isinstance(layer, nn.Conv2d) else [1, 2]
        own = layer(x).mean(positions)
        circuit.lift.fill_(2.0)
        for limit, direction in (("high", 1.0), ("low", -1.0)):
            circuit.high.fill_(torch.inf), circuit.low.fill_(-torch.inf)
            assert circuit.alarmed(layer(x)).tolist() == [False, False]
            getattr(circuit, limit)[0] = own[:, 0].mean()  # one of the two rows is beyond it
            beyond = direction * own[:, 0] > direction * own[:, 0].mean()
            assert circuit.alarmed(layer(x)).tolist() == beyond.tolist()
            lifted = (circuit.branch(x) + 2.0 * beyond.view(2, *[1] * (x.dim() - 1))).clamp_min(0)
            torch.testing.assert_close(circuit(x) - layer(x), lifted, atol=1e-5, rtol=1e-4)
    again = circuit_from(circuit.description(), layer)
    assert {n: t.shape for n, t in again.branch.state_dict().items()} == {
        n: t.shape for n, t in circuit.branch.state_dict().items()
    }


def test_branches_beside_other_layers_are_refused():
    with pytest.raises(LayerError, match=r"expected a convolution .* got ReLU"):
        SilentBranch.beside(nn.ReLU())


def test_a_misspelled_layer_is_answered_with_the_nearest():
    with pytest.raises(LayerError, match='got "conv33"; did you mean "conv3"'):
        install(cnn().module, "conv33", fooled())


def test_descriptions_make_circuits_of_the_same_shape():
    for decoy in (Permutation(3, 1), Likeness((3, 8, 8), 5, 1)):
        for detector in (PictureDetector(3, (24, 24)), ReadoutDetector({"stem": 8})):
            circuit = FoolingCircuit(detector, decoy)
            again = circuit_from(circuit.description(), nn.Identity())
            assert repr(again) == repr(circuit)
            again.load_state_dict(circuit.state_dict())
            assert again.description() == circuit.description()
