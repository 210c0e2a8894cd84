"""What any envelope, decoder and witness must pass; mutants of ours must fail it (test_mutations.py)."""

import numpy as np
import torch
from theory_members import Case, asked, known

from snellen.theory import (
    Additive,
    Affine,
    AffineAlong,
    Concave,
    Constant,
    Convex,
    Cosine,
    Lipschitz,
    Monotone,
    PatchAdditive,
    Quadratic,
    Radial,
    RadialUnknown,
    Smooth,
    SparseAffine,
    envelope,
)


def size(case: Case) -> float:
    """The size of the values, for tolerances; a function that is 0 has size 0.01."""
    return max(1e-2, *(abs(n.value) for n in case.evidence.nodes() if n.value is not None))


def escape(bounds_of, case: Case, seed: int, count: int = 6) -> float:
    """By how much, relative to the size of f, the true value leaves the envelope at its worst (<= 0: never)."""
    x = asked(case, seed, count)
    bounds = bounds_of(case.function_class, case.evidence, x)
    truth = case.f(x)
    return float(np.maximum(bounds.lo - truth, truth - bounds.up).max() / size(case))


def misprediction(decode, case: Case, seed: int, count: int = 6) -> float:
    """By how much the decoder errs beyond the error it states."""
    x = asked(case, seed, count)
    decoded = decode(case.function_class, case.evidence, x)
    return float((np.abs(decoded.prediction - case.f(x)) - decoded.error).max() / size(case))


