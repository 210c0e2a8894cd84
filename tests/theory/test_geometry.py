"""Patches, quadratics, cosine units and radial functions against definitions written out: programs and searches."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog
from theory_attacks import respond, size
from theory_members import known, random_case

from snellen.base import UsageError
from snellen.theory import (
    Additive,
    Ball,
    Box,
    Cosine,
    Evidence,
    InconsistentEvidenceError,
    Lipschitz,
    PatchAdditive,
    Quadratic,
    Radial,
    RadialUnknown,
    envelope,
    witnesses,
)
from snellen.theory.questions import answers

SEEDS = st.integers(0, 2**32)
DISC = Ball(np.zeros(2), 1.0)
SOLID = Ball(np.zeros(3), 1.0)
FEW = settings(max_examples=20, deadline=None)


def extremes(objective, rows, limits, fixed):
    """(min, max) of objective . z over rows z <= limits, fixed[0] z = fixed[1]."""
    out = []
    for sign in (1.0, -1.0):
        found = linprog(sign * objective, rows, np.array(limits) + 1e-6, *fixed, bounds=(None, None), method="highs")
        out.append(sign * found.fun if found.status == 0 else -sign * np.inf)
    return out


def within(case, x, range_of_f, tolerance):
    """The envelope holds the range, and is no wider than by its stated gap."""
    got, (lo, up) = envelope(case.function_class, case.evidence, x[None]), range_of_f
    assert got.lo[0] - tolerance <= lo <= got.lo[0] + got.gap[0] + tolerance
    assert got.up[0] + tolerance >= up >= got.up[0] - got.gap[0] - tolerance
    return got


def parts_of(kind, places):
    """Every group's parts that occur; if the groups share a function, every group's are the parts of all."""
    found = [[tuple(p[kind.groups == j]) for p in places] for j in range(kind.count)]
    pooled = sorted({part for group in found for part in group})
    return [pooled] * kind.count if kind.weights is not None else [sorted(set(group)) for group in found]


def patch_program(case, x):
    """A variable for each part of each group; a <= f <= b on every image put together from parts; slopes by pairs."""
    kind, (places, values) = case.function_class, known(case)
    parts = parts_of(kind, [*places, x])
    shared, weights = kind.weights is not None, kind.weights if kind.weights is not None else np.ones(kind.count)
    starts = [0] * kind.count if shared else np.cumsum([0, *(len(p) for p in parts)])[:-1]
    total = len(parts[0]) if shared else sum(len(p) for p in parts)

    def row(choice):
        out = np.zeros(total)
        for j, part in enumerate(choice):
            out[starts[j] + parts[j].index(part)] += weights[j]
        return out

    def image(place):
        return row([tuple(place[kind.groups == j]) for j in range(kind.count)])

    grid = np.array([row(choice) for choice in itertools.product(*parts)])
    rows, limits = [*grid, *-grid], [values[1] + 1e-9] * len(grid) + [1e-9 - values[0]] * len(grid)
    for j in range(kind.count) if kind.bound is not None else ():
        for one, other in itertools.permutations(range(len(parts[j])), 2):
            rows.append(np.eye(total)[starts[j] + one] - np.eye(total)[starts[j] + other])
            limits.append(kind.bound[j] * np.linalg.norm(np.subtract(parts[j][one], parts[j][other])) + 1e-10)
    fixed = np.array([image(p) for p in places]), values
    return extremes(image(x), np.array(rows), np.array(limits), fixed)


@pytest.mark.parametrize("name", ["patch-additive", "patch-lipschitz", "patch-shared"])
@FEW
@given(seed=SEEDS, dim=st.integers(1, 3), exemplars=st.integers(0, 2))
def test_patches(name, seed, dim, exemplars):
    """Any image put together from parts is in the box; on a ball it may not be, and the envelope is an outer bound."""
    case = random_case(name, seed, dim=dim, exemplars=exemplars)
    x = case.evidence.domain.sample(1, np.random.default_rng(seed))[0]
    if isinstance(case.evidence.domain, Ball):
        return
    got = within(case, x, patch_program(case, x), 1e-5 * max(size(case), 1.0))
    assert got.gap[0] == 0


def squares(step):
    """Coefficients of s^T Q s in the entries of Q on and above the diagonal."""
    return np.array([(1.0 + (i != j)) * step[i] * step[j] for i, j in pairs(len(step))])


def pairs(dim):
    return [(i, j) for i in range(dim) for j in range(i, dim)]


def steps_of(case, places):
    ball = case.evidence.domain
    return (np.reshape(places, (-1, ball.dim)) - ball.centre) / ball.radius


def limited(case):
    """(basis, limit, sign): sign f <= sign limit on the sphere of the space, for the ball and for each picture."""
    kind, evidence, dim = case.function_class, case.evidence, case.evidence.domain.dim
    spaces = [(np.eye(dim), evidence.value_max, 1.0), (np.eye(dim), evidence.value_min, -1.0)]
    found = [s for s in steps_of(case, [evidence.x_max, evidence.x_min]) if np.linalg.norm(s) > 1e-9]
    for step, value, end in zip(steps_of(case, kind.pictures), kind.values, kind.ends, strict=True):
        left = np.linalg.svd(np.reshape(found, (-1, dim)))[2][len(found) :] if found else np.eye(dim)
        spaces.append((left, value, 1.0 if end == "max" else -1.0))
        found.append(step)
    return spaces


def beyond(matrix, spaces):
    """The directions, and by how much, in which f is beyond a limit."""
    for basis, value, sign in spaces:
        heights, axes = np.linalg.eigh(sign * basis @ matrix @ basis.T)
        for height, axis in zip(heights, axes.T, strict=True):
            if height > sign * value + 1e-8:
                yield height - sign * value, sign * squares(basis.T @ axis), sign * value


def quadratic_program(case, x):
    """Q as a program: a <= f <= b on the ball and the order of the pictures, cut by cut at the worst directions."""
    spaces, kind, dim = limited(case), case.function_class, case.evidence.domain.dim
    places, values = known(case)
    everywhere = np.concatenate([steps_of(case, places), steps_of(case, kind.pictures)])
    fixed = np.array([squares(s) for s in everywhere]), np.concatenate([values, kind.values])
    rows = [s * squares(basis.T @ t) for basis, _, s in spaces for t in np.eye(len(basis))]
    limits, ends = [s * value for basis, value, s in spaces for _ in np.eye(len(basis))], []
    objective = squares(steps_of(case, x)[0])
    for sign in (1.0, -1.0):
        for _ in range(200):
            z = linprog(sign * objective, np.array(rows), np.array(limits) + 1e-9, *fixed, bounds=(-1e3, 1e3))
            assert z.status == 0
            matrix = np.zeros((dim, dim))
            for (i, j), v in zip(pairs(dim), z.x, strict=True):
                matrix[i, j] = matrix[j, i] = v
            cuts = list(beyond(matrix, spaces))
            rows, limits = rows + [c[1] for c in cuts], limits + [c[2] for c in cuts]
            if max((c[0] for c in cuts), default=0.0) <= 1e-7:
                break
        ends.append(sign * z.fun)
    return ends


@FEW
@given(seed=SEEDS, dim=st.integers(1, 3), exemplars=st.integers(0, 3))
def test_quadratic(seed, dim, exemplars):
    """The program, overstepped by 1e-7, turns axes by the root of that; members attain the ends (test_witness)."""
    case = random_case("quadratic", seed, dim=dim, exemplars=exemplars)
    x = case.evidence.domain.sample(1, np.random.default_rng(seed))[0]
    got = within(case, x, quadratic_program(case, x), 0.02 * size(case))
    assert got.gap[0] == 0 or exemplars > 1


@pytest.mark.parametrize("seed", range(6))
def test_one_exemplar_is_worth_what_its_angle_tells(seed):
    """d = 3, two free axes: the best of 20,000 members through the exemplar come near both ends, none is beyond."""
    rng = np.random.default_rng(seed)
    evidence = Evidence(SOLID, np.zeros(3), np.eye(3)[0], 0.0, 1.0)
    point, x = 0.9 * np.append(0, rng.normal(size=2)), np.append(0.3, rng.normal(size=2))
    point, x = point / np.linalg.norm(point), x / np.linalg.norm(x)
    height = rng.uniform(0.05, 0.95)
    first, second, turns = rng.uniform(size=20000), rng.uniform(size=20000), rng.uniform(0, np.pi, 20000)
    first[::3], second[1::3] = 1.0, 0.0
    share = (np.stack([np.cos(turns), np.sin(turns)], 1) @ point[1:]) ** 2
    with np.errstate(divide="ignore", invalid="ignore"):
        free = np.where(np.arange(20000) % 2, (height - first * share) / (1 - share), second)
        other = np.where(np.arange(20000) % 2, first, (height - second * (1 - share)) / share)
    fits = (free >= 0) & (free <= 1) & (other >= 0) & (other <= 1)
    along = (np.stack([np.cos(turns), np.sin(turns)], 1) @ x[1:]) ** 2
    reached = (x[0] ** 2 + other * along + free * ((x[1:] ** 2).sum() - along))[fits]
    got = envelope(Quadratic(), evidence.with_points(point[None], [height]), x[None])
    assert got.gap[0] == 0
    assert -1e-9 <= reached.min() - got.lo[0] <= 0.02
    assert -1e-9 <= got.up[0] - reached.max() <= 0.02


def test_as_many_pictures_as_pixels_tell_everything():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(6, 6))
    heights, axes = np.linalg.eigh(matrix + matrix.T)
    ball = Ball(rng.normal(size=6), 2.0)
    evidence = Evidence(
        ball, ball.centre + 2 * axes[:, 0], ball.centre - 2 * axes[:, -1], 4 * heights[0], 4 * heights[-1]
    )
    x = ball.sample(30, rng)
    truth = (((x - ball.centre) @ (matrix + matrix.T)) * (x - ball.centre)).sum(1)
    widths = []
    for count in range(5):
        kind = Quadratic(ball.centre + 2 * axes[:, [4, 3, 2, 1][:count]].T, 4 * heights[[4, 3, 2, 1][:count]])
        bounds = envelope(kind, evidence, x)
        assert (bounds.lo - 1e-9 <= truth).all()
        assert (truth <= bounds.up + 1e-9).all()
        widths.append(bounds.width.max())
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] <= 1e-9 < widths[-2]


@FEW
@given(seed=SEEDS, dim=st.integers(1, 3), exemplars=st.integers(0, 4))
def test_radial_unknown(seed, dim, exemplars):
    """A variable for every place, and that f falls from each to every farther one."""
    case = random_case("radial-unknown", seed, dim=dim, exemplars=exemplars)
    x, *extra = case.evidence.domain.sample(5, np.random.default_rng(seed))
    places, values = known(case)
    everywhere = np.concatenate([places, x[None], np.array(extra)])
    away = np.linalg.norm(everywhere - case.evidence.x_max, axis=1)
    each = np.eye(len(everywhere))
    pairs = [(i, j) for i, j in itertools.permutations(range(len(each)), 2) if away[i] > away[j]]
    rows = np.array([each[i] - each[j] for i, j in pairs])
    found = extremes(each[len(places)], rows, np.full(len(rows), 1e-9), (each[: len(places)], values))
    assert within(case, x, found, 1e-5 * max(size(case), 1.0)).gap[0] == 0


@FEW
@given(seed=SEEDS, exemplars=st.integers(0, 2))
def test_radial(seed, exemplars):
    """Of prototypes on a grid only those near x_max have their largest value there."""
    case = random_case("radial", seed, dim=2, exemplars=exemplars)
    x = case.evidence.domain.sample(3, np.random.default_rng(seed))
    got = envelope(case.function_class, case.evidence, x)
    np.testing.assert_allclose(got.lo, case.f(x), atol=1e-9 * size(case))
    np.testing.assert_array_equal(got.lo, got.up)
    profile = case.function_class.profile
    others = case.evidence.domain.sample(50, np.random.default_rng(seed))
    away = np.linalg.norm(others - case.evidence.x_max, axis=1)
    assert (profile(away[away > 1e-6]) < profile(np.zeros(1))).all()


@FEW
@given(seed=SEEDS)
def test_cosine(seed):
    """Of all directions in the plane at their best scale, those with the largest value at x_max are one."""
    case = random_case("cosine", seed, dim=2, exemplars=0)
    ball, power = case.evidence.domain, case.function_class.power
    x = ball.sample(1, np.random.default_rng(seed))[0]
    angles = np.linspace(0, 2 * np.pi, 20001)
    turned = np.stack([np.cos(angles), np.sin(angles)], 1)

    def response(place, w):
        step = (place - ball.centre) / ball.radius
        along = w @ step / np.linalg.norm(step)
        return np.linalg.norm(step) * np.sign(along) * np.abs(along) ** power

    at_picture = response(case.evidence.x_max, turned)
    best = at_picture >= 1 - 1e-5  # for all w the largest over the ball is 1, at w
    values = case.evidence.value_max * response(x, turned[best])
    got = envelope(case.function_class, case.evidence, x[None])
    assert np.abs(values - got.lo[0]).max() <= 0.03 * size(case) * power
    assert got.lo[0] == got.up[0] == pytest.approx(case.f(x[None])[0], abs=1e-9 * size(case))


@pytest.mark.parametrize("power", [1.0, 1.5, 3.0])
def test_a_cosine_unit_without_pictures(power):
    """As many values as pixels identify it; one value tells of its line alone, where members go as far as you like."""
    rng = np.random.default_rng(0)
    w, points = rng.normal(size=2), DISC.sample(2, rng)

    def f(x, w):
        lengths = np.linalg.norm(x, axis=1)
        along = x @ w / lengths
        return lengths * np.sign(along) * np.abs(along) ** power

    x = np.array([[0.3, 0.4], *(-0.5 * points[:1])])
    both = envelope(Cosine(power), Evidence(DISC, points=points, values=f(points, w)), x)
    np.testing.assert_allclose([both.lo, both.up], [f(x, w)] * 2, atol=1e-6)
    one = envelope(Cosine(power), Evidence(DISC, points=points[:1], values=f(points[:1], w)), x)
    np.testing.assert_allclose([one.lo[1], one.up[1]], [f(x, w)[1]] * 2, atol=1e-6)
    assert (one.lo[0], one.up[0]) == (-np.inf, np.inf)
    across = np.array([-points[0, 1], points[0, 0]]) / (points[0] @ points[0])
    for far in (-1e3, 1e3):
        assert f(points[:1], w + far * across) == pytest.approx(f(points[:1], w))
        assert abs(f(x[:1], w + far * across)[0]) > 50
    bare = envelope(Cosine(power), Evidence(DISC, x_max=np.array([1.0, 0])), np.array([[0.5, 0.1], [-0.5, 0.1]]))
    assert bare.lo.tolist() == [0.0, -np.inf]
    assert bare.up.tolist() == [np.inf, 0.0]


def test_values_worked_out_by_hand():
    seen = Evidence(SOLID, np.zeros(3), np.eye(3)[0], 0.0, 1.0)
    x = np.array([[0.6, 0.0, 0.8], [0.0, 0.0, 0.5]])
    bounds = envelope(Quadratic(), seen, x)
    np.testing.assert_allclose((bounds.lo, bounds.up), [[0.36, 0.0], [1.0, 0.25]])
    half = seen.with_points(np.eye(3)[1:2], [0.5])  # phi = 45 degrees: 45 degrees away anything from 0 to 1
    turned = np.array([[0.0, np.cos(t), np.sin(t)] for t in np.radians([0.0, 30.0, 45.0, 90.0])])
    bounds = envelope(Quadratic(), half, turned)
    np.testing.assert_allclose(bounds.lo, [0.5, np.sin(np.radians(15)) ** 2, 0, 0], atol=1e-9)
    np.testing.assert_allclose(bounds.up, [0.5, np.sin(np.radians(75)) ** 2, 1, 1], atol=1e-9)
    cube = Evidence(Box.unit(4), np.zeros(4), np.ones(4), 0.0, 1.0)
    tiles = PatchAdditive(np.array([0, 0, 1, 1]), 0.5)
    bounds = envelope(tiles, cube, np.array([[0.3, 0.4, 0.0, 0.0]]))
    assert bounds.up[0] == pytest.approx(0.25)
    assert bounds.lo[0] == pytest.approx(max(0.0, 1 - 0.5 * (np.hypot(0.7, 0.6) + np.sqrt(2))))
    ranked = Evidence(DISC, np.array([-1.0, 0]), np.array([1.0, 0]), 0.0, 1.0).with_points([[0.0, 0.0]], [0.3])
    bounds = envelope(RadialUnknown(), ranked, np.array([[0.5, 0.0], [-0.5, 0.0], [1.0, 0.0], [-1.0, 0.0]]))
    assert bounds.lo.tolist() == [0.3, 0.0, 1.0, 0.0]
    assert bounds.up.tolist() == [1.0, 0.3, 1.0, 0.0]


def test_groups_of_one_pixel_are_additive():
    case = random_case("additive", 5, dim=3, exemplars=2)
    while isinstance(case.evidence.domain, Ball):
        case = random_case("additive", 6, dim=3, exemplars=2)
    x = np.concatenate([case.evidence.domain.sample(5, np.random.default_rng(0)), case.evidence.points])
    one, other = (envelope(kind, case.evidence, x) for kind in (Additive(), PatchAdditive(np.array([2, 0, 1]))))
    np.testing.assert_allclose((one.lo, one.up), (other.lo, other.up), atol=1e-9)


def test_one_group_with_a_bound_is_lipschitz():
    for seed in range(5):
        case = random_case("lipschitz-l2", seed, dim=2, exemplars=3)
        if isinstance(case.evidence.domain, Ball):
            continue
        x = case.evidence.domain.sample(5, np.random.default_rng(0))
        whole = envelope(case.function_class, case.evidence, x)
        group = envelope(PatchAdditive(np.zeros(2, dtype=int), case.function_class.bound), case.evidence, x)
        np.testing.assert_allclose((whole.lo, whole.up), (group.lo, group.up), atol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 4])
def test_patches_are_useless_where_the_lipschitz_function_they_add_up_to_is(size):
    """J patches with L each are sqrt(J) L-Lipschitz, and at opposite corners as little is known of them."""
    dim, count = 16, 16 // size**2
    cube = Evidence(Box.unit(dim), np.zeros(dim), np.ones(dim), 0.0, 1.0)
    x = (np.arange(dim).reshape(4, 4) % 2).astype(float).reshape(1, -1)
    for bound in (0.5, 1.0, 1.4, 2.0):
        each = bound / np.sqrt(count * dim)
        tiles = PatchAdditive.tiles((1, 4, 4), size, each)
        assert tiles.count == count
        if bound < 1:
            with pytest.raises(InconsistentEvidenceError, match="the groups' bounds allow at most"):
                envelope(tiles, cube, x)
            continue
        if size > 1:
            whole = envelope(Lipschitz(each * np.sqrt(count)), cube, x)
            assert envelope(tiles, cube, x).width[0] == pytest.approx(whole.width[0])


TRIPLE = Evidence(SOLID, np.eye(3)[1], np.eye(3)[0], -1.0, 2.0)
AXES = np.eye(3)


def given_on(domain, low, high, **more):
    fields = {"value_min": -1.0, "value_max": 1.0, **more}
    return Evidence(domain, None if low is None else np.array(low), None if high is None else np.array(high), **fields)


OPPOSITE = given_on(DISC, [-1.0, 0.0], [1.0, 0.0])

CONFLICTS = [
    (Quadratic(), Evidence(SOLID, AXES[1], (AXES[0] + AXES[1]) / np.sqrt(2), -1.0, 1.0), {"x_min", "x_max"}),
    (Quadratic(), Evidence(SOLID, AXES[1], 0.5 * AXES[0], -1.0, 1.0), {"x_max"}),
    (Quadratic(), Evidence(SOLID, AXES[1], AXES[0], 0.5, 1.0), {"x_min"}),
    (Quadratic(AXES[2:] + 0.1, np.ones(1)), TRIPLE, {"picture 0"}),
    (Quadratic(0.5 * AXES[2:], np.ones(1)), TRIPLE, {"picture 0"}),
    (Quadratic(np.array([[0.6, 0, 0.8]]), np.ones(1)), TRIPLE, {"x_max", "picture 0"}),
    (Quadratic(AXES[2:], np.full(1, 3.0)), TRIPLE, {"x_max", "picture 0"}),
    (Quadratic(AXES[2:], np.full(1, -3.0)), TRIPLE, {"x_min", "picture 0"}),
    (Quadratic(), TRIPLE.with_points(AXES[:1] * 0.5, [1.0]), {"point 0", "x_min", "x_max"}),
    (
        Quadratic(),
        Evidence(SOLID, 0 * AXES[0], AXES[0], 0.0, 1.0).with_points([AXES[1], [0, 0.8, 0.6]], [0.0, 0.9]),
        {"point 0", "point 1", "x_min", "x_max"},
    ),
    (Cosine(2.0), given_on(DISC, [-1.0, 0], [0.0, 1.0]), {"x_min", "x_max"}),
    (Cosine(2.0), given_on(DISC, None, [0.5, 0.0], value_min=None), {"x_max"}),
    (Cosine(2.0), given_on(DISC, [-1.0, 0], [1.0, 0.0], value_min=-0.5), {"x_min", "x_max"}),
    (
        Cosine(2.0),
        given_on(DISC, [-1.0, 0], [1.0, 0.0]).with_points([[0.5, 0.0]], [0.2]),
        {"point 0", "x_min", "x_max"},
    ),
    (Cosine(2.0), Evidence(DISC, points=np.zeros((1, 2)), values=np.ones(1)), {"point 0"}),
    (Cosine(1.0), Evidence(DISC).with_points([[0.5, 0.0], [1.0, 0.0]], [1.0, 1.0]), {"point 0", "point 1"}),
    (Radial(lambda t: -t), Evidence(DISC, np.array([0.0, 1.0]), np.zeros(2), -0.5, 0.0), {"x_min", "x_max"}),
    (RadialUnknown(), given_on(DISC, [0.0, 1.0], [0.5, 0.0]), {"x_min", "x_max"}),
    (
        RadialUnknown(),
        given_on(DISC, [-1.0, 0], [1.0, 0.0]).with_points([[0.5, 0.0], [0.0, 0.0]], [0.1, 0.2]),
        {"point 0", "point 1", "x_max"},
    ),
    (
        PatchAdditive(np.array([0, 1]), 1.0),
        Evidence(Box.unit(2), np.zeros(2), np.ones(2), 0.0, 1.0).with_points([[0.9, 0.0], [0.8, 0.0]], [0.9, 0.2]),
        {"point 0", "point 1"},
    ),
    (
        PatchAdditive(np.array([0, 1]), 1.0),
        Evidence(DISC, np.array([-0.5, -0.5]), np.array([0.5, 0.5]), 0.0, 3.0),
        {"x_min", "x_max"},
    ),
]


@pytest.mark.parametrize(("kind", "evidence", "pieces"), CONFLICTS)
def test_contradictions_name_the_pieces(kind, evidence, pieces):
    with pytest.raises(InconsistentEvidenceError) as caught:
        envelope(kind, evidence, evidence.domain.centre[None])
    assert set(caught.value.pieces) == pieces, caught.value
    assert "\n" not in str(caught.value)


CORNERS = Evidence(Box.unit(2), np.zeros(2), np.ones(2), 0.0, 1.0)
SLOPED = {"points": np.full((1, 2), 0.5), "values": np.zeros(1), "gradients": np.zeros((1, 2))}
REFUSED = [
    (lambda: envelope(Quadratic(), CORNERS, np.zeros(2)), "give a Ball"),
    (lambda: envelope(Cosine(2.0), CORNERS, np.zeros(2)), "give a Ball"),
    (lambda: envelope(Quadratic(), Evidence(DISC, x_max=np.array([1.0, 0])), np.zeros(2)), "value of x_max"),
    (lambda: envelope(Quadratic(), Evidence(DISC, **SLOPED), np.zeros(2)), "no gradients"),
    (lambda: envelope(Cosine(2.0), Evidence(DISC, **SLOPED), np.zeros(2)), "x_max and its value"),
    (lambda: envelope(RadialUnknown(), Evidence(DISC), np.zeros(2)), "x_max for a radial class"),
    (lambda: envelope(Radial(lambda t: t), CORNERS, np.zeros(2)), "decreasing"),
    (lambda: envelope(Radial(lambda t: 0 * t), CORNERS, np.zeros(2)), "strictly decreasing"),
    (lambda: envelope(Radial(lambda t: np.zeros(7)), CORNERS, np.zeros(2)), "values of the profile, got 7"),
    (lambda: envelope(PatchAdditive(np.zeros(3, dtype=int)), CORNERS, np.zeros(2)), "each of 2 entries, got 3"),
    (lambda: envelope(PatchAdditive(np.array([0, 1]), None, np.ones(2)), Evidence(DISC), np.zeros(2)), "a box"),
    (lambda: envelope(PatchAdditive(np.array([0, 1])), Evidence(Box.unit(2)), np.zeros(2)), "x_min and x_max"),
    (lambda: PatchAdditive(np.array([0, 2])), "every one of them used"),
    (lambda: PatchAdditive(np.array([0, 1]), -1.0), "bound >= 0"),
    (lambda: PatchAdditive(np.array([0, 1]), np.ones(3)), "each of 2 groups, got 3"),
    (lambda: PatchAdditive(np.array([0, 1]), None, np.array([1.0, 0.0])), "other than 0"),
    (lambda: PatchAdditive(np.array([0, 1, 1]), None, np.ones(2)), "of one size"),
    (lambda: PatchAdditive(np.array([0, 1]), np.array([1.0, 2.0]), np.ones(2)), "one bound"),
    (lambda: PatchAdditive.tiles((1, 4, 4), 0), "at least 1"),
    (lambda: Quadratic(np.eye(2), np.ones(3)), "a value for each picture"),
    (lambda: Quadratic(np.eye(2), np.ones(2), ("max",)), "for each of 2 pictures"),
    (lambda: Quadratic(np.full((1, 2), np.nan), np.ones(1)), "finite"),
    (lambda: Cosine(0.5), "power >= 1"),
]


@pytest.mark.parametrize(("make", "message"), REFUSED, ids=[m for _, m in REFUSED])
def test_what_is_refused(make, message):
    with pytest.raises(UsageError, match=message) as caught:
        make()
    assert "expected" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_walls_of_groups_that_share_a_function():
    wide = Evidence(Box(np.zeros(2), np.array([1.0, 2.0])), np.zeros(2), np.array([1.0, 2.0]), 0.0, 1.0)
    with pytest.raises(UsageError, match="same walls"):
        envelope(PatchAdditive(np.array([0, 1]), None, np.ones(2)), wide, np.zeros(2))


def test_gradients_of_patches_fit_their_bounds():
    fields = {"points": np.full((1, 2), 0.5), "values": np.full(1, 0.5)}
    pictures = {"x_min": np.zeros(2), "x_max": np.ones(2), "value_min": 0.0, "value_max": 1.0}
    for slope, fits in (([0.9, 0.9], True), ([0.0, 1.1], False)):
        given = Evidence(Box.unit(2), **pictures, **fields, gradients=np.array([slope]))
        if fits:
            envelope(PatchAdditive(np.array([0, 1]), 1.0), given, np.zeros(2))
        else:
            with pytest.raises(InconsistentEvidenceError, match="in group 1"):
                envelope(PatchAdditive(np.array([0, 1]), 1.0), given, np.zeros(2))


def test_gradients_of_a_cosine_unit_are_those_of_the_one_there_is():
    case = random_case("cosine", 4, dim=3, exemplars=2, gradients=True)
    envelope(case.function_class, case.evidence, case.evidence.points)
    fields = {k: getattr(case.evidence, k) for k in ("domain", "x_min", "x_max", "value_min", "value_max")}
    fields |= {"points": case.evidence.points, "values": case.evidence.values}
    wrong = Evidence(**fields, gradients=case.evidence.gradients * np.array([[1.0], [1.01]]))
    with pytest.raises(InconsistentEvidenceError) as caught:
        envelope(case.function_class, wrong, case.evidence.points)
    assert caught.value.pieces == ("gradient of point 1", "x_max", "x_min")


@pytest.mark.parametrize("bound", [None, 1.0])
def test_patches_on_a_ball_keep_their_bounds_and_refuse_what_no_sum_has(bound):
    kind = PatchAdditive(np.array([0, 1]), bound)
    corners = np.array([[0.3, 0.3], [-0.3, -0.3], [0.3, -0.3], [-0.3, 0.3]])
    seen = Evidence(DISC, points=corners, values=np.array([0.7, 0.3, 0.4, 0.6]))
    found = envelope(kind, seen, np.array([[0.3, 0.4], [0.3, 0.3]]))
    assert found.lo[1] == found.up[1] == 0.7
    assert (found.gap[0], found.gap[1]) == (np.inf if bound is None else pytest.approx(0.2), 0.0)
    with pytest.raises(InconsistentEvidenceError) as caught:
        envelope(kind, Evidence(DISC, points=corners, values=np.array([0.7, 0.4, 0.4, 0.6])), corners)
    assert set(caught.value.pieces) == {f"point {i}" for i in range(4)}


def test_noise_counts_for_more_where_an_exemplar_is_near_a_picture():
    """With nearly all of its length along x_max, an exemplar's error is a hundred times as large off it."""
    seen, x = Evidence(SOLID, AXES[1], AXES[0], -1.0, 1.0), AXES[2:]
    point = np.array([np.sqrt(0.99), 0.0, 0.1])
    truth = 0.99 + 0.01 * 0.3  # the last eigenvalue is 0.3
    for noise, off in ((0.0, 0.0), (1e-4, 5e-5), (1e-4, -1e-4)):
        given = Evidence(SOLID, AXES[1], AXES[0], -1.0, 1.0, point[None], np.array([truth + off]), noise=noise)
        bounds = envelope(Quadratic(), given, x)
        assert bounds.lo[0] - 1e-9 <= 0.3 <= bounds.up[0] + 1e-9
        assert bounds.width[0] == pytest.approx(400 * noise, abs=1e-9)
    again = seen.with_points([point, [0.0, 0.0, 0.5]], [truth + 1e-7, 0.25 * 0.3])  # rounding, no contradiction
    assert envelope(Quadratic(), again, x).up[0] == pytest.approx(0.3)


