"""Cards, the frieze and the verdict: what the pages say about a record, in words that fit its numbers."""

import copy
import json
from types import ModuleType
from typing import Any

import msgspec
import pytest

from snellen.record import NaturalEntry, Record, UnitEntry
from snellen.reports.cards import Card, sentence, share
from snellen.reports.cards import card as card_of
from snellen.reports.frieze import frieze
from snellen.reports.verdict import Verdict, main_finding, reach
from snellen.reports.verdict import verdict as verdict_of

EVEN = NaturalEntry(quantiles=tuple(i / 10 for i in range(101)), count=500, own_class_mean=None)


def card(unit: dict[str, Any], names: dict[int, str]) -> Card:
    return card_of(msgspec.json.decode(json.dumps(unit), type=UnitEntry), names)


def typed(record: dict[str, Any]) -> Record:
    return msgspec.json.decode(json.dumps(record), type=Record)


def verdict(record: dict[str, Any]) -> Verdict:
    return verdict_of(typed(record))


@pytest.fixture
def record(records: ModuleType) -> dict[str, Any]:
    def path(image: Any, kind: str) -> str:
        return f"blobs/00/{abs(hash(image.tobytes()))}.{kind}"

    return records.make_record(path, records.Plan(classes=4, exemplars=2))


@pytest.mark.parametrize(
    ("direction", "response", "words"),
    [
        ("max", 22.0, "drives it to 22.0, 2.2 times the strongest of 500 photographs (10.0)"),
        ("max", 10.1, "drives it to 10.1, above the strongest of 500 photographs"),
        ("max", 9.05, "drives it only to 9.05; 9 % of the photographs excite it more"),
        ("max", -3.0, "drives it only to −3.00; 100 % of the photographs excite it more"),
        ("min", -4.0, "drives it to −4.00, below the weakest photograph (0)"),
        ("min", 0.0, "drives it to 0, as low as the weakest photograph (0)"),
        ("min", 2.05, "drives it only to 2.05; 21 % of the photographs excite it less"),
    ],
)
def test_sentences(direction: str, response: float, words: str) -> None:
    assert words in sentence(direction, response, EVEN)


def test_no_factor_is_given_where_it_would_mean_nothing() -> None:
    negative = NaturalEntry(quantiles=tuple(i / 10 - 20 for i in range(101)), count=10, own_class_mean=None)
    assert "times" not in sentence("max", 5.0, negative)
    assert "above the strongest of 10 photographs (−10.0)" in sentence("max", 5.0, negative)


def test_shares() -> None:
    assert [share(r, EVEN.quantiles) for r in (-1.0, 5.05, 99.0)] == [0, 51, 100]


def test_a_card_names_its_unit_everywhere(record: dict[str, Any]) -> None:
    shown = card(record["units"][1], {})
    assert (shown.title, shown.address, shown.named) == ("brick", "classifier:1", True)
    up, down = shown.columns
    assert up.drawings[0].alt.startswith("Picture optimized to maximize brick (classifier:1), response ")
    assert down.drawings[0].alt.startswith("Picture optimized to minimize brick (classifier:1), response ")
    assert "number 2 of those that excite brick (classifier:1) most" in up.photographs[1].alt


def test_a_class_without_a_label_takes_its_folder(record: dict[str, Any]) -> None:
    unit = record["units"][1] | {"label": None}
    assert card(unit, {1: "0001_brick"}).title == "0001_brick"
    assert card(unit, {}).title == "channel 1"
    assert card(unit | {"role": "unit"}, {1: "0001_brick"}).title == "channel 1"


@pytest.mark.parametrize(("status", "word"), [("dead", "Dead"), ("diverged", "Diverged"), ("interrupted", "Interrupt")])
def test_a_lost_picture_is_a_sentence(record: dict[str, Any], status: str, word: str) -> None:
    unit = copy.deepcopy(record["units"][0])
    kept = None if status == "interrupted" else unit["pictures"][0]["image"]
    unit["pictures"][0] |= {"status": status, "image": kept}
    drawing = card(unit, {}).columns[0].drawings[0]
    assert drawing.image is None
    assert drawing.remark.startswith(word)
    assert drawing.history is None
    assert "max picture" not in str(card(unit, {}).strip)
    assert "The picture drives" not in " ".join(card(unit, {}).reading)


def test_an_interrupted_picture_is_shown_with_a_remark(record: dict[str, Any]) -> None:
    unit = copy.deepcopy(record["units"][0])
    unit["pictures"][0]["status"] = "interrupted"
    drawing = card(unit, {}).columns[0].drawings[0]
    assert drawing.image
    assert "before the last step" in drawing.remark


def test_pictures_of_one_direction_stand_beside_the_photographs(record: dict[str, Any]) -> None:
    unit = record["units"][0] | {"pictures": record["units"][0]["pictures"][:1]}
    columns = card(unit, {}).columns
    assert [(len(c.drawings), len(c.photographs)) for c in columns] == [(1, 0), (0, 2), (0, 2)]


