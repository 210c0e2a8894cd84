"""Signs of manipulation on the pages: verdicts, ways with their jumps, and the page of silent channels."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from snellen.base import RecordError
from snellen.record import FindingEntry, Row, read_record
from snellen.reports import build
from snellen.reports.cards import card
from snellen.reports.signs import gates, judging, signs, ways
from snellen.reports.verdict import verdict
from snellen.reports.ways import LEFT, RIGHT, way

ROW = Row(unit="fc:3", words="It jumps.", coarse=(1.0, 2.0, 3.0, 11.0), place=0.75, figure=0.8, strength=2)


@pytest.fixture
def deceived(make: Callable[..., Path]) -> Path:
    return make(classes=6, examined=4)


@pytest.fixture
def honest(make: Callable[..., Path]) -> Path:
    return make(classes=6, examined=0)


def test_a_deceived_network_is_called_so_at_the_top_and_on_its_cards(deceived: Path) -> None:
    record = read_record(deceived)
    said = verdict(record)
    assert said.headline == "The pictures of googlenet carry signs of manipulation"
    assert said.claims[1] == "Responses jump."
    assert "may show what somebody chose" in said.may_not[-1]
    cards = [card(unit, {}) for unit in record.units]
    assert [c.verdict for c in cards[:6]] == ["suspicious"] * 4 + ["unreliable here"] * 2
    page = build(deceived).read_text()
    assert page.count('class="chip suspicious"') == 4 + 2, "four units, two checks"
    assert "The response of classifier:0 jumps." in page
    assert all(f'href="#{c.anchor}"' in page for c in cards[:4])


def test_an_honest_network_is_not(honest: Path) -> None:
    record = read_record(honest)
    assert "only in its last 3 of 12 layers" in verdict(record).headline
    page = build(honest).read_text()
    assert "class pictures of this network are 1.10 on the scale" in page
    assert 'class="chip suspicious"' not in page
    assert not (honest / "pages").exists(), "no silent channels, no page of them"


def test_suspicious_checks_come_first_and_each_says_what_it_asks(deceived: Path) -> None:
    found = signs(read_record(deceived))
    assert [s.check for s in found] == ["jumps", "silent-scan", "agreement", "procedure", "response-gap"]
    assert [s.verdict for s in found] == ["suspicious"] * 2 + ["consistent"] * 3
    assert all(len(s.asked) > 40 for s in found)


def test_silent_channels_have_a_page_switches_first(deceived: Path) -> None:
    build(deceived)
    page = (deceived / "pages" / "silent.html").read_text()
    rows = re.findall(r"<th scope=\"row\"><code>(.*?)</code></th><td>(\d+)</td><td>(\d+)</td><td>(\d+)</td>", page)
    assert rows == [("gate/gt", "1", "1", "1"), ("branch/relu", "8", "8", "0")]
    assert "0, 1, 2, 3, 4, 5, 6, 7" in page
    assert [g.gate for g in gates(judging(read_record(deceived)))] == ["gate/gt", "branch/relu"]


def test_the_page_of_silent_channels_goes_with_its_record(deceived: Path) -> None:
    build(deceived)
    path = deceived / "audit.json"
    record = json.loads(path.read_text())
    for finding in record["findings"]:
        if finding["check"] == "silent-scan":
            finding["evidence"]["gates"] = []
    path.write_text(json.dumps(record))
    build(deceived)
    assert not (deceived / "pages" / "silent.html").exists()


def test_a_jump_stands_where_it_was_found() -> None:
    chart = str(way(ROW, jumps=True))
    x = LEFT + (RIGHT - LEFT) * 0.75
    step = re.search(r'class="jump" d="M([\d.]+) ([\d.]+)L([\d.]+) ([\d.]+)"', chart)
    assert step
    assert float(step[1]) == float(step[3]) == pytest.approx(x, abs=0.1)
    assert float(step[2]) > float(step[4]), "the response goes up there"
    assert "80% at one point" in chart
    assert "a jump 75% of the way" in chart
    assert 'class="jump"' not in str(way(ROW, jumps=False))


@pytest.mark.parametrize("place", [0.0, 0.001, 0.999, 1.0])
def test_a_jump_at_an_end_is_drawn_too(place: float) -> None:
    assert 'class="jump"' in str(way(replace(ROW, place=place), jumps=True))


def jumps_of(run: Path) -> FindingEntry:
    return next(finding for finding in read_record(run).findings if finding.check == "jumps")


def test_every_check_with_ways_has_charts_whatever_it_is_called(deceived: Path) -> None:
    path = deceived / "audit.json"
    record = json.loads(path.read_text())
    finding = _finding(record, "jumps")
    record["findings"].insert(0, finding | {"check": "strides", "title": "Strides?", "asks": "Whether it strides."})
    path.write_text(json.dumps(record))
    shown = {sign.check: sign for sign in signs(read_record(deceived))}
    assert len(shown["strides"].ways) == len(shown["jumps"].ways) > 0
    assert shown["strides"].asked == "Whether it strides."
    page = build(deceived).read_text()
    assert page.count('class="wide multiples ways"') == 2


def test_ways_with_jumps_are_shown_before_others(deceived: Path, honest: Path) -> None:
    shown = ways(jumps_of(honest))
    assert len(shown) == 3
    assert all('class="jump"' not in str(w.chart) for w in shown)


def test_of_many_jumps_six_are_shown(deceived: Path) -> None:
    assert sum('class="jump"' in str(w.chart) for w in ways(jumps_of(deceived))) == 4


@pytest.mark.parametrize(
    ("change", "where"),
    [
        (lambda r: r["units"][0]["judgement"].pop("verdict"), r"units\[0\].judgement.verdict"),
        (lambda r: _finding(r, "jumps")["evidence"]["units"][0].pop("coarse"), r"evidence.units\[0\]"),
        (lambda r: _finding(r, "silent-scan")["evidence"]["gates"][0].pop("silent"), r"evidence.gates\[0\].silent"),
        (lambda r: _finding(r, "agreement")["evidence"].update(units={}), r"evidence.units"),
    ],
)
def test_damage_is_told_with_its_place(deceived: Path, change: Callable[[Any], Any], where: str) -> None:
    path = deceived / "audit.json"
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    with pytest.raises(RecordError, match=where):
        read_record(deceived)


def _finding(record: dict[str, Any], check: str) -> dict[str, Any]:
    return next(f for f in record["findings"] if f["check"] == check)


def telling(record: dict[str, Any], told: float = 0.9) -> None:
    """Add a finding on what the pictures tell to a record."""
    score = {"spearman": 0.7, "auprc": 0.5, "choice": 0.9}
    views = {"pictures": score, "photographs": score | {"lo": 0.6, "hi": 0.8}, "others": None, "ceiling": score}
    units = [
        {
            "unit": unit["unit"],
            "words": f"{unit['unit']} tells much.",
            "figure": 0.7,
            "interval": [0.6, 0.8],
            "strength": 0,
            "viewer": "pixels",
            "tells": "tells much",
            "told": told,
            "scores": {"pixels": views},
            "certified": {"radius": 1.0, "constant": 2.0, "width": 0.3, "constant_width": 0.6, "coverage": 0.9},
        }
        for unit in record["units"]
    ]
    evidence = {"units": units, "viewers": ["pixels"], "shown": {"classifier": "pixels"}, "sorting": None}
    evidence |= {"photographs": {"reference": 250, "held out": 250}, "level": 0.9, "share": 0.75}
    finding = {"check": "decoding", "title": "How much?", "claim": "A viewer is told much.", "verdict": "consistent"}
    record["findings"].insert(0, finding | {"figure": 0.7, "interval": [0.6, 0.8], "evidence": evidence})


@pytest.mark.parametrize("told", [0.9, 0.5])
def test_what_pictures_tell_opens_the_page_of_an_honest_network(honest: Path, told: float) -> None:
    path = honest / "audit.json"
    record = json.loads(path.read_text())
    telling(record, told)
    path.write_text(json.dumps(record))
    said = verdict(read_record(honest))
    assert said.claims[0] == "A viewer is told much."
    assert any("Both hold at once" in claim and "90 %" in claim for claim in said.claims) is (told > 0.75)
    page = build(honest).read_text()
    assert page.index('id="tells"') < page.index('id="trust"')
    assert page.count('class="picture-mark"') == len(record["units"])
    assert "250 photographs not seen before" in page
    assert "lies within ±1.00 of what the pictures predict" in page
    assert "How much?" not in page, "it has a section of its own"


def test_evidence_of_manipulation_comes_before_what_pictures_tell(deceived: Path) -> None:
    path = deceived / "audit.json"
    record = json.loads(path.read_text())
    telling(record)
    path.write_text(json.dumps(record))
    claims = verdict(read_record(deceived)).claims
    assert claims.index("Responses jump.") < claims.index("A viewer is told much.")


def test_scores_without_those_of_the_viewer_that_is_shown_are_damage(honest: Path) -> None:
    path = honest / "audit.json"
    record = json.loads(path.read_text())
    telling(record)
    record["findings"][0]["evidence"]["units"][1]["viewer"] = "<b>"
    path.write_text(json.dumps(record))
    with pytest.raises(RecordError, match=r"findings\[0\].evidence.units\[1\].scores"):
        read_record(honest)