def test_which_end_a_picture_was_drawn_at_matters():
    """One picture of value 0.5 in a plane of which nothing is known but [0, 1]: the last axis is below, or above."""
    seen, x = Evidence(SOLID, np.zeros(3), AXES[0], 0.0, 1.0), AXES[2:]
    for ends, lo, up in ((("max",), 0.0, 0.5), (("min",), 0.5, 1.0), ((), 0.0, 0.5)):
        bounds = envelope(Quadratic(AXES[1:2], np.full(1, 0.5), ends), seen, x)
        assert (bounds.lo[0], bounds.up[0]) == (lo, up)


def test_a_part_that_occurs_again_tells_of_a_shared_function():
    """f = g(left) + 2 g(right), max g - min g = 1/3: what an exemplar says of g at 0.5 holds on both sides."""
    cube = Evidence(Box.unit(2), np.zeros(2), np.ones(2), 0.0, 1.0).with_points([[0.5, 0.5]], [0.4])
    x = np.array([[0.0, 0.5], [0.5, 1.0], [0.5, 0.7]])
    for weights, lo, up in (
        (np.array([1.0, 2.0]), [0.8 / 3, 2.4 / 3, 0.4 / 3], [0.8 / 3, 2.4 / 3, 2.4 / 3]),
        (None, [0.0, 0.4, 0.0], [0.4, 1.0, 1.0]),
    ):
        bounds = envelope(PatchAdditive(np.array([0, 1]), None, weights), cube, x)
        np.testing.assert_allclose((bounds.lo, bounds.up), (lo, up), atol=1e-9)


