"""Objectives: what to maximize; polynomials in units' responses, and others."""

import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, final

import torch
from jaxtyping import Float
from torch import Tensor

from snellen.base import UsageError, brief
from snellen.base.plugins import Group
from snellen.models import Unit, response
from snellen.models.unit import channel_axis

Monomial = tuple[Unit, ...]


class Objective(ABC):
    """What to maximize; minimize by maximizing `-objective`.

    A subclass is a frozen dataclass that says which layers it reads and what it makes of them, for each picture alone:
    what is drawn beside a picture must not change it. Its `repr` names it, and seeds its random streams. Polynomials in
    units' responses are made with `Objective.of`, `Objective.direction` and arithmetic.
    """

    @property
    @abstractmethod
    def addresses(self) -> frozenset[str]:
        """The layers it reads; "/pre" behind one to read before its closing ReLU."""

    @abstractmethod
    def score(self, activations: Mapping[str, Tensor]) -> Tensor:
        """Its value for every picture: activations (n, c, h, w), (n, tokens, d) or (n, d) by address -> (n,)."""

    @property
    def layers(self) -> tuple[str, ...]:
        """The layers' paths."""
        return tuple(sorted(address.removesuffix("/pre") for address in self.addresses))

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units it reads, where it reads some only; else it reads its layers whole."""
        return ()

    @property
    def unit(self) -> Unit | None:
        """The unit it is the plain or negated response of, if it is one."""
        return None

    def magnitude(self, activations: Mapping[str, Tensor]) -> Tensor:
        """The largest mean absolute value of what it reads of one picture (1, ...): 0 where all of that is dead."""
        return torch.stack([activations[a].detach().abs().float().mean() for a in self.addresses]).max()

    def __neg__(self) -> "Objective":
        return Negated(self)

    def __str__(self) -> str:
        return repr(self)

    @staticmethod
    def of(what: "Objective | Unit | str | float") -> "Objective":
        """A unit's response (or its address), a constant, or an objective as it is."""
        return what if isinstance(what, Objective) else _polynomial(what)

    @staticmethod
    def direction(
        layer: str, vector: Sequence[float | int] | Float[Tensor, " c"], position: tuple[int, int] | None = None
    ) -> "Polynomial":
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


@final
@dataclass(frozen=True)
class Polynomial(Objective):
    """A polynomial in the responses of units.

    `+`, `-` and `*` close over polynomials, units and numbers and obey the laws of a ring, as in (a - b) + b == a, just
    as exactly as their coefficients do.

    Args:
        terms: (monomial, coefficient) pairs in canonical order; made with `Objective.of` and arithmetic.
    """

    terms: tuple[tuple[Monomial, float], ...]

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

    @property
    def units(self) -> tuple[Unit, ...]:
        """The units it reads, each once."""
        return tuple(dict.fromkeys(unit for monomial, _ in self.terms for unit in monomial))

    def magnitude(self, activations: Mapping[str, Tensor]) -> Tensor:
        """Of the channels it reads."""
        return torch.stack(
            [_channel(activations[u.address][0], u).detach().abs().float().mean() for u in self.units]
        ).max()

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

    def __add__(self, other: "Polynomial | Unit | str | float") -> "Polynomial":
        totals = dict(self.terms)
        for monomial, coefficient in _polynomial(other).terms:
            totals[monomial] = totals.get(monomial, 0.0) + coefficient
        return _canonical(totals)

    def __mul__(self, other: "Polynomial | Unit | str | float") -> "Polynomial":
        totals: dict[Monomial, float] = {}
        for mine, a in self.terms:
            for theirs, b in _polynomial(other).terms:
                monomial = tuple(sorted((*mine, *theirs), key=str))
                totals[monomial] = totals.get(monomial, 0.0) + a * b
        return _canonical(totals)

    def __neg__(self) -> "Polynomial":
        return self * -1.0

    def __sub__(self, other: "Polynomial | Unit | str | float") -> "Polynomial":
        return self + -_polynomial(other)

    def __rsub__(self, other: "Polynomial | Unit | str | float") -> "Polynomial":
        return -self + other

    __radd__ = __add__
    __rmul__ = __mul__

    def __str__(self) -> str:
        parts = [" ".join([_signed(c), *(str(u) for u in monomial)]) for monomial, c in self.terms]
        text = " ".join(parts) or "0"
        return text if () in dict(self.terms) else text.removeprefix("+1 ")


