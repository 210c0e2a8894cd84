import errno
import multiprocessing
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from snellen.base import OutputError, RecordError, digest, encode_json, seal, sweep, try_folder, unseal, write_atomic
from snellen.jobs import Store, locked

KEY = "ab" * 16
BLOB = f"blobs/ab/{KEY}-{digest(b'bytes')[:32]}.png"


def files(root: Path) -> list[str]:
    return sorted(str(p.relative_to(root)) for p in root.rglob("*") if p.is_file())


def test_results_and_blobs_lie_under_the_first_two_digits_of_their_key(tmp_path):
    store = Store(tmp_path / "blobs")
    assert not store.has(KEY)
    store.put(KEY, {"a": 1})
    assert store.has(KEY)
    assert store.put_blob(KEY, ".png", b"bytes") == BLOB
    assert store.blob(BLOB) == b"bytes"
    assert files(tmp_path) == [BLOB, f"blobs/ab/{KEY}.json"]


@pytest.mark.parametrize("replaced", [False, True])
def test_only_replacing_writes_change_a_file(tmp_path, replaced):
    write_atomic(tmp_path / "a", b"first")
    write_atomic(tmp_path / "a", b"second", replace=replaced)
    assert (tmp_path / "a").read_bytes() == (b"second" if replaced else b"first")
    assert files(tmp_path) == ["a"]


def test_a_stored_key_keeps_its_first_value(tmp_path):
    store = Store(tmp_path)
    store.put(KEY, "first")
    store.put(KEY, "second")
    assert store.get(KEY) == "first"


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
    store.put(KEY, value)
    assert store.get(KEY) == value
    text = store.path(KEY).read_bytes()
    assert text.index(b'"a"') < text.index(b'"b"')
    with pytest.raises(ValueError, match="JSON"):
        encode_json(float("nan"))


@pytest.mark.parametrize("key", ["", "../../etc", "ABCDEF", "a/b"])
def test_what_is_no_key_is_refused(tmp_path, key):
    with pytest.raises(ValueError, match="hexadecimal"):
        Store(tmp_path).path(key)


def test_absent_results_and_blobs_say_where(tmp_path):
    store = Store(tmp_path / "blobs")
    with pytest.raises(RecordError, match=rf"{KEY}\.json, got none"):
        store.get(KEY)
    with pytest.raises(RecordError, match=KEY):
        store.blob(BLOB)
    for name in ("blobs/ab/x.png", f"blobs/ab/{KEY}.png", BLOB.replace("/ab/", "/../"), f"/{BLOB}", "/etc/passwd"):
        with pytest.raises(RecordError, match="expected the name of a blob"):
            store.blob(name)


def test_every_flipped_bit_of_a_result_is_noticed():
    """Also a digit of a number, which leaves sound JSON."""
    whole = seal({"response": 1.25, "history": [1, 2]})
    assert unseal(whole) == {"response": 1.25, "history": [1, 2]}
    for place in range(len(whole)):
        for bit in range(8):
            flipped = whole[:place] + bytes([whole[place] ^ (1 << bit)]) + whole[place + 1 :]
            with pytest.raises(RecordError, match="damaged"):
                unseal(flipped)
    for cut in range(len(whole)):
        with pytest.raises(RecordError, match="damaged"):
            unseal(whole[:cut])


@pytest.mark.parametrize("damage", [lambda d: b"", lambda d: d[:-1], lambda d: bytes([d[0] ^ 1]) + d[1:]])
def test_a_damaged_blob_is_noticed_by_name_and_can_be_written_again(tmp_path, damage):
    store = Store(tmp_path / "blobs")
    path = tmp_path / store.put_blob(KEY, ".png", b"bytes")
    path.write_bytes(damage(b"bytes"))
    assert not store.intact(BLOB)
    with pytest.raises(RecordError, match=f"{path.name} as it was written, got other bytes"):
        store.blob(BLOB)
    store.put_blob(KEY, ".png", b"bytes")
    assert store.blob(BLOB) == b"bytes"


@pytest.mark.parametrize("kind", ["pipe", "link", "folder"])
def test_what_is_no_regular_file_counts_as_nothing(tmp_path, kind):
    store = Store(tmp_path / "blobs")
    path = tmp_path / store.put_blob(KEY, ".png", b"bytes")
    path.unlink()
    (tmp_path / "theirs").write_bytes(b"bytes")
    {"pipe": os.mkfifo, "link": lambda p: p.symlink_to(tmp_path / "theirs"), "folder": Path.mkdir}[kind](path)
    assert not store.intact(BLOB)
    if kind == "folder":
        with pytest.raises(OutputError, match="cannot write"):
            store.put_blob(KEY, ".png", b"bytes")
    else:
        store.put_blob(KEY, ".png", b"bytes")
        assert store.blob(BLOB) == b"bytes"
    assert (tmp_path / "theirs").read_bytes() == b"bytes"