def test_nearer_without_values():
    """Of a cosine unit and a ranking it needs none; a quadratic unit's middle is not fixed by its pictures."""
    pictures = Evidence(DISC, np.array([-1.0, 0.0]), np.array([1.0, 0.0]))
    x = np.array([[0.1, 0.9], [-0.1, 0.5], [0.0, 0.5]])
    assert answers("nearer", Cosine(3.0), pictures, x).prediction.tolist() == [1.0, -1.0, 0.0]
    assert not answers("nearer", RadialUnknown(), pictures, x).decided.any()
    for kind, why in (
        (Quadratic(), "centre"),
        (Radial(lambda t: -t), "profile"),
        (PatchAdditive(np.array([0, 1]), 1.0), "L fixes"),
        (PatchAdditive(np.array([0, 1]), None, np.ones(2)), "shifted"),
    ):
        with pytest.raises(UsageError, match=why):
            answers("nearer", kind, pictures, x)


def test_a_ranking_tells_who_is_nearer_from_one_exemplar_on():
    ranked = Evidence(DISC, np.array([-1.0, 0.0]), np.array([1.0, 0.0]), 0.0, 1.0).with_points([[0.0, 0.0]], [0.5])
    x = np.array([[0.5, 0.0], [-0.5, 0.0], [0.0, 0.5]])
    assert answers("nearer", RadialUnknown(), ranked, x).prediction.tolist() == [1.0, -1.0, -1.0]


