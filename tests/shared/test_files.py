"""Files: the old content or the new, never a part, whatever happens in between."""

from __future__ import annotations

import os
import random
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import pytest

from shared.core.files import scratch_in, settle, settle_verified, write_atomically, write_once

PROJECT = Path(__file__).parents[2]
SIZE = 4_000_000
SEED = 20260202
WRITER = """
import sys
from pathlib import Path
from shared.core.files import write_atomically
path, size = Path(sys.argv[1]), int(sys.argv[2])
print("ready", flush=True)
while True:
    for sign in (b"a", b"b"):
        write_atomically(path, sign * size)
"""


def writer(path):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path, str(SIZE)], stdout=subprocess.PIPE, text=True, cwd=PROJECT
    )
    assert process.stdout.readline() == "ready\n"
    return process


def whole(content):
    return len(content) == SIZE and content in (b"a" * SIZE, b"b" * SIZE)


def test_kill_9_while_writing_leaves_the_old_content_or_the_new(tmp_path):
    path, chance = tmp_path / "file", random.Random(SEED)
    write_atomically(path, b"a" * SIZE)
    left = []
    for _ in range(12):
        process = writer(path)
        time.sleep(chance.uniform(0, 0.03))
        os.kill(process.pid, signal.SIGKILL)
        process.communicate()
        left.append(whole(path.read_bytes()))
    assert all(left), f"seed {SEED}"


def test_a_reader_beside_a_writer_sees_whole_contents_only(tmp_path):
    path = tmp_path / "file"
    write_atomically(path, b"a" * SIZE)
    process = writer(path)
    try:
        seen = [whole(path.read_bytes()) for _ in range(100)]
    finally:
        process.kill()
        process.communicate()
    assert all(seen)


def test_a_write_that_fails_leaves_the_old_content(tmp_path):
    write_atomically(tmp_path / "file", "old")
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "file", "new \ud800")
    assert (tmp_path / "file").read_text() == "old"


def test_a_write_that_fails_leaves_nothing_beside_it(tmp_path):
    with pytest.raises(UnicodeEncodeError):
        write_atomically(tmp_path / "file", "new \ud800")
    assert list(tmp_path.iterdir()) == []


def test_a_write_onto_a_folder_leaves_nothing_beside_it(tmp_path):
    (tmp_path / "folder" / "full").mkdir(parents=True)
    with pytest.raises(OSError):
        write_atomically(tmp_path / "folder", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]


def test_a_written_file_stands_alone(tmp_path):
    write_atomically(tmp_path / "file", "text")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_text_is_written_as_utf_8(tmp_path):
    write_atomically(tmp_path / "file", "Łódź\n")
    assert (tmp_path / "file").read_bytes() == b"\xc5\x81\xc3\xb3d\xc5\xba\n"


def test_missing_folders_are_made(tmp_path):
    write_atomically(tmp_path / "a" / "b" / "file", "text")
    assert (tmp_path / "a" / "b" / "file").is_file()


@pytest.mark.parametrize(("folder", "file"), [(0o777, 0o600), (0o700, 0o600), (0o2770, 0o660)])
def test_the_folder_says_whom_a_file_is_for_whatever_the_umask(tmp_path, folder, file):
    tmp_path.chmod(folder)
    before = os.umask(0)
    try:
        write_atomically(tmp_path / "file", "text")
        with scratch_in(tmp_path) as scratch:
            (scratch / "part").write_text("text")
            settle(scratch, tmp_path / "folder")
    finally:
        os.umask(before)
    modes = [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("file", "folder", "folder/part")]
    assert modes == [file, 0o2770 if file == 0o660 else 0o700, file]


def test_scratch_that_did_not_settle_is_removed(tmp_path):
    with scratch_in(tmp_path / "new") as scratch:
        (scratch / "file").write_text("text")
    assert list((tmp_path / "new").iterdir()) == []


def test_scratch_is_removed_after_a_crash_as_well(tmp_path):
    with pytest.raises(ZeroDivisionError), scratch_in(tmp_path):
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


def test_settled_scratch_stays_under_its_name(tmp_path):
    with scratch_in(tmp_path) as scratch:
        (scratch / "file").write_text("text")
        settle(scratch, tmp_path / "done")
    assert [str(path.relative_to(tmp_path)) for path in sorted(tmp_path.rglob("*"))] == ["done", "done/file"]


def _settle_twice(tmp_path):
    for text in ("first", "second"):
        with scratch_in(tmp_path) as scratch:
            (scratch / "file").write_text(text)
            settled = settle(scratch, tmp_path / "done")
    return settled


def test_settling_on_a_name_that_is_taken_says_so(tmp_path):
    assert _settle_twice(tmp_path) is False


def test_settling_on_a_name_that_is_taken_changes_nothing(tmp_path):
    _settle_twice(tmp_path)
    assert (tmp_path / "done" / "file").read_text() == "first"


def test_settling_on_a_file_is_an_error(tmp_path):
    (tmp_path / "done").write_text("in the way")
    with scratch_in(tmp_path) as scratch, pytest.raises(OSError):
        settle(scratch, tmp_path / "done")


def test_every_file_and_folder_reaches_the_disk_before_the_name_does(tmp_path, monkeypatch):
    synced = []
    real = os.fsync

    def fsync(handle):
        synced.append(Path(os.readlink(f"/proc/self/fd/{handle}")).relative_to(tmp_path))
        real(handle)

    monkeypatch.setattr(os, "fsync", fsync)
    with scratch_in(tmp_path) as scratch:
        (scratch / "a" / "b").mkdir(parents=True)
        (scratch / "a" / "b" / "file").write_text("text")
        settle(scratch, tmp_path / "done")
    inside = {Path(*path.parts[1:]) for path in synced[:-1]}
    assert inside == {Path(), Path("a"), Path("a/b"), Path("a/b/file")}
    assert synced[-1] == Path()


def _settle_good(tmp_path):
    with scratch_in(tmp_path) as scratch:
        (scratch / "file").write_text("good")
        return settle_verified(scratch, tmp_path / "done", lambda folder: (folder / "file").read_text() == "good")


def test_a_damaged_folder_is_moved_aside_and_the_good_one_takes_its_name(tmp_path):
    for damage in ("bad", "worse"):
        _settle_good(tmp_path)
        (tmp_path / "done" / "file").write_text(damage)
    assert _settle_good(tmp_path)
    found = {path.name: (path / "file").read_text() for path in tmp_path.iterdir()}
    assert found == {"done": "good", ".damaged.1.done": "bad", ".damaged.2.done": "worse"}


def test_an_intact_folder_stays_where_it_is(tmp_path):
    assert _settle_good(tmp_path) is True
    assert _settle_good(tmp_path) is False
    assert [path.name for path in tmp_path.iterdir()] == ["done"]


def test_a_file_is_written_once_only(tmp_path):
    path = tmp_path / "new" / "file"
    assert write_once(path, "first")
    assert not write_once(path, "second")
    assert (path.read_text(), stat.S_IMODE(path.stat().st_mode)) == ("first", 0o600)
    assert list(path.parent.iterdir()) == [path]
