"""Streamed similarity matrices: the same however images are batched, ordered, laid out in memory or tiled."""

import numpy as np
import pytest
import torch
from scipy import stats

from snellen.base import LayerError, UsageError
from snellen.checks.path_similarity import measure_paths
from snellen.checks.paths.tiles import Pass, plan

N = 23
NAMES = ("layer0", "layer1", "layer2", "layer3")
PLENTY = 10**9


@pytest.fixture(scope="module")
def activations(network):
    return network(N)


@pytest.fixture(scope="module")
def expected(activations, held):
    return measure_paths(held(activations, batch=N), NAMES, N, memory=PLENTY).matrices


def near(found, expected, tolerance=3e-6):
    for name in expected:
        for measure in expected[name]:
            np.testing.assert_allclose(found[name][measure], expected[name][measure], atol=tolerance, err_msg=name)


def test_matrices_agree_with_scipy(activations, expected):
    for name in NAMES:
        flat = activations[name].flatten(1).double().numpy()
        np.testing.assert_allclose(expected[name]["spearman"], stats.spearmanr(flat, axis=1).statistic, atol=3e-6)
        np.testing.assert_allclose(expected[name]["pearson"], np.corrcoef(flat), atol=3e-6)
        unit = flat / np.linalg.norm(flat, axis=1, keepdims=True)
        np.testing.assert_allclose(expected[name]["cosine"], unit @ unit.T, atol=3e-6)


@pytest.mark.parametrize("batch", [1, 3, N])
def test_batches_and_their_order_change_nothing(activations, expected, batch, held):
    for shuffled in (False, True):
        source = held(activations, batch=batch, shuffled=shuffled)
        near(measure_paths(source, NAMES, N, memory=PLENTY).matrices, expected, 0)


@pytest.mark.parametrize("memory", [PLENTY, 60_000])
def test_memory_format_changes_nothing(activations, expected, memory, held):
    """Also one that differs from batch to batch."""
    for formats in ((torch.channels_last,), (torch.channels_last, torch.contiguous_format)):
        source = held(activations, batch=3, formats=formats)
        near(measure_paths(source, NAMES, N, memory=memory).matrices, expected)


@pytest.mark.parametrize("memory", [25_000, 12_500, 6_048])
def test_tiling_equals_no_tiling(activations, expected, memory, held):
    source = held(activations, batch=3)
    found = measure_paths(source, NAMES, N, memory=memory).matrices
    near(found, expected)
    held = max(p.floats(source.sizes) * 4 for p in plan(source.sizes, NAMES, N, memory))
    assert held <= memory
    assert max(len(asked[1]) for asked in source.asked if asked[0] == ("layer0",)) < N


def test_reordered_images_give_reordered_matrices(activations, expected, held):
    order = np.random.default_rng(0).permutation(N)
    moved = {name: t[torch.from_numpy(order)] for name, t in activations.items()}
    found = measure_paths(held(moved), NAMES, N, memory=PLENTY).matrices
    near({n: {m: x[np.ix_(order, order)] for m, x in expected[n].items()} for n in NAMES}, found)


def test_half_precision_is_read_as_it_is(activations, held):
    halves = {"layer0": activations["layer0"].bfloat16()}
    found = measure_paths(held(halves), ["layer0"], N, memory=PLENTY).matrices
    near(found, measure_paths(held({"layer0": halves["layer0"].float()}), ["layer0"], N).matrices, 0)


def test_passes_hold_consecutive_layers_and_start_deep():
    sizes = {"a": 100, "b": 60, "c": 30, "d": 10}
    assert plan(sizes, "abcd", 10, 4 * 10 * 200) == (Pass(("a", "b", "c", "d"), 10),)
    assert plan(sizes, "abcd", 10, 4 * 10 * 100) == (Pass(("b", "c", "d"), 10), Pass(("a",), 10))
    assert plan(sizes, "abcd", 10, 4 * 10 * 99)[-1].piece > 0
    assert plan(sizes, "abcd", 10, 4 * 10 * 60) == (Pass(("c", "d"), 10), Pass(("b",), 10), Pass(("a",), 2, 1))


def test_a_tiled_layer_runs_few_images_twice():
    """1000 images of 803 k numbers in 2.2 GB: no more than 2.1 times the forward passes."""
    (one,) = plan({"conv1": 802_816}, ["conv1"], 1000, 2_200_000_000)
    runs = sum(1000 - start for start in range(0, 1000, one.resident))
    assert one.floats({"conv1": 802_816}) * 4 <= 2_200_000_000
    assert runs <= 2100


def test_too_little_memory_is_refused_and_says_how_much_is_needed():
    with pytest.raises(UsageError, match="give at least 1600"):
        plan({"a": 100}, ["a"], 10, 1599)
    assert plan({"a": 100}, ["a"], 10, 1600) == (Pass(("a",), 1, 1),)


def test_an_unknown_layer_is_refused(activations, held):
    with pytest.raises(LayerError, match='"layer9"'):
        measure_paths(held(activations), ["layer9"], N)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda chosen, found: ([0] * len(chosen), found), "every image once"),
        (lambda chosen, found: ([c + 100 for c in chosen], found), "every image once"),
        (lambda chosen, found: (chosen[:-1], {k: v[:-1] for k, v in found.items()}), "did not come"),
        (lambda chosen, found: (chosen, {k: v[:, :-1] for k, v in found.items()}), "correct the sizes"),
        (lambda chosen, found: (chosen, {k: v[:-1] for k, v in found.items()}), "correct the sizes"),
        (lambda chosen, found: (chosen, dict(zip(["other"], found.values(), strict=True))), "every layer asked for"),
    ],
)
def test_a_source_that_breaks_its_word_is_refused(activations, change, told, held):
    with pytest.raises((UsageError, LayerError), match=told):
        measure_paths(held(activations, change=change), ["layer3"], N)
