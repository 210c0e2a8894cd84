"""The two networks of the theory's page: what is shown of them is true of them."""

import numpy as np
import torch

from snellen.certificates.twins import draw_twins
from snellen.theory import relu_pair


def test_one_pair_of_pictures_and_two_answers():
    twins = draw_twins(32, steps=32)
    images = [torch.tensor(image).permute(2, 0, 1) for image in (twins.x_min, twins.x_max, twins.photograph)]
    nets = relu_pair(*images)
    with torch.no_grad():
        for net, told in zip((nets.quiet, nets.loud), twins.responses, strict=True):
            answers = net(torch.stack(images))[:, 0]
            np.testing.assert_allclose(answers, [0, 1, told], atol=1e-5)
    assert twins.responses[1] - twins.responses[0] >= 0.9
    assert twins.largest_difference <= 1e-6
    for largest, smallest in twins.drawn:
        assert np.abs(largest - twins.x_max).mean() < 0.6 * np.abs(largest - twins.x_min).mean()
        assert np.abs(smallest - twins.x_min).mean() < 0.6 * np.abs(smallest - twins.x_max).mean()
