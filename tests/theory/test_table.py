"""The table against what is derived by hand, its page, and what would help."""

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snellen.base import UsageError
from snellen.theory import Affine, BlackBox, Convex, Evidence, FittedReLUNetwork, Lipschitz, envelope
from snellen.theory.entries import ENTRIES, corners, lipschitz
from snellen.theory.growth import growth
from snellen.theory.page import percent, symbols, write_page
from snellen.theory.questions import answers
from snellen.theory.table import compute, find_entries, table
from snellen.theory.thresholds import window, worst_error
from snellen.theory.twins import Twins

IMPOSSIBLE = {
    "black-box",
    "relu",
    "fitted-relu",
    "piecewise-affine",
    "lipschitz-unknown",
    "monotone",
    "convex",
    "affine",
}


@pytest.fixture(scope="module")
def rows():
    return {row.entry.name: row for row in table()}


def test_the_papers_verdicts(rows):
    """The classes for which the paper finds prediction impossible have the worst error of a coin; two are exact."""
    for name in IMPOSSIBLE:
        assert rows[name].worst == pytest.approx((0.5, 0.5), abs=0.01), name
        assert rows[name].cells[0].verdict == "no"
    for name in ("affine-1d", "constant", "affine-ball"):
        assert max(rows[name].worst) <= 1e-9
        assert [c.verdict for c in rows[name].cells] == ["yes"] * 3


ATTESTED = {
    "black-box",
    "relu",
    "fitted-relu",
    "piecewise-affine",
    "lipschitz-l2",
    "monotone",
    "convex",
    "affine-1d",
    "constant",
}
"""The nine verdicts of the paper that are attested; that on affine functions of d > 1 is inferred."""


def test_whose_every_verdict_is(rows):
    """Attested where the paper's verdict on the class is the cell's; nothing else speaks as of the paper."""
    for name, row in rows.items():
        source = row.entry.paper
        expected = "attested" if name in ATTESTED else "inferred" if name == "affine" else "ours"
        assert source.mark == expected, name
        assert bool(source.verdict) == (expected != "ours")
        said = {"impossible": "no", "possible": "yes"}.get(source.verdict)
        assert [c.paper for c in row.cells] == [expected if c.verdict == said else "ours" for c in row.cells]
        assert str(source).startswith("Beyond the paper") == (expected == "ours")
    assert rows["convex"].paper == "attested ours ours"
    assert rows["monotone"].paper == "attested"
    assert "norm" in rows["lipschitz-l2"].entry.paper.note
    assert "d = 1 alone" in rows["affine"].entry.paper.note


@pytest.mark.parametrize("norm", ["l1", "l2", "linf"])
@pytest.mark.parametrize("dim", [2, 5, 8])
def test_three_times_the_least_constant_is_useless_in_every_norm(norm, dim):
    """Whichever norm the paper means, its verdict is the one of the row with the large L."""
    function_class, evidence = lipschitz(norm, 3.0)(dim)
    x = np.concatenate([np.full((1, dim), 0.5), (np.arange(dim) % 2).astype(float)[None]])
    assert envelope(function_class, evidence, x).width.max() == pytest.approx(1.0)


def test_the_table_in_the_docs_is_the_one_computed(rows):
    text = (Path(__file__).parents[2] / "docs" / "theory.md").read_text()
    lines = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| ")]
    shown = {line[0]: line[1:] for line in lines if line[0] in rows}
    assert shown == {
        name: [*(c.verdict for c in row.cells), *(c.paper for c in row.cells)] for name, row in rows.items()
    }


def test_every_no_is_backed_by_two_members_that_disagree(rows):
    for row in rows.values():
        assert row.low <= row.high + 1e-9
        if row.cells[0].verdict == "no":
            assert row.high - row.low > 0.1, row.entry.name


@pytest.mark.parametrize("dim", [1, 2, 3, 4])
def test_nearer_is_decided_on_the_derived_shares(dim):
    """Convex: 2^-d; affine: 2^(1 - d)."""
    rng = np.random.default_rng(0)
    x = rng.uniform(size=(20000, dim))
    evidence = corners(dim)
    assert answers("nearer", Convex(), evidence, x).share == pytest.approx(2.0**-dim, abs=0.012)
    assert answers("nearer", Affine(), evidence, x).share == pytest.approx(2.0 ** (1 - dim), abs=0.012)


