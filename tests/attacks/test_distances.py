"""Distances between pictures: what they see, what they overlook, and that figures that go together count once."""

import torch
import torch.nn.functional as F

from snellen.attacks.distances import _decorrelation, _standardized, appearance, distances_for
from snellen.base import Seed
from snellen.models import load_model
from snellen.pictures.canvas import generator


def textures(kind, count, *, seed, size=48):
    """Noise of one colour, striped across or down."""
    stream = generator(Seed(seed).fork(kind))
    noise = torch.randn(count, 1, size, size, generator=stream)
    padding, window = {"across": ((3, 3, 0, 0), (1, 7)), "down": ((0, 0, 3, 3), (7, 1))}[kind]
    plane = F.avg_pool2d(F.pad(noise, padding, mode="circular"), window, 1)
    return 0.5 + 0.3 * plane * torch.tensor([1.0, 0.6, 0.2]).view(3, 1, 1)


def test_a_picture_is_at_zero_from_itself_and_nearer_to_another_of_its_kind():
    model = load_model("builtin")
    originals, decoys = textures("across", 6, seed=0, size=64), textures("down", 6, seed=0, size=64)
    after = textures("down", 6, seed=1, size=64)
    for name, distance in distances_for(model, originals, decoys).items():
        assert torch.equal(distance(after, after), torch.zeros(6)), name
        assert (distance(after, decoys) < distance(after, originals)).all(), name


def test_where_things_are_does_not_count_but_their_direction_does():
    pictures = textures("across", 4, seed=0, size=192)
    moved = pictures.roll((32, 64), (2, 3))
    turned = pictures.transpose(2, 3)
    still = (appearance(moved) - appearance(pictures)).abs().max()
    assert still < 0.2
    assert (appearance(turned) - appearance(pictures)).abs().amax(1).min() > 10 * still


def test_the_finest_octave_does_not_count():
    pictures = textures("across", 4, seed=0)
    checks = 0.1 * (-1.0) ** (torch.arange(48)[:, None] + torch.arange(48)[None])
    torch.testing.assert_close(appearance(pictures + checks)[:, 6:], appearance(pictures)[:, 6:], atol=1e-3, rtol=0)


def test_figures_that_go_together_count_once():
    """Against the matrix square root, on a figure that is there nine times."""
    stream = torch.Generator().manual_seed(0)
    two = torch.randn(400, 2, generator=stream)
    known = torch.cat([two[:, :1].expand(-1, 9), two[:, 1:]], 1)
    root = _decorrelation(known)
    standard = ((known - known.mean(0)) / known.std(0)).double()
    shrunk = torch.cov(standard.T) + torch.eye(10)
    torch.testing.assert_close((root @ root).double(), torch.linalg.inv(shrunk), atol=1e-5, rtol=1e-5)
    pictures = torch.rand(3, 3, 4, 4, generator=stream)
    often = lambda x: torch.cat([x[:, :1].mean((2, 3)).expand(-1, 9), x[:, 1:2].mean((2, 3))], 1)  # noqa: E731
    reference = torch.rand(200, 3, 4, 4, generator=stream)
    plain = _standardized(often, reference, reference)
    once = _standardized(often, reference, reference, decorrelate=True)
    redder, greener = (pictures + 0.1 * torch.eye(3)[i].view(3, 1, 1) for i in (0, 1))
    assert (plain(pictures, redder) / plain(pictures, greener)).mean() > 2.5
    assert (once(pictures, redder) / once(pictures, greener)).mean() < 1.5


def test_one_picture_of_each_kind_is_enough():
    model = load_model("builtin")
    originals, decoys = textures("across", 1, seed=0, size=64), textures("down", 1, seed=0, size=64)
    for distance in distances_for(model, originals, decoys).values():
        assert distance(decoys, originals) > distance(decoys, decoys) == 0