@dataclass(frozen=True)
class Negated(Objective):
    """Another objective with the other sign."""

    objective: Objective

    @property
    def addresses(self) -> frozenset[str]:
        """Those of the other."""
        return self.objective.addresses

    def score(self, activations: Mapping[str, Tensor]) -> Tensor:
        """Minus its value."""
        return -self.objective.score(activations)

    def magnitude(self, activations: Mapping[str, Tensor]) -> Tensor:
        """That of the other."""
        return self.objective.magnitude(activations)


@dataclass(frozen=True)
class DeepDream(Objective):
    """All that a layer says, the louder the more: the mean square of its activations (Mordvintsev et al. 2015).

    Args:
        layer: its path, with "/pre" to read before its closing ReLU.
    """

    layer: str

    @property
    def addresses(self) -> frozenset[str]:
        """The layer."""
        return frozenset({self.layer})

    def score(self, activations: Mapping[str, Tensor]) -> Tensor:
        """(n, ...) -> (n,)."""
        return _wide(activations[self.layer]).flatten(1).square().mean(1)


OBJECTIVES: Group[type[Objective]] = Group(
    "snellen.objectives",
    "objective",
    Objective,
    {"deepdream": "snellen.pictures.objectives:DeepDream"},
    classes=True,
)
_NAMED = re.compile(r"([A-Za-z][\w-]*)\((.+)\)")


def named(word: str) -> Objective | None:
    """The objective that a word such as "deepdream(layer4)" names; None where it has not this form.

    Raises:
        UsageError, DependencyError: no such objective, as `Group.load` says it.
    """
    found = _NAMED.fullmatch(word)
    if found is None:
        return None
    kind: Callable[[str], Objective] = OBJECTIVES.load(found[1])
    return kind(found[2])


def scores(objectives: Sequence[Objective], activations: Mapping[str, Tensor]) -> Tensor:
    """Objective i's value for picture i, in float32 at least: (u,). One gather where all are channels of one layer."""
    plain = [o.unit for o in objectives]
    if all(plain) and len({u.address for u in plain if u}) == 1:
        units = [u for u in plain if u is not None]
        means: Tensor = _ChannelMeans.apply(activations[units[0].address], [u.channel for u in units])
        signs = [o.terms[0][1] if isinstance(o, Polynomial) else 1.0 for o in objectives]
        return means * means.new_tensor(signs)
    rows = {address: _wide(a).unbind(0) for address, a in activations.items()}
    return torch.stack([o.score({a: rows[a][i][None] for a in o.addresses})[0] for i, o in enumerate(objectives)])


def magnitudes(objectives: Sequence[Objective], activations: Mapping[str, Tensor]) -> Tensor:
    """Objective i's magnitude for picture i: (u,)."""
    rows = {address: activation.detach().unbind(0) for address, activation in activations.items()}
    found = [o.magnitude({a: rows[a][i][None] for a in o.addresses}) for i, o in enumerate(objectives)]
    return torch.stack(found)


def _channel(activation: Tensor, unit: Unit) -> Tensor:
    return activation.select(channel_axis(tuple(activation.shape)), unit.channel)


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


def _polynomial(what: "Objective | Unit | str | float | int") -> Polynomial:
    if isinstance(what, Polynomial):
        return what
    if isinstance(what, Objective):
        raise UsageError(f"expected a polynomial in units' responses to calculate with, got {brief(str(what))}")
    if isinstance(what, str):
        what = Unit.parse(what)
    return _canonical({(what,): 1.0} if isinstance(what, Unit) else {(): float(what)})


def _canonical(totals: Mapping[Monomial, float]) -> Polynomial:
    kept = [(m, c) for m, c in totals.items() if c != 0.0]
    return Polynomial(tuple(sorted(kept, key=lambda item: tuple(str(u) for u in item[0]))))