@pytest.mark.parametrize("link", ["blobs", "blobs/ab"])
def test_no_link_leads_out_of_the_store(tmp_path, link):
    (tmp_path / "theirs" / "ab").mkdir(parents=True)
    (tmp_path / "theirs" / "ab" / f".{KEY}.json.0123456789ab.snellen-part").write_text("theirs")
    (tmp_path / link).parent.mkdir(exist_ok=True)
    (tmp_path / link).symlink_to(tmp_path / "theirs" / ("ab" if link.endswith("ab") else ""))
    store, before = Store(tmp_path / "blobs"), files(tmp_path / "theirs")
    for write in (lambda: store.put(KEY, 1), lambda: store.put_blob(KEY, ".png", b"bytes")):
        with pytest.raises(OutputError, match="got a link"):
            write()
    assert store.sweep() == 0
    assert files(tmp_path / "theirs") == before


def test_a_full_disk_is_one_line_and_leaves_nothing(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="no space left on device") as caught:
        Store(tmp_path).put_blob(KEY, ".png", b"bytes")
    assert "\n" not in str(caught.value)
    assert files(tmp_path) == []


def test_a_file_size_limit_leaves_nothing(tmp_path):
    code = (
        "import sys, pathlib; from snellen.base import OutputError, write_atomic\n"
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
        Store(tmp_path).put_blob(KEY, ".png", b"bytes")
    assert files(tmp_path) == []


def test_a_file_in_the_way_of_the_folder_is_one_line(tmp_path):
    (tmp_path / "out").write_text("")
    with pytest.raises(OutputError, match=r"not a directory|file exists"):
        Store(tmp_path / "out").put_blob(KEY, ".png", b"bytes")


def test_what_killed_writers_left_is_swept_and_nothing_of_anybody_else(tmp_path):
    """A hidden `.part` may be somebody's download: only names that no other program makes are ours."""
    store = Store(tmp_path / "blobs")
    store.put(KEY, 1)
    folder = tmp_path / "blobs" / "ab"
    (folder / f".{KEY}.json.0123456789ab.snellen-part").write_bytes(b"half")
    theirs = [
        ".film.mkv.part",
        ".a.0123.part",
        ".b.0123456789ab.snellen-partly",
        "c.0123456789ab.snellen-part",
        ".part",
    ]
    for name in theirs:
        (folder / name).write_text("theirs")
    (folder / ".d.0123456789ab.snellen-part").mkdir()
    (folder / ".e.0123456789ab.snellen-part").symlink_to(folder / theirs[0])
    below = folder / "below"
    below.mkdir()
    (below / ".f.0123456789ab.snellen-part").write_text("theirs")
    before = files(tmp_path)
    assert store.sweep() == 1
    assert files(tmp_path) == [name for name in before if KEY not in name or name.endswith(".json")]
    assert (folder / ".e.0123456789ab.snellen-part").is_symlink()
    assert sweep(tmp_path / "nowhere") == 0


def test_a_sweep_can_be_of_some_files_only(tmp_path):
    for name in ("a.png", "b.png"):
        (tmp_path / f".{name}.0123456789ab.snellen-part").write_text("half")
    assert sweep(tmp_path, {"a.png"}) == 1
    assert files(tmp_path) == [".b.png.0123456789ab.snellen-part"]
    assert sweep(tmp_path, lambda name: name.startswith("b")) == 1


def test_a_killed_writer_leaves_what_a_sweep_takes_up(tmp_path):
    code = (
        "import os, pathlib, signal, sys; from snellen.base import write_atomic\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "write_atomic(pathlib.Path(sys.argv[1]), b'bytes')"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "a.png")], check=False)
    assert len(files(tmp_path)) == 1
    assert sweep(tmp_path, {"a.png"}) == 1
    assert files(tmp_path) == []


@pytest.mark.parametrize("there", [False, True])
def test_a_place_is_tried_without_a_trace(tmp_path, there):
    if there:
        (tmp_path / "a" / "b").mkdir(parents=True)
    try_folder(tmp_path / "a" / "b")
    assert [p.name for p in tmp_path.rglob("*")] == (["a", "b"] if there else [])


def test_a_place_that_cannot_be_written_to_is_told_before_the_work(tmp_path, monkeypatch):
    def refuse(*_args, **_more):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr("builtins.open", refuse)
    with pytest.raises(OutputError, match="read-only file system"):
        try_folder(tmp_path / "a" / "b")
    monkeypatch.undo()
    assert list(tmp_path.iterdir()) == []


def _write(root: str, byte: int) -> None:
    for i in range(40):
        Store(Path(root)).put(f"{i:032x}", chr(byte) * 50_000)


def test_concurrent_writers_never_mix_their_bytes(tmp_path):
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(str(tmp_path), b)) for b in (97, 98, 99)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert [w.exitcode for w in writers] == [0, 0, 0]
    assert len(files(tmp_path)) == 40
    for path in tmp_path.rglob("*.json"):
        value = Store(tmp_path).get(path.stem)
        assert len(value) == 50_000
        assert len(set(value)) == 1


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


@pytest.mark.parametrize("kind", ["link", "folder"])
def test_a_lock_that_is_no_file_of_ours_is_left_as_it_is(tmp_path, kind):
    """Taking a lock empties its file, and a link can lead to anybody's."""
    (tmp_path / "theirs").write_text("theirs")
    lock = tmp_path / ".lock"
    lock.symlink_to(tmp_path / "theirs") if kind == "link" else lock.mkdir()
    with pytest.raises(OutputError, match=r"expected .* to be a file"), locked(tmp_path):
        pass
    assert (tmp_path / "theirs").read_text() == "theirs"
