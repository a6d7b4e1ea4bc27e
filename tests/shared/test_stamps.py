"""Stamps: a file that is known is not read again, and no change to it goes by unseen."""

import json
import mmap
import os
import time
from pathlib import Path

import pytest

from shared.core import stamps
from shared.core.digests import digest_file
from shared.core.stamps import has_digest, witness

SIZE = 4 * 2**20


@pytest.fixture
def file(on_disk, monkeypatch):
    """A file whose stamp has settled; a fiftieth of a second is two ticks of the coarsest clock that Linux has."""
    monkeypatch.setattr(stamps, "SETTLED_NS", 20_000_000)
    path = on_disk / "table.parquet"
    path.write_bytes(b"\0" * SIZE)
    if not stamps._stamps_every_change(path):
        pytest.skip("this filesystem is not among those whose stamps are relied upon")
    settle()
    return path


def settle():
    time.sleep(0.05)


def bytes_read(call):
    """How many bytes the call reads, as the kernel counts them, and what it returns."""
    before = _read_so_far()
    result = call()
    return _read_so_far() - before, result


def _read_so_far():
    return int(Path("/proc/self/io").read_text().split()[1])


def known(file):
    """A memory that knows the file, and the file's digest."""
    memory, digest = file.parent / "memory", digest_file(file)
    assert has_digest(file, digest, memory)
    assert bytes_read(lambda: has_digest(file, digest, memory))[0] < SIZE / 10
    return memory, digest


def test_a_known_file_is_not_read_again_and_an_unknown_one_is(file):
    memory, digest = known(file)
    read, holds = bytes_read(lambda: has_digest(file, digest, memory))
    assert holds
    assert read < SIZE / 10
    read, holds = bytes_read(lambda: has_digest(file, digest, None))
    assert holds
    assert read >= SIZE


def _overwritten(file):
    with file.open("r+b") as stream:
        stream.write(b"x")


def _put_back(file):
    found = file.stat()
    _overwritten(file)
    os.utime(file, ns=(found.st_atime_ns, found.st_mtime_ns))


def _replaced(file):
    other = file.with_name("other")
    other.write_bytes(b"x" * SIZE)
    os.utime(other, ns=(0, file.stat().st_mtime_ns))
    other.replace(file)


def _grown(file):
    with file.open("ab") as stream:
        stream.write(b"x")


CHANGES = {
    "one byte": _overwritten,
    "one byte, and the time of modification put back": _put_back,
    "another file in its place": _replaced,
    "one byte more": _grown,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_change_to_a_known_file_is_seen(file, change):
    memory, digest = known(file)
    seen = witness(file)
    assert seen.digest is None
    change(file)
    assert not has_digest(file, digest, memory)
    assert not seen.agrees()


def test_a_store_through_a_mapping_that_was_dirty_before_is_seen(file):
    with file.open("r+b") as stream, mmap.mmap(stream.fileno(), SIZE) as mapping:
        mapping[0] = 1
        settle()
        memory, digest = known(file)
        mapping[1] = 1
        assert not has_digest(file, digest, memory)


def test_a_file_that_was_just_changed_is_read_each_time(file, monkeypatch):
    monkeypatch.setattr(stamps, "SETTLED_NS", 3_600_000_000_000)
    digest = digest_file(file)
    assert has_digest(file, digest, file.parent / "memory")
    assert not (file.parent / "memory").exists()
    assert witness(file).digest == digest


def test_a_file_of_an_unlisted_filesystem_is_read_each_time(file, monkeypatch):
    monkeypatch.setattr(stamps, "STAMPING", frozenset())
    digest = digest_file(file)
    assert has_digest(file, digest, file.parent / "memory")
    assert not (file.parent / "memory").exists()
    assert witness(file).digest == digest


def test_a_witness_that_read_the_file_sees_the_same_bytes_under_another_time(file, monkeypatch):
    monkeypatch.setattr(stamps, "STAMPING", frozenset())
    seen = witness(file)
    os.utime(file)
    assert seen.agrees()
    _overwritten(file)
    assert not seen.agrees()


@pytest.mark.parametrize("torn", [b"", b"{", b"[]", b'{"stamp": 1}', b'{"digest": "sha256:0"}', b"\xff"])
def test_a_damaged_memory_is_no_memory(file, torn):
    memory, digest = known(file)
    (kept,) = memory.iterdir()
    kept.write_bytes(torn)
    read, holds = bytes_read(lambda: has_digest(file, digest, memory))
    assert holds
    assert read >= SIZE


def test_a_memory_of_another_digest_does_not_condemn_the_file(file):
    memory, digest = known(file)
    (kept,) = memory.iterdir()
    kept.write_text(json.dumps(json.loads(kept.read_text()) | {"digest": "sha256:" + "0" * 64}))
    assert has_digest(file, digest, memory)


def test_a_memory_that_cannot_be_written_costs_only_time(file):
    memory = file.parent / "memory"
    memory.write_text("a file where the folder would be")
    assert has_digest(file, digest_file(file), memory)
