"""One check alone says what it says in an audit of the same units."""

import pytest

import snellen
from snellen.base import UsageError
from snellen.checks import group

CHECKS = group.CHECKS.all()
UNITS = ["8:0-3"]
SMALL = {"steps": 4, "quick": True, "progress": False}


@pytest.fixture(scope="module")
def audit(same_net, pictures, tmp_path_factory):
    return snellen.audit(same_net, images=pictures, out=tmp_path_factory.mktemp("checks") / "run", units=UNITS, **SMALL)


@pytest.mark.parametrize("check", CHECKS)
def test_a_check_alone_finds_what_the_audit_finds(audit, net, pictures, check):
    found = CHECKS[check].sized(quick=True)(net, UNITS, images=pictures, **SMALL)
    assert found.as_data() == next(f for f in audit.findings if f.check == check).as_data()
    assert found.asks == CHECKS[check].asks
    assert repr(found).startswith(f"<{found.check}: {found.verdict}. ")


def test_a_unit_of_a_word_is_looked_at_alone():
    found = snellen.checks.Jumps()("builtin", "classifier:7", **SMALL)
    assert [row["unit"] for row in found.evidence["units"]] == ["classifier:7"]


@pytest.mark.parametrize(
    "wish",
    [("path-similarity", ["8:0", "3/pre:1"], "units of one layer"), ("procedure", ["8:0"], "at least two of a layer")],
)
def test_units_that_a_check_cannot_compare_are_one_line(net, pictures, wish):
    check, units, told = wish
    with pytest.raises(UsageError, match=told):
        CHECKS[check]()(net, units, images=pictures, **SMALL)
