"""A file's stamp: what the kernel says of a file without reading it, and when that is as good as its digest.

A digest takes time that grows with the file; a stamp does not. Whoever holds a file against its digest once may
remember the stamp it had then: as long as the stamp is the same, so are the bytes. That rests on the time of change
(ctime), which the kernel sets at every write, truncation, renaming and change of the other times, and which no call
can set: putting the time of modification back is itself a change. Four gaps are closed here:

- Two changes within one tick of the clock bear the same time. A stamp counts only `SETTLED_NS` after its ctime, as in
  Git's index: whatever comes later has a later one.
- A change during the reading. The stamp is taken before and after it, of the open file, and must be the same.
- A store through a writable mapping is stamped when its page was clean. The file is synchronised before it is read,
  so that every page is.
- A filesystem that does not stamp every change. Only those that are known to are relied upon, by their magic number.

What is left takes the machine's administrator (the clock put back, the disk written below the filesystem) or a
failing disk, against which publishing and everything that makes evidence still read the bytes.

References:
    Linux, `man 7 inode` (the times), `man 2 statfs` (the numbers); Git, Documentation/technical/racy-git.adoc.
"""

from __future__ import annotations

import ctypes
import json
import os
import time
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from shared.core.digests import digest_file

SETTLED_NS = 2_000_000_000  # the coarsest clock among the filesystems below ticks once in 10 ms
# ext4, xfs, btrfs, f2fs, and overlayfs, which hands down to one of them. tmpfs forgets stores through a mapping.
STAMPING = frozenset({0xEF53, 0x58465342, 0x9123683E, 0xF2F52010, 0x794C7630})
_STATFS_BYTES = 512  # more than `struct statfs` has anywhere; its first field is the number


class Stamp(NamedTuple):
    """Which file it is, how long, and when it was last changed."""

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @property
    def settled(self) -> bool:
        """Whether any change from now on would bear another time."""
        return time.time_ns() - self.ctime_ns > SETTLED_NS


@dataclass(frozen=True, slots=True)
class Witness:
    """A file as it was found: by its stamp where that suffices, else by its digest too."""

    path: Path
    stamp: Stamp
    digest: str | None

    def agrees(self) -> bool:
        """Whether the file is still there as it was found."""
        try:
            now = stamp_of(self.path)
            if self.digest is None:
                return now == self.stamp
            return now[:2] == self.stamp[:2] and digest_file(self.path) == self.digest
        except OSError:
            return False


def witness(path: Path) -> Witness:
    """The file as it is now; reads it only where its stamp could miss a change that comes at once."""
    stamp = stamp_of(path)
    reliable = stamp.settled and _stamps_every_change(path)
    return Witness(path, stamp, None if reliable else digest_file(path))


def stamp_of(path: Path) -> Stamp:
    """The stamp of the file behind any links; raises OSError where there is none."""
    return _stamp(path.stat())


def has_digest(path: Path, digest: str, memory: Path | None) -> bool:
    """Whether the file has that digest; reads it only where folder `memory` does not know it by its stamp.

    Raises OSError where the file cannot be read. What `memory` holds is no authority but a saving: where it is
    missing, damaged or cannot be written, the file is read.
    """
    if memory is None:
        return digest_file(path) == digest
    if _recall(memory, stamp_of(path)) == digest:
        return True
    found, stamp = _read(path)
    if stamp is not None:
        _remember(memory, stamp, found)
    return found == digest


def _read(path: Path) -> tuple[str, Stamp | None]:
    """The file's digest, and the stamp by which it can be known again, if there is one."""
    with path.open("rb") as file:
        synchronised = _synchronise(file.fileno())
        before = _stamp(os.fstat(file.fileno()))
        reliable = synchronised and before.settled and _stamps_every_change(path)
        found = digest_file(path)
        unchanged = before == _stamp(os.fstat(file.fileno())) == stamp_of(path)
    return found, before if reliable and unchanged else None


def _synchronise(handle: int) -> bool:
    try:
        os.fsync(handle)
    except OSError:
        return False
    return True


def _recall(memory: Path, stamp: Stamp) -> str | None:
    try:
        known = json.loads(_place(memory, stamp).read_bytes())
        return str(known["digest"]) if known["stamp"] == list(stamp) else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _remember(memory: Path, stamp: Stamp, digest: str) -> None:
    """Not written atomically: a torn file is no JSON, and the next reader reads the bytes."""
    content = json.dumps({"schema_version": 1, "stamp": stamp, "digest": digest})
    try:
        memory.mkdir(parents=True, exist_ok=True)
        _place(memory, stamp).write_text(content, encoding="utf-8")
    except OSError:
        return


def _place(memory: Path, stamp: Stamp) -> Path:
    """One file per inode, so that what replaces it takes its place here too."""
    return memory / f"{stamp.device}-{stamp.inode}.json"


def _stamp(found: os.stat_result) -> Stamp:
    return Stamp(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


def _stamps_every_change(path: Path) -> bool:
    answer = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None, use_errno=True).statfs(os.fsencode(path), answer) != 0:
        return False
    return ctypes.c_long.from_buffer(answer).value & 0xFFFFFFFF in STAMPING