def test_nearer_needs_no_values():
    x = np.array([[0.1, 0.2], [0.9, 0.8], [0.1, 0.9]])
    bare = Evidence(corners(2).domain, np.zeros(2), np.ones(2))
    assert answers("nearer", Affine(), bare, x).prediction.tolist()[:2] == [-1.0, 1.0]
    assert not answers("nearer", Affine(), bare, x).decided[2]
    for scaled in (Lipschitz(1.0), FittedReLUNetwork(x[:1], np.array([5.0]))):
        with pytest.raises(UsageError, match="scale"):
            answers("nearer", scaled, bare, x)


def test_questions_are_ordered():
    """Exact implies within; at the evidence everything is known."""
    evidence = corners(2)
    x = np.random.default_rng(0).uniform(size=(500, 2))
    exact, within = (answers(q, Lipschitz(0.9), evidence, x, eps=0.2).decided for q in ("exact", "within"))
    assert (within >= exact).all()
    assert answers("exact", BlackBox(), evidence, np.array([[0.0, 0.0]])).prediction[0] == 0.0
    with pytest.raises(UsageError, match="eps"):
        answers("within", BlackBox(), evidence, x)


@pytest.mark.parametrize("dim", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("factor", [1.0, 1.2, 1.5])
def test_the_window_of_lipschitz_constants(dim, factor):
    """Closed forms against a search over the cube: a grid, all corners, and the edges between their middle layers."""
    bound = float(factor / np.sqrt(dim))
    axis = np.linspace(0, 1, {1: 201, 2: 101, 3: 21, 4: 9, 5: 5}[dim])
    grid = np.stack(np.meshgrid(*[axis] * dim), -1).reshape(-1, dim)
    edge = np.tile((np.arange(dim) % 2).astype(float), (2001, 1))
    edge[:, dim - 1] = np.linspace(0, 1, 2001)
    searched = envelope(Lipschitz(bound), corners(dim), np.concatenate([grid, edge])).width.max() / 2
    assert searched == pytest.approx(worst_error(dim, bound), abs=1e-3)
    assert searched <= worst_error(dim, bound) + 1e-9
    assert worst_error(dim, window(dim).useless) == pytest.approx(0.5)
    assert worst_error(dim, window(dim).useless * 0.99) < 0.5


@pytest.mark.parametrize("seed", range(10))
def test_wherever_the_pictures_are_some_corner_is_far_from_both(seed):
    """min(r1, r2)^2 >= d / 4 - 1 at some corner, found by flipping from the far corner of one to its antipode."""
    rng = np.random.default_rng(seed)
    dim = 12
    low, high = rng.uniform(size=(2, dim))
    corners_of = np.array(np.meshgrid(*[[0.0, 1.0]] * dim)).reshape(dim, -1).T
    nearest = np.minimum(((corners_of - low) ** 2).sum(1), ((corners_of - high) ** 2).sum(1))
    assert nearest.max() >= dim / 4 - 1


def test_image_sizes():
    assert window(150528).useless == pytest.approx(1 / np.sqrt(75264))
    assert window(150528).least == pytest.approx(1 / np.sqrt(150528))
    assert window(150528).worst_at_least == pytest.approx((np.sqrt(2) - 1) / 2)
    assert window(12, "linf").least == window(12, "linf").useless


@pytest.mark.slow
def test_growth_is_monotone_and_affine_is_exact_after_seven():
    curves = {c.title.split(",")[0]: c for c in growth()}
    for curve in curves.values():
        assert all(b <= a + 1e-6 for a, b in zip(curve.errors, curve.errors[1:], strict=False)), curve.title
    affine = curves["Affine"]
    assert affine.errors[affine.counts.index(7)] == pytest.approx(0, abs=1e-6)
    assert affine.errors[affine.counts.index(6)] > 0.01
    assert curves["Black-box"].errors[-1] == pytest.approx(0.5)
    assert curves["Concave"].errors[-1] < curves["Concave"].errors[0]
    assert curves["Lipschitz in l1"].errors[0] == pytest.approx(0.1)
    assert len(curves) == 12


def test_the_page(tmp_path):
    rows = (compute(find_entries("convex")[0]), compute(find_entries("affine-1d")[0]))
    page = write_page(rows[:1], tmp_path / "page").read_text()
    assert page.count("<img") == page.count('alt="Convex') == 4
    assert "two networks" not in page
    assert page.count(">ours</span>, beyond the paper") == 2
    assert page.count(">attested</span></span>") == 1
    table = page[page.index('class="verdicts"') : page.index("Class by class")]
    words = re.findall(r'class="paper">(.*?)</td>', table)
    assert [re.sub("<[^>]*>", " ", w).split() for w in words] == [["attested", "ours", "ours"]]
    assert "http" not in page.replace("http-equiv", "")
    for file in [part.split('"')[0] for part in page.split('src="')[1:]]:
        assert (tmp_path / "page" / file).stat().st_size > 2000
    again = write_page(rows[:1], tmp_path / "again").read_text()
    assert again == page


def test_the_page_shows_two_networks_as_they_are(tmp_path):
    """Every picture is in it pixel for pixel, and every figure."""
    rng = np.random.default_rng(0)
    photograph, x_max, x_min, *drawn = rng.integers(0, 256, (7, 5, 4, 3)) / 255
    twins = Twins(photograph, x_max, x_min, ((drawn[0], drawn[1]), (drawn[0], drawn[1] + 0.25)), (0.03, 0.91), 77)
    assert twins.largest_difference == pytest.approx(0.25)
    page = write_page((compute(find_entries("affine-1d")[0]),), tmp_path, twins=twins).read_text()
    for shown in ("77 steps", "no pixel differs by more than 0.25", "0.03", "0.91"):
        assert shown in page
    files = re.findall(r'src="(pictures/twins-[^"]+)"', page)
    stored = [np.asarray(Image.open(tmp_path / file).convert("RGB")) / 255 for file in dict.fromkeys(files)]
    for image in (photograph, x_max, x_min, drawn[0], drawn[1], np.clip(drawn[1] + 0.25, 0, 1)):
        assert min(np.abs(image - other).max() for other in stored) <= 0.5 / 255
    same = dataclasses.replace(twins, drawn=((drawn[0], drawn[1]), (drawn[0], drawn[1])))
    assert "not one pixel differs" in write_page((), tmp_path / "same", twins=same).read_text()


def test_shares_and_worst_errors_are_those_derived(rows):
    """Within eps: (2 eps)^d for convex; nearer: 2^-d, 2^(1 - d); worst errors at the corners that were derived."""
    assert rows["convex"].cells[1].shares[0] == pytest.approx(0.2**2, abs=0.005)
    assert rows["convex"].cells[2].shares[0] == pytest.approx(0.25, abs=0.005)
    assert rows["affine"].cells[2].shares == pytest.approx((0.5, 2.0**-7), abs=0.005)
    assert rows["affine-along"].worst == pytest.approx((0.0, 0.5), abs=1e-6)
    assert rows["lipschitz-l2-small"].worst == pytest.approx([(1.2 * np.sqrt(2) - 1) / 2] * 2)
    assert rows["lipschitz-l1"].cells[1].backing.startswith("bound: (up - lo) / 2 is at most 0.10 D")


def test_names():
    assert len({e.name for e in ENTRIES}) == len(ENTRIES) >= 17
    with pytest.raises(UsageError, match='did you mean "convex"'):
        find_entries("convx")
    assert [percent(s) for s in (0.0, 0.004, 0.5, 0.999, 1.0)] == ["<1 %", "<1 %", "50 %", "99 %", "100 %"]


def test_symbols():
    assert symbols("x_min <= 2^(1 - d) sqrt(d)") == "x<sub>min</sub> ≤ 2<sup>1 − d</sup> √(d)"
    assert symbols("<b> eps, 2^-d & rho") == "&lt;b&gt; ε, 2<sup>−d</sup> &amp; ρ"


def test_without_matplotlib_the_page_is_refused_before_anything_is_computed(tmp_path, monkeypatch):
    import importlib.util

    from snellen.base import DependencyError
    from snellen.theory import report

    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(DependencyError, match=r"snellen\[theory\]"):
        report("affine", out=tmp_path / "page", progress=False)
    assert not (tmp_path / "page").exists()
