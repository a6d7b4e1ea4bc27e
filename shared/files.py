"""Files that are either there in full or not there at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Waits until no other process holds this lock file."""
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def write_atomically(path: Path, content: str | bytes, *, mode: int = 0o644) -> None:
    """Writes a file so that a reader, or a crash, finds the old content or the new."""
    with _written_beside(path, content, mode) as scratch:
        scratch.replace(path)
        sync_folder(path.parent)


def write_once(path: Path, content: str | bytes, *, mode: int = 0o644) -> bool:
    """Writes a file in full if none is there; False where one is, even one that was written at this very moment."""
    with _written_beside(path, content, mode) as scratch:
        try:
            # Other than a rename, a link never takes the place of what is there.
            path.hardlink_to(scratch)
        except FileExistsError:
            return False
        sync_folder(path.parent)
        return True


@contextmanager
def _written_beside(path: Path, content: str | bytes, mode: int) -> Iterator[Path]:
    """A finished file in the folder of `path`, which is gone afterwards unless it was given that name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def scratch_in(parent: Path) -> Iterator[Path]:
    """A folder inside `parent` for work in progress; whatever did not `settle` is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(dir=parent, prefix=".scratch."))
    scratch.chmod(0o755)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def settle(scratch: Path, target: Path) -> bool:
    """Gives a finished folder its name in one step; False where the name is taken, as by the same content."""
    for path in scratch.rglob("*"):
        if path.is_file():
            _sync_file(path)
        elif path.is_dir() and not path.is_symlink():
            sync_folder(path)
    sync_folder(scratch)
    try:
        scratch.rename(target)
    except OSError:
        if not target.is_dir():
            raise
        return False
    sync_folder(target.parent)
    return True


def settle_verified(scratch: Path, target: Path, intact: Callable[[Path], bool]) -> bool:
    """Settles like `settle`, and repairs: a folder of that name that is not `intact` is moved aside.

    What was moved aside stays as `.damaged.<n>.<name>` for whoever wants to know what happened to it.
    """
    while not settle(scratch, target):
        if intact(target):
            return False
        _move_aside(target)
    return True


def _move_aside(target: Path) -> None:
    names = (target.with_name(f".damaged.{n}.{target.name}") for n in count(1))
    try:
        target.rename(next(path for path in names if not os.path.lexists(path)))
    except FileNotFoundError:
        return  # another process has just done so


def sync_folder(folder: Path) -> None:
    """Makes the names within `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _sync_file(path: Path) -> None:
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