def test_a_function_that_is_0_has_any_pictures():
    """Two pictures that are no eigenvectors of different values, or no opposite ends, are those of f = 0."""
    flat = {"x_min": np.array([1.0, 0.0]), "x_max": np.array([0.6, 0.8]), "value_min": 0.0, "value_max": 0.0}
    for kind in (Quadratic(), Cosine(2.0)):
        bounds = envelope(kind, Evidence(DISC, **flat), np.array([[0.3, 0.4]]))
        assert (bounds.lo[0], bounds.up[0]) == (0.0, 0.0)


def test_a_profile_is_asked_for_no_distance_beyond_the_domain():
    """Points that rounding puts beyond the wall count as on it."""
    kind, evidence = Radial(lambda t: np.sqrt(2 - t)), given_on(DISC, [-1.0, 0.0], [1.0, 0.0], value_min=0.0)
    evidence = Evidence(DISC, evidence.x_min * (1 + 1e-9), evidence.x_max, 0.0, np.sqrt(2))
    x = np.array([[-1 - 5e-7, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(envelope(kind, evidence, x).lo, [0.0, 1.0])
    assert [w.value for w in witnesses(kind, evidence, x[0])] == [0.0, 0.0]


def test_a_strictly_falling_witness_comes_within_a_billionth():
    """The ends are those of plateaus, which fall as little as you like."""
    case = random_case("radial-unknown", 3, dim=2, exemplars=4)
    x = case.evidence.domain.sample(1, np.random.default_rng(1))[0]
    away = np.linalg.norm(case.evidence.domain.sample(500, np.random.default_rng(0)) - case.evidence.x_max, axis=1)
    for witness in witnesses(case.function_class, case.evidence, x):
        assert witness.gap <= 2e-9 * case.evidence.spread
        heights = witness.module.profile(np.sort(away))
        assert (np.diff(heights) < 0).all()
        places, values = known(case)
        np.testing.assert_allclose(respond(witness.module, places), values, atol=1e-9)
