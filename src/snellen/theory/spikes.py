"""ReLU networks with two hidden layers that take chosen values at chosen places (docs/theory.md, section 2)."""

import itertools
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import skip_init

from snellen.base import UsageError
from snellen.theory.domain import Array


class SpikeNet(nn.Module):
    """f(y) = base + tilt (||y - c_0||_1 - ||y - c_1||_1) + sum_j heights_j relu(1 - ||y - c_j||_1 / radius).

    A ReLU network: the first layer holds the units relu(y_i - c_ji) and relu(c_ji - y_i), the second the distances to
    c_0 and c_1 and the spikes relu(1 - ||y - c_j||_1 / radius), and the last is affine. The first layer's weights are
    plus and minus the identity, so that only the centres are kept; `dense` writes the same network out in nn.Linear.

    Args:
        centres: (j, ...) with d entries each; for tilt != 0, c_0 is the minimizer and c_1 the maximizer.
        heights: (j,).
    """

    def __init__(self, centres: Tensor, heights: Tensor, *, base: float, tilt: float, radius: float) -> None:
        super().__init__()
        self.centres = nn.Parameter(centres)
        self.steepness = nn.Parameter(torch.tensor(1.0 / radius, dtype=centres.dtype))
        self.relu1, self.relu2 = nn.ReLU(), nn.ReLU()
        self.out = skip_init(nn.Linear, len(centres) + 2, 1, dtype=centres.dtype)
        with torch.no_grad():
            self.out.weight.copy_(torch.cat([torch.tensor([tilt, -tilt], dtype=centres.dtype), heights])[None])
            self.out.bias.fill_(base)

    def forward(self, y: Tensor) -> Tensor:
        distances = [self.relu1(torch.cat([y - c, c - y], 1)).flatten(1).sum(1) for c in self.centres]
        apart = torch.stack(distances, 1)
        ends = apart[:, [0, min(1, len(distances) - 1)]]
        return self.out(self.relu2(torch.cat([ends, 1.0 - self.steepness * apart], 1)))

    def dense(self) -> nn.Sequential:
        """The same function as Linear, ReLU, Linear, ReLU, Linear on flattened inputs (for small d)."""
        flat = self.centres.detach().flatten(1)
        count, dim = flat.shape
        first = skip_init(nn.Linear, dim, 2 * dim * count, dtype=flat.dtype)
        second = skip_init(nn.Linear, 2 * dim * count, count + 2, dtype=flat.dtype)
        with torch.no_grad():
            first.weight.copy_(torch.cat([torch.eye(dim), -torch.eye(dim)]).repeat(count, 1))
            first.bias.copy_(torch.cat([-flat, flat], 1).flatten())
            sums = torch.eye(count, dtype=flat.dtype).repeat_interleave(2 * dim, 1)
            second.weight.copy_(torch.cat([sums[[0, min(1, count - 1)]], -self.steepness * sums]))
            second.bias.copy_(torch.cat([torch.zeros(2), torch.ones(count)]))
        return nn.Sequential(nn.Flatten(), first, nn.ReLU(), second, nn.ReLU(), self.out)


@dataclass(frozen=True, eq=False)
class ReLUPair:
    """Two ReLU networks with the same unique minimizer and maximizer that disagree about one image.

    Args:
        quiet, loud: f(image) = low, respectively high; both are SpikeNets.
        low, high: a + margin and b - margin.
    """

    quiet: SpikeNet
    loud: SpikeNet
    low: float
    high: float


def relu_pair(x_min: Tensor, x_max: Tensor, image: Tensor, *, margin: float = 0.02, reach: float = 0.5) -> ReLUPair:
    """Networks of range [0, 1] whose visualizations are x_min and x_max, with responses to `image` that are far apart.

    f_s = 1/2 + (1 - 2 e) (||y - x_min||_1 - ||y - x_max||_1) / (2 R) + e psi_xmax(y) - e psi_xmin(y) + h_s psi_image(y)

    with R = ||x_max - x_min||_1, e = margin and h_s such that f_0(image) = e, f_1(image) = 1 - e. Outside a thin
    neighbourhood of the image the two are one function, and its gradient leads to x_max, and against it to x_min, from
    everywhere between them; so a search for either picture takes the same path in both networks.

    Args:
        x_min, x_max, image: (3, h, w) or any one shape, pairwise different.
        margin: e in (0, 1/4).
        reach: radius of the spikes as a share of the largest for which the claims hold.

    Raises:
        UsageError: images of different shapes, or equal ones, or a margin outside (0, 1/4).
    """
    if not 0 < margin < 0.25:
        raise UsageError(f"expected a margin in (0, 0.25), got {margin}")
    if not x_min.shape == x_max.shape == image.shape:
        raise UsageError("expected x_min, x_max and image of one shape")
    centres = torch.stack([x_min, x_max, image])
    exact = centres.double().flatten(1)
    apart = min(float((p - q).abs().sum()) for p, q in itertools.combinations(exact, 2))
    if apart == 0:
        raise UsageError("expected three different images, got two equal ones")
    whole = float((exact[1] - exact[0]).abs().sum())
    tilt = (1 - 2 * margin) / (2 * whole)
    there = 0.5 + tilt * float((exact[2] - exact[0]).abs().sum() - (exact[2] - exact[1]).abs().sum())
    heights = margin - there, 1 - margin - there
    steepest = min([abs(h) for h in heights if abs(h) > margin / 2] + [margin]) / (2 * tilt)
    radius = reach * min(apart / 2, steepest)
    nets = [
        SpikeNet(
            centres.clone(), torch.tensor([-margin, margin, h], dtype=centres.dtype), base=0.5, tilt=tilt, radius=radius
        )
        for h in heights
    ]
    return ReLUPair(nets[0], nets[1], margin, 1 - margin)


def spike_net(places: Array, values: Array, base: float) -> SpikeNet:
    """A flat network at `base` with a spike to values_j at every place_j, of disjoint supports, in float64."""
    gaps = [float(np.abs(p - q).sum()) for p, q in itertools.combinations(places, 2)]
    radius = 0.5 * min(gaps) if gaps else 1.0
    if radius == 0:
        raise UsageError("expected different places, got two equal ones")
    return SpikeNet(torch.tensor(places), torch.tensor(values - base), base=base, tilt=0.0, radius=radius)
