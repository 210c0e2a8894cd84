"""The pages: pure, whole, escaped, closed to the network, and sound as documents."""

import base64
import errno
import hashlib
import itertools
import json
import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from snellen.base import OutputError
from snellen.reports import build, read_record

VOID = {"meta", "link", "img", "br", "input", "hr"}


@dataclass
class Document(HTMLParser):
    """What a page holds: tags with attributes, text, and whether every tag was closed in order."""

    tags: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    text: str = ""
    content: dict[str, str] = field(default_factory=dict)
    stack: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, {k: v or "" for k, v in attrs}))
        if tag not in VOID:
            self.stack.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag, f"</{tag}> out of order"

    def handle_data(self, data: str) -> None:
        inside = self.stack[-1] if self.stack else ""
        if inside in ("style", "script"):
            self.content[inside] = self.content.get(inside, "") + data
        else:
            self.text += data

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.tags if name == tag]


def read(path: Path) -> Document:
    document = Document()
    document.feed(path.read_text(encoding="utf-8"))
    document.close()
    assert document.stack == []
    return document


def pages(run: Path) -> list[Path]:
    return [run / "index.html", *sorted((run / "pages").glob("*.html"))]


def test_it_returns_the_first_page(run: Path) -> None:
    assert build(run) == run / "index.html"


def test_the_same_record_gives_the_same_bytes(run: Path, tmp_path: Path) -> None:
    first = build(run).read_bytes()
    assert build(run).read_bytes() == first
    os.rename(run, tmp_path / "elsewhere")
    assert build(tmp_path / "elsewhere").read_bytes() == first


def test_nothing_else_is_left_in_the_folder(run: Path) -> None:
    build(run)
    assert sorted(p.name for p in run.iterdir()) == ["audit.json", "blobs", "index.html"]


@pytest.mark.usefixtures("few_a_page")
def test_every_picture_has_an_alt_text_and_exists(make: Callable[..., Path]) -> None:
    run = make(classes=7)
    build(run)
    seen = 0
    for page in pages(run):
        for image in read(page).all("img"):
            assert len(image["alt"]) > 20
            assert (page.parent / image["src"]).is_file()
            seen += 1
    assert seen > 6 * 7


@pytest.mark.usefixtures("few_a_page")
def test_links_and_labels_lead_somewhere(make: Callable[..., Path]) -> None:
    run = make(classes=7)
    build(run)
    ids = {page.resolve(): [a["id"] for _, a in read(page).tags if "id" in a] for page in pages(run)}
    for page, names in ids.items():
        assert len(names) == len(set(names)), "ids are unique"
        for _, attributes in read(page).tags:
            assert attributes.get("aria-labelledby") in (None, *names)
        for link in read(page).all("a"):
            path, _, anchor = link["href"].partition("#")
            target = (page.parent / path).resolve() if path else page
            assert target.is_file()
            assert not anchor or anchor in ids[target]


@pytest.mark.usefixtures("few_a_page")
def test_headings_descend_one_level_at_a_time(make: Callable[..., Path]) -> None:
    run = make(classes=7)
    build(run)
    for page in pages(run):
        levels = [int(tag[1]) for tag, _ in read(page).tags if re.fullmatch(r"h[1-6]", tag)]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(b - a <= 1 for a, b in itertools.pairwise(levels))


def test_the_policy_allows_this_style_and_script_and_no_network(run: Path) -> None:
    document = read(build(run))
    policy = next(m["content"] for m in document.all("meta") if m.get("http-equiv") == "Content-Security-Policy")
    rules = dict(rule.split(" ", 1) for rule in policy.split("; "))
    assert rules["default-src"] == "'none'"
    for kind in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(document.content[kind].encode()).digest()).decode()
        assert rules[f"{kind}-src"] == f"'sha256-{digest}'"
    assert not any("style" in a or any(name.startswith("on") for name in a) for _, a in document.tags)
    assert "http" not in policy


def test_nothing_is_fetched_from_elsewhere(run: Path) -> None:
    document = read(build(run))
    for _, attributes in document.tags:
        for name in ("src", "href", "srcset", "action", "data"):
            assert not re.match(r"(?i)\s*(https?:|//|javascript:)", attributes.get(name, ""))
    assert "url(" not in document.content["style"]
    assert "@import" not in document.content["style"]


HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>{{ 7 * 191 }}"


def hostile(value: Any) -> Any:
    """The same data with every free text replaced by something that must stay text."""
    if isinstance(value, dict):
        fixed = {"schema", "status", "role", "direction", "image", "check", "group", "trusted_from"}
        return {k: v if k in fixed else hostile(v) for k, v in value.items()}
    if isinstance(value, list):
        return [hostile(v) for v in value]
    return HOSTILE if isinstance(value, str) else value


@pytest.mark.usefixtures("few_a_page")
@pytest.mark.parametrize("classes", [3, 7])
def test_every_name_stays_text(make: Callable[..., Path], classes: int) -> None:
    run = make(classes=classes, examined=2)
    tame = [read(page) for page in pages(build(run).parent)]
    record = hostile(read_record(run))
    for finding in record["findings"]:
        finding["evidence"] |= {"group": HOSTILE + " units", "trusted_from": HOSTILE}
    (run / "audit.json").write_text(json.dumps(record))
    build(run)
    for before, page in zip(tame, pages(run), strict=True):
        document = read(page)
        assert len(document.all("script")) == 1
        assert document.content["script"] == before.content["script"]
        assert not any(name.startswith("on") for _, a in document.tags for name in a)
        assert all(i["src"].removeprefix("../").startswith("blobs/") for i in document.all("img"))
        assert HOSTILE in document.text
        assert "1337" not in document.text


