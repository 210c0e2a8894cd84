"""Objectives: what to maximize, as polynomials in units' responses."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import UsageError
from snellen.models import Unit, response
from snellen.models.unit import channel_axis

Monomial = tuple[Unit, ...]


@dataclass(frozen=True)
class Objective:
    """A polynomial in the responses of units, always maximized; minimize by maximizing `-objective`.

    `+`, `-` and `*` close over objectives and numbers and obey the laws of a ring, as in (a - b) + b == a, just as
    exactly as their coefficients do.

    Args:
        terms: (monomial, coefficient) pairs in canonical order; make objectives with `Objective.of` and arithmetic.
    """

    terms: tuple[tuple[Monomial, float], ...]

    @staticmethod
    def of(what: "Objective | Unit | str | float") -> "Objective":
        """A unit's response (or its address), a constant, or an objective as it is."""
        if isinstance(what, Objective):
            return what
        if isinstance(what, str):
            what = Unit.parse(what)
        return _canonical({(what,): 1.0} if isinstance(what, Unit) else {(): float(what)})

    @staticmethod
    def direction(
        layer: str, vector: Sequence[float | int] | Float[Tensor, " c"], position: tuple[int, int] | None = None
    ) -> "Objective":
        """The projection of a layer on a direction: the sum over channels c of `vector[c]` times c's response.

        Args:
            layer: path of the layer, with "/pre" to read before its closing ReLU.
            vector: one finite number for each channel, not all zero; channels beyond its end count as zero.
            position: row and column to read at; by default the mean over all.

        Raises:
            UsageError: the vector points nowhere.
        """
        numbers = [float(v) for v in vector]
        if not any(numbers) or not all(map(math.isfinite, numbers)):
            raise UsageError(f"expected a direction of finite numbers, not all zero, got {len(numbers)} others")
        where, pre = layer.removesuffix("/pre"), layer.endswith("/pre")
        return _canonical({(Unit(where, c, position, pre),): v for c, v in enumerate(numbers)})

    @property
    def addresses(self) -> frozenset[str]:
        """The layers it reads."""
        return frozenset(unit.address for monomial, _ in self.terms for unit in monomial)

    @property
    def unit(self) -> Unit | None:
        """The unit it is the plain or negated response of, if it is one."""
        if len(self.terms) == 1 and len(self.terms[0][0]) == 1 and abs(self.terms[0][1]) == 1.0:
            return self.terms[0][0][0]
        return None

    def score(self, activations: Mapping[str, Tensor]) -> Tensor:
        """Its value for every picture: activations (n, ...) by address -> (n,)."""
        linear: dict[str, list[tuple[Unit, float]]] = {}
        parts: list[Tensor] = []
        for monomial, coefficient in self.terms:
            if len(monomial) == 1:
                linear.setdefault(monomial[0].address, []).append((monomial[0], coefficient))
            elif monomial:
                factors = torch.stack([response(activations[u.address], u) for u in monomial])
                parts.append(coefficient * factors.prod(0))
        parts += [_projected(activations[address], terms) for address, terms in linear.items()]
        if not parts:
            raise UsageError("expected an objective that reads at least one unit, got a constant")
        constant = dict(self.terms).get((), 0.0)
        total = sum(parts[1:], parts[0])
        return total + constant if constant else total

    def __add__(self, other: "Objective | Unit | float") -> "Objective":
        totals = dict(self.terms)
        for monomial, coefficient in Objective.of(other).terms:
            totals[monomial] = totals.get(monomial, 0.0) + coefficient
        return _canonical(totals)

    def __mul__(self, other: "Objective | Unit | float") -> "Objective":
        totals: dict[Monomial, float] = {}
        for mine, a in self.terms:
            for theirs, b in Objective.of(other).terms:
                monomial = tuple(sorted((*mine, *theirs), key=str))
                totals[monomial] = totals.get(monomial, 0.0) + a * b
        return _canonical(totals)

    def __neg__(self) -> "Objective":
        return self * -1.0

    def __sub__(self, other: "Objective | Unit | float") -> "Objective":
        return self + -Objective.of(other)

    def __rsub__(self, other: "Objective | Unit | float") -> "Objective":
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__

    def __str__(self) -> str:
        parts = [" ".join([_signed(c), *(str(u) for u in monomial)]) for monomial, c in self.terms]
        text = " ".join(parts) or "0"
        return text if () in dict(self.terms) else text.removeprefix("+1 ")


def scores(objectives: Sequence[Objective], activations: Mapping[str, Tensor]) -> Tensor:
    """Objective i's value for picture i, in float32 at least: (u,). One gather where all are channels of one layer."""
    plain = [o.unit for o in objectives]
    if all(plain) and len({u.address for u in plain if u}) == 1:
        units = [u for u in plain if u is not None]
        means: Tensor = _ChannelMeans.apply(activations[units[0].address], [u.channel for u in units])
        return means * means.new_tensor([o.terms[0][1] for o in objectives])
    rows = {address: _wide(a).unbind(0) for address, a in activations.items()}
    return torch.stack([o.score({a: rows[a][i][None] for a in o.addresses})[0] for i, o in enumerate(objectives)])


def _projected(activation: Tensor, terms: Sequence[tuple[Unit, float]]) -> Tensor:
    """The weighted sum of channels' responses, read at one place: the channels are summed first. (n, ...) -> (n,)."""
    (unit, coefficient), *others = terms
    if not others:
        return coefficient * response(activation, unit)
    axis = channel_axis(tuple(activation.shape[1:])) + 1
    channels = torch.tensor([u.channel for u, _ in terms], device=activation.device)
    weights = activation.new_tensor([c for _, c in terms])
    summed = torch.tensordot(activation.index_select(axis, channels), weights, dims=([axis], [0]))
    return response(summed.unsqueeze(axis), replace(unit, channel=0))


class _ChannelMeans(torch.autograd.Function):
    """Row i's mean over channel c_i, with a gradient laid out as the activation is.

    Indexing would give the same gradient in the default layout, which every later step then reads against the grain.
    """

    @staticmethod
    def forward(ctx: Any, activation: Tensor, channels: Sequence[int]) -> Tensor:
        axis = channel_axis(tuple(activation.shape[1:]))
        ctx.like = torch.empty_like(activation, device="meta"), activation.device
        ctx.where = tuple(enumerate(channels)), axis
        chosen = [activation[i].select(axis, c) for i, c in enumerate(channels)]
        return _wide(torch.stack(chosen)).reshape(len(chosen), -1).mean(1)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (like, device), (rows, axis) = ctx.like, ctx.where
        gradient = torch.zeros_like(like, device=device)
        shares = grads[0] * (like.shape[axis + 1] / like[0].numel())
        for i, c in rows:
            gradient[i].select(axis, c).copy_(shares[i])
        return gradient, None


def _wide(values: Tensor) -> Tensor:
    return values if values.dtype is torch.float64 else values.float()


def _signed(coefficient: float) -> str:
    return f"{coefficient:+}".removesuffix(".0")


def _canonical(totals: Mapping[Monomial, float]) -> Objective:
    kept = [(m, c) for m, c in totals.items() if c != 0.0]
    return Objective(tuple(sorted(kept, key=lambda item: tuple(str(u) for u in item[0]))))
