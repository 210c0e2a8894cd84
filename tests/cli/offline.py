"""Every command once, with every attempt to reach a network written down: called by test_hostile.py as a program."""

import contextlib
import io
import json
import sys
from pathlib import Path

WATCHED = ("socket.connect", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "socket.sendmsg", "urllib.")
ATTEMPTS: list[str] = []

ASKING = """
import socket
from torch import nn

def net():
    for call in (lambda: socket.getaddrinfo("127.0.0.1", 9), lambda: socket.create_connection(("127.0.0.1", 9), 0.2)):
        try:
            call()
        except OSError:
            pass
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
"""


def watch(event: str, arguments: tuple[object, ...]) -> None:
    if event.startswith(WATCHED):
        ATTEMPTS.append(f"{event} {arguments!r}"[:200])


def main() -> None:
    place, tiny, images = map(Path, sys.argv[1:])
    sys.addaudithook(watch)
    net, run, lying = f"{tiny}:net", place / "run", place / "lying"
    quick = ("--size", "24", "--quick", "--steps", "2")
    commands = [
        ("layers", net),
        ("layers", "builtin"),
        ("visualize", net, "6:0", "--steps", "2", "--size", "24", "--out", place / "pictures"),
        ("audit", net, "--images", images, "--out", run, *quick),
        ("report", run),
        ("certify", net, "6:0", "--images", images, "--size", "24", "--steps", "2", "--most", "8"),
        ("theory", "--class", "affine"),
        ("deceive", net, "--out", lying, "--units", "1", "--method", "silent-units", *quick),
        ("audit", lying, "--base", net, "--images", images, "--out", place / "lied", *quick),
        ("matrix", "--case", f"{net}={images}", "--kind", "honest", "--out", place / "matrix", *quick[2:]),
    ]
    codes: dict[str, int] = {}
    for words in commands:
        codes[words[0]] = max(codes.get(words[0], 0), call(*words))
    attempts = list(ATTEMPTS)
    (place / "asking.py").write_text(ASKING)
    ATTEMPTS.clear()
    call("layers", f"{place / 'asking.py'}:net")
    kinds = {attempt.split()[0] for attempt in ATTEMPTS}
    sys.__stdout__.write(json.dumps({"attempts": attempts, "codes": codes, "control": len(kinds)}) + "\n")


def call(*words: object) -> int:
    from snellen.cli import main as program

    told = io.StringIO()
    with contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
        try:
            program([str(word) for word in words])
        except SystemExit as ended:
            if ended.code:
                sys.__stderr__.write(told.getvalue())
            return int(ended.code or 0)
    return 0


if __name__ == "__main__":
    main()
