"""Viewers at the pictures of a layer's units: what they predict of responses to photographs, and how well."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from snellen.base import Seed
from snellen.checks.finding import number
from snellen.measures import (
    average_precision,
    chance_agreement,
    conformal_radius,
    forced_choice,
    interval,
    rank_vectors,
    resampled_correlations,
    ridge_readout,
    share_interval,
    unit_length,
)
from snellen.studies.viewers import View

LEVEL = 0.9
"""Of the responses that a certified interval holds."""
HALVES, SPLITS = 16, 20
"""Random halves of the reference that photographs are chosen from; splits of the others, to calibrate and to test."""


@dataclass(frozen=True, eq=False)
class Family:
    """Units of one layer and what viewers see of them.

    Args:
        layer: that they are of.
        units: u addresses.
        truth: (u, n) responses to photographs.
        views: each with n photographs and 2 u pictures: the largest of every unit, then the smallest.
        least: (u,) whether a unit has a smallest picture.
        classes: whether the units are the network's classes.
        known: (n,) whether a photograph is known to be of one of these.
    """

    layer: str
    units: tuple[str, ...]
    truth: Float[np.ndarray, "u n"]
    views: tuple[View, ...]
    least: np.ndarray
    classes: bool
    known: np.ndarray


@dataclass(frozen=True, eq=False)
class Parts:
    """Photographs that a viewer may learn from, and those that it is asked about.

    Args:
        reference: indices.
        held: indices.
    """

    reference: np.ndarray
    held: np.ndarray


@dataclass(frozen=True, eq=False)
class Sight:
    """One viewer's look at one family, in standard deviations of the reference photographs.

    Args:
        photographs: (n, d).
        looks: the same at unit length.
        directions: (u, d), what the pictures say that excites a unit.
        largest: (u, d), the largest pictures less their mean, at unit length.
    """

    photographs: Float[np.ndarray, "n d"]
    looks: Float[np.ndarray, "n d"]
    directions: Float[np.ndarray, "u d"]
    largest: Float[np.ndarray, "u d"]


class Look:
    """All viewers at one family."""

    def __init__(self, family: Family, parts: Parts, seed: Seed, resamples: int) -> None:
        self.family, self.parts, self.seed = family, parts, seed
        self.sights = {view.name: _sight(view, family, parts) for view in family.views}
        stream = np.random.default_rng(seed.fork("halves").value)
        size = len(parts.reference) // 2
        self.halves = [np.split(stream.permutation(parts.reference), [size]) for _ in range(HALVES)]
        self.held = rank_vectors(family.truth[:, parts.held])
        self.by_photographs = {name: self._from_photographs(sight) for name, sight in self.sights.items()}
        chosen = {name: float(np.mean(inner)) for name, (inner, _) in self.by_photographs.items()}
        self.shown = max(chosen, key=lambda name: chosen[name])
        sight = self.sights[self.shown]
        self.predicted = _scores(sight, sight.directions, parts.held)
        self.draws = resampled_correlations(
            self.predicted, family.truth[:, parts.held], resamples, seed.fork("bootstrap")
        )

    @property
    def interval(self) -> tuple[np.ndarray, np.ndarray]:
        """Of every unit's rank correlation."""
        return interval(self.draws)

    def scores(self) -> list[dict[str, dict[str, Any]]]:
        """For each unit, by viewer, what its pictures, photographs, others' pictures and a read-out predict."""
        told = {name: self._scores_of(name) for name in self.sights}
        return [{name: scores[i] for name, scores in told.items()} for i in range(len(self.family.units))]

    def _from_photographs(self, sight: Sight) -> tuple[np.ndarray, np.ndarray]:
        """Spearman of predictions from as many photographs, (halves, u): on the reference's rest, on those held out."""
        inner: list[np.ndarray] = []
        outer: list[np.ndarray] = []
        for half, rest in self.halves:
            directions = _photographed(sight, self.family, half)
            truth = rank_vectors(self.family.truth[:, rest])
            inner.append((rank_vectors(_scores(sight, directions, rest)) * truth).sum(1))
            outer.append((rank_vectors(_scores(sight, directions, self.parts.held)) * self.held).sum(1))
        return np.array(inner), np.array(outer)

    def _scores_of(self, name: str) -> list[dict[str, Any]]:
        family, held, sight = self.family, self.parts.held, self.sights[name]
        truth = family.truth[:, held]
        predicted = _scores(sight, sight.directions, held)
        cross = self.held @ rank_vectors(predicted).T
        reference = self.parts.reference
        ceiling = ridge_readout(sight.photographs[reference], family.truth[:, reference].T, sight.photographs[held]).T
        best = (rank_vectors(ceiling) * self.held).sum(1)
        photographs = self.by_photographs[name][1]
        low, high = np.quantile(photographs, (0.025, 0.975), axis=0)
        example = _scores(sight, _photographed(sight, family, self.halves[0][0]), held)
        return [
            {
                "pictures": _measured(cross[i, i], predicted[i], truth[i]),
                "photographs": _measured(photographs[:, i].mean(), example[i], truth[i])
                | {"lo": number(low[i], 4), "hi": number(high[i], 4)},
                "others": _null(cross[i], i),
                "ceiling": _measured(best[i], ceiling[i], truth[i]),
            }
            for i in range(len(family.units))
        ]

    def certified(self) -> list[dict[str, Any]]:
        """Split conformal intervals around an affine function of the viewer's score, and around a constant."""
        sight, reference, held = self.sights[self.shown], self.parts.reference, self.parts.held
        known = _scores(sight, sight.directions, reference)
        truth, answers = self.family.truth[:, held], self.family.truth[:, reference]
        slope = ((known - known.mean(1, keepdims=True)) * answers).sum(1) / np.maximum(
            known.var(1) * len(reference), 1e-30
        )
        guess = answers.mean(1)[:, None] + slope[:, None] * (self.predicted - known.mean(1, keepdims=True))
        missed, idle = (truth - guess).T, (truth - np.median(answers, 1, keepdims=True)).T
        stream = np.random.default_rng(self.seed.fork("conformal").value)
        radii, idle_radii, inside = [], [], []
        for _ in range(SPLITS):
            first, second = np.split(stream.permutation(len(held)), [len(held) // 2])
            radii.append(conformal_radius(missed[first], LEVEL))
            idle_radii.append(conformal_radius(idle[first], LEVEL))
            inside.append((np.abs(missed[second]) <= radii[-1]).mean(0))
        natural = np.maximum(np.ptp(answers, 1), 1e-30)
        return [
            {
                "radius": number(float(np.mean(radii, 0)[i]), 4),
                "constant": number(float(np.mean(idle_radii, 0)[i]), 4),
                "width": number(float(2 * np.mean(radii, 0)[i] / natural[i]), 4),
                "constant_width": number(float(2 * np.mean(idle_radii, 0)[i] / natural[i]), 4),
                "coverage": number(float(np.mean(inside, 0)[i]), 4),
            }
            for i in range(len(self.family.units))
        ]

    def sorting(self) -> dict[str, Any]:
        """How often the viewer puts a held-out photograph of the audited classes into the one that the network does."""
        sight, held = self.sights[self.shown], self.parts.held
        if self.family.known.any():
            held = held[self.family.known[held]]
        network = self.family.truth[:, held].argmax(0)
        looks = sight.looks[held]
        sorted_ = (looks @ sight.largest.T).argmax(1)
        right = sorted_ == network
        by_photographs = []
        for half, _ in self.halves:
            tops = sight.photographs[half[self.family.truth[:, half].argmax(1)]]
            by_photographs.append(float(((looks @ unit_length(tops - tops.mean(0)).T).argmax(1) == network).mean()))
        low, high = share_interval(int(right.sum()), len(right))
        return {
            "viewer": self.shown,
            "classes": len(self.family.units),
            "photographs": len(held),
            "pictures": number(float(right.mean()), 4),
            "lo": number(low, 4),
            "hi": number(high, 4),
            "by_photographs": number(float(np.mean(by_photographs)), 4),
            "chance": number(chance_agreement(network, sorted_), 4),
        }


def parted(count: int, seed: Seed) -> Parts:
    """Photographs at random into two halves."""
    order = np.random.default_rng(seed.fork("held out").value).permutation(count)
    return Parts(np.sort(order[count // 2 :]), np.sort(order[: count // 2]))


def _sight(view: View, family: Family, parts: Parts) -> Sight:
    known = view.natural[parts.reference]
    spread = known.std(0) + 1e-6 * (np.abs(known).max() + 1e-30)
    photographs, pictures = (view.natural - known.mean(0)) / spread, (view.pictures - known.mean(0)) / spread
    up, down = np.split(pictures, 2)
    has = family.least
    middle = (up.mean(0) + down[has].mean(0)) / 2 if has.any() else up.mean(0) if len(up) > 1 else np.zeros(up.shape[1])
    directions = unit_length(up - middle)
    directions[has] -= unit_length(down[has] - middle)
    return Sight(photographs, unit_length(photographs), directions, unit_length(up - up.mean(0)))


def _scores(sight: Sight, directions: Float[np.ndarray, "u d"], indices: np.ndarray) -> Float[np.ndarray, "u m"]:
    return np.asarray(directions @ sight.looks[indices].T)


def _photographed(sight: Sight, family: Family, indices: np.ndarray) -> Float[np.ndarray, "u d"]:
    """Directions from as many photographs: the strongest and, where there is a smallest picture, the weakest."""
    truth = family.truth[:, indices]
    directions, weakest = sight.looks[indices[truth.argmax(1)]], sight.looks[indices[truth.argmin(1)]]
    return np.asarray(directions - np.where(family.least[:, None], weakest, 0.0))


def _measured(spearman: float, predicted: np.ndarray, truth: np.ndarray) -> dict[str, Any]:
    choice, top = forced_choice(predicted, truth)
    return {
        "spearman": number(float(spearman), 4),
        "auprc": number(average_precision(predicted, top), 4),
        "choice": number(choice, 4),
    }


def _null(row: np.ndarray, i: int) -> dict[str, Any] | None:
    """What other units' pictures predict; and how many of them do as well, as a p-value."""
    others = np.delete(row, i)
    if not len(others):
        return None
    return {
        "spearman": number(float(others.mean()), 4),
        "p": number((1 + (others >= row[i]).sum()) / (1 + len(others)), 4),
    }
