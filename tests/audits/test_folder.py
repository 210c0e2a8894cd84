"""Whose run a folder is: what is no word on that is one line."""

import os

import pytest

from snellen.audits.folder import IDENTITY, claim
from snellen.base import SnellenError
from snellen.studies.request import Request
from snellen.studies.world import open_world

GOOD = '{"command": "snellen audit x", "device": "cpu", "world": {}}'


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "an object"),
        ("{}", "command, got nothing"),
        ("null", "an object"),
        ("[" * 100_000, "too deep"),
        (GOOD.replace("{}", "[]"), "world to be an object"),
        (GOOD.replace('"cpu"', "1e999"), "device to be text"),
        (GOOD.replace("audit x", r"\ud800"), "expected JSON"),
        (GOOD, 'that of "snellen audit x"'),
    ],
)
def test_a_damaged_word_on_whose_run_it_is(tmp_path, network, text, told):
    (tmp_path / IDENTITY).write_text(text)
    with pytest.raises(SnellenError, match=told):
        claim(tmp_path, open_world(Request(network)))


def test_a_pipe_in_its_place_does_not_block(tmp_path, network):
    os.mkfifo(tmp_path / IDENTITY)
    with pytest.raises(SnellenError, match="not a regular file"):
        claim(tmp_path, open_world(Request(network)))