def test_a_unit_without_natural_responses_has_no_strip(record: dict[str, Any]) -> None:
    shown = card(record["units"][0] | {"natural": None, "exemplars": {"top": [], "bottom": []}}, {})
    assert (shown.strip, shown.reading) == (None, ())


def test_anchors_are_distinct_and_plain() -> None:
    empty = {"layer": "a", "label": None, "channel": 0, "role": "unit", "pictures": [], "natural": None}
    empty |= {"exemplars": {"top": [], "bottom": []}}
    names = ["a:1", "a.1", "a/pre:1", "a:1@2,3", "ä:1", '"><script>:1', "a-1", "a--1", "a:11"]
    anchors = [card(empty | {"unit": name}, {}).anchor for name in names]
    assert len(set(anchors)) == len(names)
    assert all(c.isascii() and (c.isalnum() or c == "-") for anchor in anchors for c in anchor)


def test_the_frieze_pairs_pictures_with_photographs(record: dict[str, Any]) -> None:
    cards = [card(unit, {}) for unit in record["units"]]
    pairs = frieze(cards)
    assert len({pair.href for pair in pairs}) == len(pairs) == 6
    assert len(frieze(cards[:4])) == 3
    for pair in pairs:
        own: Card = next(c for c in cards if f"#{c.anchor}" == pair.href)
        assert pair.picture is own.columns[0].drawings[0]
        assert pair.photograph is own.columns[0].photographs[0]
    assert frieze(cards[:2]) == ()
    dead = next(c for c in cards if c.columns[0].drawings[0].image is None)
    assert frieze([dead] * 5) == ()


def test_the_verdict_says_what_holds_and_what_does_not(record: dict[str, Any]) -> None:
    told = verdict(record)
    assert told.headline == "The pictures of googlenet are processed like photographs only in its last 3 of 12 layers"
    assert told.scale.startswith("Similarity is 1 where pictures are as much like photographs of their class")
    assert told.claims[0] == record["findings"][0]["claim"]
    lost = "2 gave no gradient and have no picture (inception_4a:20 and inception_4b:20)."
    assert f"Of 8 units drawn, {lost}" in told.claims
    assert any("the last 3 of 12 layers" in line for line in told.may)
    assert any("the 9 layers before inception_5a" in line for line in told.may_not)


def test_the_verdict_without_trusted_layers(record: dict[str, Any]) -> None:
    evidence = record["findings"][0]["evidence"]
    evidence["trusted_from"] = None
    told = verdict(record)
    assert told.headline == "The pictures of googlenet are processed like photographs in only 3 of 12 layers"
    assert not any("about as similar" in line for line in told.may)
    assert any("in 9 of its 12 layers" in line for line in told.may_not)
    evidence["curves"]["spearman"]["s"] = [0.1, *[None] * 11]
    told = verdict(record)
    assert told.headline == "The pictures of googlenet are processed like photographs in none of its layers"
    assert any("any of its layers" in line for line in told.may_not)


def test_the_verdict_trusted_throughout(record: dict[str, Any]) -> None:
    record["findings"][0] |= {"verdict": "consistent"}
    record["findings"][0]["evidence"]["trusted_from"] = "conv1"
    told = verdict(record)
    assert "much like photographs" in told.headline
    assert not any("layers before" in line for line in told.may_not)
    assert any("necessary condition" in line for line in told.may_not)


@pytest.mark.parametrize("name", ["unknown", "suspicious", "a verdict of later versions"])
def test_every_verdict_has_a_headline(record: dict[str, Any], name: str) -> None:
    record["findings"][0]["verdict"] = name
    assert "googlenet" in verdict(record).headline


def test_without_findings_nothing_is_claimed(record: dict[str, Any]) -> None:
    told = verdict(record | {"findings": [], "status": "partial"})
    assert told.headline == "What the units of googlenet look for"
    assert "The checks have not run yet" in told.claims[0]
    whole = verdict(record | {"findings": [], "status": "complete"})
    assert "No check was run" in whole.claims[0]
    assert any("stopped before its end" in line for line in told.claims)


def test_the_classes_finding_comes_first_wherever_it_stands(record: dict[str, Any]) -> None:
    turned = record | {"findings": record["findings"][::-1]}
    assert main_finding(typed(turned)).claim == record["findings"][0]["claim"]
    inner = record | {"findings": record["findings"][1:]}
    assert main_finding(typed(inner)).title == record["findings"][1]["title"]


def test_reach_compares_with_the_strongest_photograph(record: dict[str, Any]) -> None:
    unit = copy.deepcopy(record["units"][0])
    unit["pictures"][0]["response"] = 3 * unit["natural"]["quantiles"][-1]
    assert reach(typed(record | {"units": [unit]})) == pytest.approx([3.0])
    unit["natural"]["quantiles"] = [-1.0] * 101
    assert reach(typed(record | {"units": [unit]})) == []