def test_dead_units_are_sentences(run: Path) -> None:
    document = read(build(run))
    assert "Dead: no gradient ever reached the picture" in document.text
    alts = [i["alt"] for i in document.all("img")]
    assert not any("maximize inception_4a:20" in alt for alt in alts)


@pytest.mark.parametrize("good", [True, False])
def test_how_well_the_folders_fit_is_said_and_loudly_where_they_do_not(make: Callable[..., Path], good: bool) -> None:
    run = make(classes=3)
    record = json.loads((run / "audit.json").read_text())
    record["images"]["fit"] = {"good": good, "words": "Folders were matched to classes by folder order: 40% of it."}
    record["images"]["classes"][0]["purity"] = 0.4
    (run / "audit.json").write_text(json.dumps(record))
    text = read(build(run)).text
    assert text.count("matched to classes by folder order: 40% of it.") == (1 if good else 2)
    assert (text.find("folder order") < text.find("What the units look for")) is not good
    assert "classes were matched to units by" not in text
    assert "taken for it" in text


def test_skipped_images_and_settings_are_listed(run: Path) -> None:
    text = read(build(run)).text
    record = read_record(run)
    assert "2 images skipped" in text
    for image in record["images"]["skipped"]:
        assert image["name"] in text
        assert image["reason"] in text
    for value in (record["command"], record["model"]["fingerprint"], record["images"]["digest"], "2.13.0", "Fourier"):
        assert value in text


def test_all_content_is_there_without_scripts(run: Path) -> None:
    text = read(build(run)).text
    for word in ("How far to trust the pictures", "You may not conclude", "Geirhos", "classifier:2", "ICML"):
        assert word in text


def test_few_units_are_on_one_page(run: Path) -> None:
    build(run)
    assert not (run / "pages").exists()
    assert len([a for a in read(run / "index.html").all("article")]) == 7


@pytest.mark.usefixtures("few_a_page")
def test_many_units_are_all_shown_once_over_the_pages(make: Callable[..., Path]) -> None:
    run = make(classes=8, unit_layers=1)
    build(run)
    listed = [a["id"] for page in pages(run)[1:] for a in read(page).all("article")]
    inner = [a["id"] for a in read(run / "index.html").all("article") if "inception" in a["id"]]
    assert len(listed) == len(set(listed)) == 8
    assert len(inner) == 2
    assert len(read(run / "index.html").all("article")) == 4


def test_classes_come_before_layers_in_order(run: Path) -> None:
    record = read_record(run)
    record["units"].reverse()
    (run / "audit.json").write_text(json.dumps(record))
    titles = [a["id"] for a in read(build(run)).all("article")]
    places = [next(i for i, t in enumerate(titles) if name in t) for name in ("classifier", "4a", "4b")]
    assert places == sorted(places)


@pytest.mark.usefixtures("few_a_page")
def test_pages_of_an_earlier_build_are_removed(make: Callable[..., Path]) -> None:
    run = make(classes=8, unit_layers=0)
    build(run)
    (run / "pages" / "notes.html").write_text("mine")
    record = read_record(run)
    (run / "audit.json").write_text(json.dumps(record | {"units": record["units"][:5]}))
    build(run)
    assert sorted(p.name for p in (run / "pages").iterdir()) == ["group-1-1.html", "group-1-2.html", "notes.html"]


EDGES: dict[str, dict[str, Any]] = {
    "no findings": {"changes": {"findings": []}},
    "no units": {"changes": {"units": [], "findings": []}},
    "flat": {"classes": 0, "units": 3, "flat": True},
    "no labels": {"labels": False},
    "maximum only": {"minimum": False},
    "no exemplars": {"exemplars": 0},
    "partial": {"changes": {"status": "partial"}},
    "examined": {"examined": 0},
    "deceived": {"examined": 2, "classes": 5},
    "two classes": {"classes": 2, "unit_layers": 0},
}


@pytest.mark.parametrize("name", EDGES)
def test_every_kind_of_record_has_a_sound_page(make: Callable[..., Path], name: str) -> None:
    document = read(build(make(**({"classes": 3} | EDGES[name]))))
    assert "How it was made" in document.text
    assert "None" not in document.text
    assert "Undefined" not in document.text


def test_a_full_disk_leaves_the_old_page(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build(run).write_text("old")
    before = sorted(p.name for p in run.iterdir())

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OutputError, match=r"no space left.*\Z") as caught:
        build(run)
    assert "\n" not in str(caught.value)
    assert (run / "index.html").read_text() == "old"
    assert sorted(p.name for p in run.iterdir()) == before


@pytest.mark.usefixtures("few_a_page")
def test_a_file_where_a_folder_must_be(make: Callable[..., Path]) -> None:
    run = make(classes=7)
    (run / "pages").write_text("in the way")
    with pytest.raises(OutputError):
        build(run)
