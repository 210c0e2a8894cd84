"""Members of the function classes as torch modules: (n, ...) -> (n, 1), with inputs flattened to d entries."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from snellen.theory.domain import Array


def tensor(value: "Array | Sequence[float]") -> Tensor:
    """A float64 copy."""
    return torch.tensor(np.asarray(value, dtype=np.float64))


class AffineMap(nn.Module):
    """y -> slope . y + offset."""

    def __init__(self, slope: Array, offset: float) -> None:
        super().__init__()
        self.slope = nn.Parameter(tensor(slope))
        self.offset = nn.Parameter(tensor([offset]))

    def forward(self, y: Tensor) -> Tensor:
        return y.flatten(1) @ self.slope[:, None] + self.offset


class MaxAffine(nn.Module):
    """y -> max_j (slopes_j . (y - place) + offsets_j), convex; with sign = -1 its negative, concave."""

    def __init__(self, slopes: Array, offsets: Array, place: Array, sign: float = 1.0) -> None:
        super().__init__()
        self.slopes = nn.Parameter(tensor(slopes))
        self.offsets = nn.Parameter(tensor(offsets))
        self.place: Tensor
        self.register_buffer("place", tensor(place))
        self.sign = sign

    def forward(self, y: Tensor) -> Tensor:
        pieces = (y.flatten(1) - self.place) @ self.slopes.T + self.offsets
        return self.sign * pieces.amax(1, keepdim=True)


class ConeNet(nn.Module):
    """y -> min(ceiling, min_j (heights_j + bound ||y - apexes_j||)); sign = -1: max(floor, max_j (heights_j - ...))."""

    def __init__(self, apexes: Array, heights: Array, *, bound: float, norm: str, limit: float, sign: float) -> None:
        super().__init__()
        self.apexes, self.heights = nn.Parameter(tensor(apexes)), nn.Parameter(tensor(heights))
        self.bound, self.order, self.limit, self.sign = (
            bound,
            {"l1": 1.0, "l2": 2.0, "linf": torch.inf}[norm],
            limit,
            sign,
        )

    def forward(self, y: Tensor) -> Tensor:
        mode = "donot_use_mm_for_euclid_dist"
        away = torch.cdist(y.flatten(1), self.apexes, p=self.order, compute_mode=mode)
        cones = self.sign * self.heights + self.bound * away
        return self.sign * cones.amin(1, keepdim=True).clamp(max=self.sign * self.limit)


class StepNet(nn.Module):
    """y -> min {heights_j : y <= apexes_j} cut at `limit`; sign = -1: max {heights_j : y >= apexes_j}. Monotone."""

    def __init__(self, apexes: Array, heights: Array, *, limit: float, sign: float) -> None:
        super().__init__()
        self.apexes, self.heights = nn.Parameter(tensor(apexes)), nn.Parameter(tensor(heights))
        self.limit, self.sign = limit, sign

    def forward(self, y: Tensor) -> Tensor:
        ahead = self.sign * (self.apexes[None] - y.flatten(1)[:, None])
        heights = torch.where((ahead >= 0).all(2), self.sign * self.heights, torch.inf)
        return self.sign * heights.amin(1, keepdim=True).clamp(max=self.sign * self.limit)


class SumOfCurves(nn.Module):
    """y -> offset + sum_i f_i(y_i), each f_i piecewise linear through (grids_i, values_i) and constant outside."""

    def __init__(self, offset: float, grids: Sequence[Array], values: Sequence[Array]) -> None:
        super().__init__()
        self.offset = nn.Parameter(tensor([offset]))
        self.grids = nn.ParameterList([nn.Parameter(tensor(g)) for g in grids])
        self.values = nn.ParameterList([nn.Parameter(tensor(v)) for v in values])

    def forward(self, y: Tensor) -> Tensor:
        total = self.offset.expand(len(y))
        for i, t in enumerate(y.flatten(1).unbind(1)):
            total = total + self.curve(i, t)
        return total[:, None]

    def curve(self, i: int, t: Tensor) -> Tensor:
        """f_i(t), (n,)."""
        grid, values = self.grids[i], self.values[i]
        if len(grid) == 1:
            return values.expand(len(t))
        right = torch.searchsorted(grid.detach(), t.detach().contiguous()).clamp(1, len(grid) - 1)
        share = ((t - grid[right - 1]) / (grid[right] - grid[right - 1])).clamp(0, 1)
        return values[right - 1] + share * (values[right] - values[right - 1])


class SumOfPatches(nn.Module):
    """y -> offset + sum_j weights_j g_{which_j}(y restricted to members_j), g through given places, as flat as may be.

    g(t) = min(max heights, min_k (heights_k + L ||t - places_k||_2)), with the L of the class, or else the least that
    passes through all places.

    Args:
        parts: for every g (places (m, q), heights (m,), L); infinite where the class has none.
        members, which, weights: the groups, the number of each one's g, and its weight.
    """

    def __init__(
        self,
        offset: float,
        parts: Sequence[tuple[Array, Array, float]],
        *,
        members: Sequence[np.ndarray],
        which: Sequence[int],
        weights: Array,
    ) -> None:
        super().__init__()
        self.offset = nn.Parameter(tensor([offset]))
        self.places = nn.ParameterList([nn.Parameter(tensor(p)) for p, _, _ in parts])
        self.heights = nn.ParameterList([nn.Parameter(tensor(h)) for _, h, _ in parts])
        self.bounds = [bound if np.isfinite(bound) else steepest(p, h) for p, h, bound in parts]
        self.members = [torch.as_tensor(np.asarray(m)) for m in members]
        self.which, self.weights = list(which), tensor(weights)

    def forward(self, y: Tensor) -> Tensor:
        rows = y.flatten(1)
        total = self.offset.expand(len(rows))
        for members, f, weight in zip(self.members, self.which, self.weights, strict=True):
            total = total + weight * self.patch(int(f), rows[:, members])
        return total[:, None]

    def patch(self, f: int, t: Tensor) -> Tensor:
        """g_f(t), (n, q) -> (n,)."""
        away = torch.cdist(t, self.places[f], compute_mode="donot_use_mm_for_euclid_dist")
        return (self.heights[f] + self.bounds[f] * away).amin(1).clamp(max=self.heights[f].max())


def steepest(places: Array, heights: Array) -> float:
    """The least Lipschitz constant in l2 of a function through places (m, q), which differ."""
    away = np.linalg.norm(places[:, None] - places[None], axis=2)
    rises = np.abs(heights[:, None] - heights[None])
    return float((rises / np.where(away > 0, away, np.inf)).max())


class Quadric(nn.Module):
    """y -> rest ||s||^2 + sum_k weights_k (s . axes_k)^2 with s = (y - centre) / radius."""

    def __init__(self, centre: Array, axes: Array, weights: Array, *, radius: float, rest: float) -> None:
        super().__init__()
        self.centre: Tensor
        self.register_buffer("centre", tensor(centre))
        self.axes, self.weights = nn.Parameter(tensor(axes)), nn.Parameter(tensor(weights))
        self.rest, self.radius = nn.Parameter(tensor([rest])), radius

    def forward(self, y: Tensor) -> Tensor:
        steps = (y.flatten(1) - self.centre) / self.radius
        along = (steps @ self.axes.T) ** 2 @ self.weights
        return (self.rest * (steps**2).sum(1) + along)[:, None]


class CosineMap(nn.Module):
    """y -> ||s|| |w . s / ||s|| |^(power - 1) (w . s / ||s||) with s = y - centre, times scale."""

    def __init__(self, centre: Array, direction: Array, *, scale: float, power: float) -> None:
        super().__init__()
        self.centre: Tensor
        self.register_buffer("centre", tensor(centre))
        self.direction = nn.Parameter(tensor(direction))
        self.scale, self.power = nn.Parameter(tensor([scale])), power

    def forward(self, y: Tensor) -> Tensor:
        steps = y.flatten(1) - self.centre
        lengths = steps.norm(dim=1)
        cosines = (steps @ self.direction) / torch.where(lengths > 0, lengths, 1.0)
        return (self.scale * lengths * cosines.sign() * cosines.abs() ** self.power)[:, None]


class RadialMap(nn.Module):
    """y -> profile(||y - prototype||_2), a function of NumPy arrays; without gradients."""

    def __init__(self, prototype: Array, profile: Callable[[Array], Array]) -> None:
        super().__init__()
        self.prototype: Tensor
        self.register_buffer("prototype", tensor(prototype))
        self.profile = profile

    def forward(self, y: Tensor) -> Tensor:
        away = np.linalg.norm(np.ascontiguousarray(y.detach().flatten(1).numpy() - self.prototype.numpy()), axis=1)
        return tensor(self.profile(away))[:, None]


class RadialRise(nn.Module):
    """y -> start + sign * rise(||y - centre||), rise(t) = L t^2 / 2 up to T / 2, then D - L (T - t)^2 / 2, then D."""

    def __init__(self, centre: Array, start: float, *, spread: float, bound: float, sign: float) -> None:
        super().__init__()
        self.centre, self.start = nn.Parameter(tensor(centre)), nn.Parameter(tensor([start]))
        self.spread, self.bound, self.sign = spread, bound, sign

    def forward(self, y: Tensor) -> Tensor:
        squares = ((y.flatten(1) - self.centre) ** 2).sum(1, keepdim=True)
        turn = (self.spread / self.bound) ** 0.5
        away = squares.clamp(min=turn**2 * 1e-12).sqrt()
        late = self.spread - self.bound / 2 * (2 * turn - away).clamp(min=0.0) ** 2
        return self.start + self.sign * torch.where(away <= turn, self.bound / 2 * squares, late)
