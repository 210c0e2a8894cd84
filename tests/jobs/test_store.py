import errno
import multiprocessing
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from snellen.base import OutputError, RecordError
from snellen.jobs import Store, encode_json, locked, sweep, write_atomic

KEY = "ab" * 16


def files(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


def test_a_result_lies_under_the_first_two_digits_of_its_key(tmp_path):
    store = Store(tmp_path)
    assert not store.has(KEY, ".png")
    assert store.put(KEY, ".png", b"bytes") == tmp_path / "ab" / f"{KEY}.png"
    assert store.has(KEY, ".png")
    assert not store.has(KEY, ".json")
    assert store.get(KEY, ".png") == b"bytes"
    assert files(tmp_path) == [f"ab/{KEY}.png"]


@pytest.mark.parametrize("replaced", [False, True])
def test_only_replacing_writes_change_a_file(tmp_path, replaced):
    write_atomic(tmp_path / "a", b"first")
    write_atomic(tmp_path / "a", b"second", replace=replaced)
    assert (tmp_path / "a").read_bytes() == (b"second" if replaced else b"first")
    assert files(tmp_path) == ["a"]


def test_a_stored_key_keeps_its_first_bytes(tmp_path):
    store = Store(tmp_path)
    store.put(KEY, ".png", b"first")
    store.put(KEY, ".png", b"second")
    assert store.get(KEY, ".png") == b"first"


def test_write_once_holds_where_the_file_system_has_no_hard_links(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    write_atomic(tmp_path / "a", b"first", replace=False)
    write_atomic(tmp_path / "a", b"second", replace=False)
    assert (tmp_path / "a").read_bytes() == b"first"
    assert files(tmp_path) == ["a"]


def test_json_keeps_every_bit_of_a_float_and_sorts_its_keys(tmp_path):
    store = Store(tmp_path)
    value = {"b": [0.1 + 0.2, 1e-308, -0.0], "a": "ünï"}
    store.put_json(KEY, value)
    assert store.get_json(KEY) == value
    assert store.get(KEY, ".json").index(b'"a"') < store.get(KEY, ".json").index(b'"b"')
    with pytest.raises(ValueError, match="JSON"):
        encode_json(float("nan"))


@pytest.mark.parametrize("key", ["", "../../etc", "ABCDEF", "a/b"])
def test_what_is_no_key_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match="hexadecimal"):
        Store(tmp_path).path(key, ".json")


def test_absent_and_damaged_results_say_where(tmp_path):
    store = Store(tmp_path)
    with pytest.raises(RecordError, match="no such file"):
        store.get(KEY, ".json")
    store.put(KEY, ".json", b"{")
    with pytest.raises(RecordError, match=KEY):
        store.get_json(KEY)


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="no space left on device") as caught:
        Store(tmp_path).put(KEY, ".png", b"bytes")
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == []


def test_a_file_size_limit_leaves_nothing(tmp_path):
    code = (
        "import sys, pathlib; from snellen.jobs import write_atomic\n"
        "from snellen.base import OutputError\n"
        "try: write_atomic(pathlib.Path(sys.argv[1]), bytes(100_000))\n"
        "except OutputError as e: print(e)"
    )
    limit = (4096, 4096)
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "a")],
        capture_output=True,
        text=True,
        check=True,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, limit),
    )
    assert done.stdout.startswith(f"cannot write {tmp_path / 'a'}: file too large")
    assert files(tmp_path) == []


def test_an_interrupted_write_leaves_nothing(tmp_path, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupt)
    with pytest.raises(KeyboardInterrupt):
        Store(tmp_path).put(KEY, ".png", b"bytes")
    assert files(tmp_path) == []


def test_a_file_in_the_way_of_the_folder_is_one_line(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match=r"not a directory|file exists"):
        Store(tmp_path / "out").put(KEY, ".png", b"bytes")


def test_what_killed_writers_left_is_swept_and_nothing_else(tmp_path):
    store = Store(tmp_path)
    store.put(KEY, ".png", b"bytes")
    (tmp_path / "ab" / f".{KEY}.png.0123.part").write_bytes(b"half")
    assert store.sweep() == 1
    assert files(tmp_path) == [f"ab/{KEY}.png"]
    assert sweep(tmp_path / "nowhere") == 0


def _write(root: str, byte: int) -> None:
    for i in range(40):
        Store(Path(root)).put(f"{i:032x}", ".bin", bytes([byte]) * 50_000)


def test_concurrent_writers_never_mix_their_bytes(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(str(tmp_path), b)) for b in (1, 2, 3)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [w.exitcode for w in writers] == [0, 0, 0]
    assert len(files(tmp_path)) == 40
    for path in tmp_path.rglob("*.bin"):
        data = path.read_bytes()
        assert len(data) == 50_000
        assert len(set(data)) == 1


def test_a_second_holder_of_a_folder_is_refused_and_the_lock_comes_back(tmp_path):
    code = (
        "import sys, pathlib; from snellen.jobs import locked; from snellen.base import OutputError\n"
        "try:\n    with locked(pathlib.Path(sys.argv[1])): print('held')\n"
        "except OutputError as e: print(e)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    with locked(tmp_path):
        second = subprocess.run(command, capture_output=True, text=True, check=True)
    assert second.stdout == f"another run is writing to {tmp_path}; wait for it or choose another --out\n"
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "held\n"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot write to"), locked(tmp_path / "file" / "run"):
        pass