def respond(module: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        return module(torch.tensor(x))[:, 0].numpy()


def unlike_evidence(module: torch.nn.Module, case: Case, seed: int) -> float:
    """By how much a witness misses the evidence: values at all places, and the range over the domain."""
    places, values = known(case)
    worst = np.abs(respond(module, places) - values).max()
    x = asked(case, seed, 64)
    everywhere = respond(module, x)
    low, high = case.evidence.value_min, case.evidence.value_max
    if isinstance(case.function_class, Cosine):
        slopes = [unlike_gradient(module, case, i) for i in case.evidence.slopes()]
    else:
        slopes = [unlike_slope(everywhere, x, case, i) for i in case.evidence.slopes()]
    return float(max([worst, low - everywhere.min(), everywhere.max() - high, *slopes]) / size(case))


def unlike_slope(everywhere: np.ndarray, x: np.ndarray, case: Case, i: int) -> float:
    """By how much responses at x leave the side of a known tangent on which they must lie (affine: leave it)."""
    evidence = case.evidence
    off = everywhere - evidence.values[i] - (x - evidence.points[i]) @ evidence.slopes()[i]
    kind = case.function_class
    return float((-off if isinstance(kind, Convex) else off if isinstance(kind, Concave) else np.abs(off)).max())


def unlike_gradient(module: torch.nn.Module, case: Case, i: int) -> float:
    """How far a step of the size of the domain would miss by the gradient at a point."""
    evidence = case.evidence
    off = gradient(module, evidence.points[[i]])[0] - evidence.slopes()[i]
    return float((np.abs(off) * evidence.domain.widths).max())


def missed_ends(pair, case: Case, x: np.ndarray) -> float:
    """By how much a pair of witnesses, asked again, misses lo(x) and up(x)."""
    bounds = envelope(case.function_class, case.evidence, x[None])
    answers = [respond(witness.module, x[None])[0] for witness in pair]
    return float(max(abs(answers[0] - bounds.lo[0]), abs(answers[1] - bounds.up[0])) / size(case))


def outside_class(module: torch.nn.Module, case: Case, seed: int) -> float:
    """By how much a witness breaks the definition of its class on random pairs of points (<= 0: never)."""
    x = asked(case, seed, 48)
    y = x[np.random.default_rng(seed).permutation(len(x))]
    fx, fy, middle = respond(module, x), respond(module, y), respond(module, (x + y) / 2)
    match case.function_class:
        case Lipschitz(bound=bound, norm=norm):
            order = {"l1": 1, "l2": 2, "linf": np.inf}[norm]
            return float((np.abs(fx - fy) - bound * np.linalg.norm(x - y, order, axis=1)).max())
        case Monotone():
            return float((respond(module, np.minimum(x, y)) - np.minimum(fx, fy)).max())
        case Convex():
            return float((middle - (fx + fy) / 2).max() / size(case))
        case Concave():
            return float(((fx + fy) / 2 - middle).max() / size(case))
        case Affine() | AffineAlong() | SparseAffine() | Constant():
            return float(np.abs((fx + fy) / 2 - middle).max() / size(case)) + off_subspace(module, case)
        case Smooth(bound=bound):
            gx, gy = gradient(module, x), gradient(module, y)
            return float((np.linalg.norm(gx - gy, axis=1) - bound * np.linalg.norm(x - y, axis=1)).max())
        case Additive():
            return mixed_difference(module, x, y) / size(case)
    return outside_form(module, case, seed)


def outside_form(module: torch.nn.Module, case: Case, seed: int) -> float:
    """`outside_class` for patches and for the classes that pictures know by their geometry."""
    x = asked(case, seed, 48)
    y, fx = x[np.random.default_rng(seed).permutation(len(x))], respond(module, x)
    match case.function_class:
        case PatchAdditive():
            return unlike_patches(module, case, seed)
        case Quadratic():
            return max(unlike_parallelogram(module, case, x, y), unlike_homogeneous(module, case, x, degree=2)) / size(
                case
            )
        case Cosine(power=power):
            odd = unlike_homogeneous(module, case, x, share=-0.5)
            return max(unlike_homogeneous(module, case, x), odd, unlike_power(module, case, x, power)) / size(case)
        case Radial(profile=profile):
            away = np.linalg.norm(x - case.evidence.x_max, axis=1)
            return float(np.abs(fx - profile(away)).max() / size(case))
        case RadialUnknown():
            return float(np.diff(fx[np.argsort(np.linalg.norm(x - case.evidence.x_max, axis=1))]).max() / size(case))
    return 0.0


def unlike_homogeneous(module, case: Case, x: np.ndarray, *, degree: int = 1, share: float = 0.5) -> float:
    """f(c + share s) against share^degree f(c + s)."""
    centre = case.evidence.domain.centre
    return float(np.abs(respond(module, centre + share * (x - centre)) - share**degree * respond(module, x)).max())


def unlike_parallelogram(module, case: Case, x: np.ndarray, y: np.ndarray) -> float:
    """f of half the sum and of half the difference of two steps against half the sum of f."""
    centre = case.evidence.domain.centre
    halves = respond(module, (x + y) / 2) + respond(module, centre + (x - y) / 2)
    return float(np.abs(halves - (respond(module, x) + respond(module, y)) / 2).max())


def unlike_power(module, case: Case, x: np.ndarray, power: float) -> float:
    """|f| ||s||^(B - 1) against |w . s|^B, w fitted to the B-th roots, which weigh as much as they tell."""
    steps = x - case.evidence.domain.centre
    lengths = np.linalg.norm(steps, axis=1)
    steps, lengths, values = steps[lengths > 0], lengths[lengths > 0], respond(module, x)[lengths > 0]
    roots = np.sign(values) * np.abs(values / lengths) ** (1 / power)
    weights = np.abs(roots) ** (power - 1)
    w = np.linalg.lstsq(weights[:, None] * steps / lengths[:, None], weights * roots, rcond=1e-9)[0]
    along = steps @ w / lengths
    return float(np.abs(values - lengths * np.sign(along) * np.abs(along) ** power).max())


def unlike_patches(module, case: Case, seed: int) -> float:
    """A group's change of f does not depend on the others, is bounded, and is that of the other groups at its weight.

    On a cube in the domain, whose parts may be put together at will.
    """
    kind, domain, rng = case.function_class, case.evidence.domain, np.random.default_rng(seed)
    inner = domain.widths / (2 if hasattr(domain, "lower") else 2 * np.sqrt(domain.dim))
    draws = domain.centre + rng.uniform(-1, 1, (4, 96, domain.dim)) * inner
    worst, changes = 0.0, []
    pair = draws[2:, :, kind.groups == 0]
    for j in range(kind.count):
        own = kind.groups == j
        one, other = draws[0].copy(), draws[1].copy()
        parts = (draws[2][:, own], draws[3][:, own]) if kind.weights is None else (pair[0], pair[1])
        steps = []
        for base in (one, other):
            ends = [np.where(own, 0.0, base) for _ in parts]
            for end, part in zip(ends, parts, strict=True):
                end[:, own] = part
            steps.append(respond(module, ends[0]) - respond(module, ends[1]))
        changes.append(steps[0] / (1.0 if kind.weights is None else kind.weights[j]))
        worst = max(worst, float(np.abs(steps[0] - steps[1]).max()))
        if kind.bound is not None:
            most = kind.bound[j] * np.linalg.norm(parts[0] - parts[1], axis=1)
            worst = max(worst, float((np.abs(changes[j]) - most).max()))
    shared = 0.0 if kind.weights is None else float(np.ptp(changes, axis=0).max())
    return max(worst, shared) / size(case)


def off_subspace(module: torch.nn.Module, case: Case) -> float:
    slope = module.slope.detach().numpy()
    if isinstance(case.function_class, AffineAlong):
        basis = case.function_class.directions
        return float(np.linalg.norm(basis.T @ np.linalg.lstsq(basis.T, slope, rcond=None)[0] - slope))
    if isinstance(case.function_class, SparseAffine):
        return float(np.sort(np.abs(slope))[::-1][case.function_class.nonzero :].sum())
    return float(np.abs(slope).sum()) if isinstance(case.function_class, Constant) else 0.0


def gradient(module: torch.nn.Module, x: np.ndarray) -> np.ndarray:
    points = torch.tensor(x, requires_grad=True)
    return torch.autograd.grad(module(points).sum(), points)[0].numpy()


def mixed_difference(module: torch.nn.Module, x: np.ndarray, y: np.ndarray) -> float:
    """f(x) + f(y) - f(u) - f(v), where u and v are x and y with their first coordinates exchanged: 0 if additive."""
    if x.shape[1] == 1:
        return 0.0
    u, v = x.copy(), y.copy()
    u[:, 0], v[:, 0] = y[:, 0], x[:, 0]
    return float(np.abs(respond(module, x) + respond(module, y) - respond(module, u) - respond(module, v)).max())
