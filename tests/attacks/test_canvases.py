import torch
from scenes import smooth

from snellen.attacks.augment import AUGMENTATIONS, augmented
from snellen.attacks.canvases import Pyramid
from snellen.base import Seed


def test_a_pyramid_can_fit_any_photograph():
    for size in ((24, 24), (13, 29), (7, 5)):
        image = smooth(2, size)
        canvas = Pyramid()
        state = canvas.fit(image)
        assert state.shape == canvas.start(size, [Seed(0), Seed(1)]).shape
        torch.testing.assert_close(canvas.draw(state, size), image.clamp(1e-3, 1 - 1e-3), rtol=0, atol=1e-4)


def test_pyramids_start_near_grey_and_their_arguments_matter():
    plain = Pyramid().draw(Pyramid().start((16, 16), [Seed(0)]), (16, 16))
    assert (plain - 0.5).abs().max() < 0.1
    for other in (Pyramid(levels=2), Pyramid(spread=0.5)):
        assert not torch.equal(other.draw(other.start((16, 16), [Seed(0)]), (16, 16)), plain)


def test_augmented_images_stay_images_and_come_from_their_stream():
    for size in ((24, 24), (9, 14)):
        image = smooth(1, size)[0]
        for name, change in AUGMENTATIONS.items():
            made = [change(image, torch.Generator().manual_seed(3)) for _ in range(2)]
            assert made[0].shape == image.shape, name
            assert torch.equal(*made), name
            assert made[0].min() >= 0, name
            assert made[0].max() <= 1, name
        many = torch.stack([augmented(image, torch.Generator().manual_seed(k)) for k in range(12)])
        assert len(torch.unique(many.flatten(1), dim=0)) > 6
        assert ((many - image).abs().mean((1, 2, 3)) < 0.4).all()


def test_coarse_compression_keeps_what_is_smooth():
    image = smooth(1, (32, 32))[0]
    made = AUGMENTATIONS["compress"](image, torch.Generator().manual_seed(0))
    assert 0 < (made - image).abs().mean() < 0.05
