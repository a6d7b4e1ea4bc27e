"""Files that are either there in full or not there at all, and that no other account of the machine can read.

A folder says whom its files are for: one with the setgid bit is its group's as well, to read or also to write, any
other is its owner's alone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

# The umask of every process of ours.
PRIVATE = 0o077
SCRATCH = ".scratch."
LOCK_POLL_S = 0.01


@contextmanager
def locked(path: Path, *, timeout_s: float = -1) -> Iterator[None]:
    """Holds a lock file, which the kernel lifts even after a kill; waits until no other process does.

    Raises TimeoutError where that takes longer than `timeout_s`; a negative one waits without an end.
    """
    from filelock import UnixFileLock  # which takes longer to import than most commands need one

    # Where the kernel knows no locks, a file that is merely there would outlive whoever made it.
    with UnixFileLock(path, timeout=timeout_s, poll_interval=LOCK_POLL_S, fallback_to_soft=False):
        yield


def mode_in(folder: Path, *, of_folder: bool = False) -> int:
    """The mode of a file, or a folder, that lies in a folder."""
    mode = folder.stat().st_mode
    if not mode & stat.S_ISGID:
        return 0o700 if of_folder else 0o600
    if mode & stat.S_IWGRP:
        return 0o2770 if of_folder else 0o660
    return 0o2750 if of_folder else 0o640


def give_mode(path: Path, mode: int) -> bool:
    """Gives a file or folder its mode, and says whether it had another; one that is right keeps its stamp."""
    if stat.S_IMODE(path.lstat().st_mode) == mode:
        return False
    path.chmod(mode)
    return True


def write_atomically(path: Path, content: str | bytes) -> None:
    """Writes a file so that a reader, or a crash, finds the old content or the new."""
    with _written_beside(path, content) as scratch:
        scratch.replace(path)
        sync_folder(path.parent)


def write_once(path: Path, content: str | bytes) -> bool:
    """Writes a file in full if none is there; False where one is, even one that was written at this very moment."""
    with _written_beside(path, content) as scratch:
        try:
            # Other than a rename, a link never takes the place of what is there.
            path.hardlink_to(scratch)
        except FileExistsError:
            return False
        sync_folder(path.parent)
        return True


@contextmanager
def _written_beside(path: Path, content: str | bytes) -> Iterator[Path]:
    """A finished file in the folder of `path`, which is gone afterwards unless it was given that name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(content.encode() if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        Path(name).chmod(mode_in(path.parent))
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)


@contextmanager
def scratch_in(parent: Path) -> Iterator[Path]:
    """A folder inside `parent` for work in progress; whatever did not `settle` is removed."""
    parent.mkdir(parents=True, exist_ok=True)
    scratch, handle = _new_scratch(parent)
    try:
        yield scratch
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        os.close(handle)


def _new_scratch(parent: Path) -> tuple[Path, int]:
    """A new folder, and the lock that says that somebody is at work in it; the kernel lifts it even after a kill."""
    while True:
        scratch = Path(tempfile.mkdtemp(dir=parent, prefix=SCRATCH))
        handle = os.open(scratch, os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX)
        # Between its making and its lock it may have been taken for one that was left behind.
        with suppress(FileNotFoundError):
            if scratch.stat().st_ino == os.fstat(handle).st_ino:
                scratch.chmod(mode_in(parent, of_folder=True))
                return scratch, handle
        os.close(handle)


def remove_abandoned(parent: Path) -> list[Path]:
    """Removes the scratch folders in `parent` that nobody is at work in, as after a kill; returns which."""
    return [scratch for scratch in sorted(parent.glob(f"{SCRATCH}*")) if _abandoned(scratch)]


def _abandoned(scratch: Path) -> bool:
    try:
        handle = os.open(scratch, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    except OSError:
        return False  # gone meanwhile, or none of ours
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        shutil.rmtree(scratch, ignore_errors=True)
        return not scratch.exists()
    except BlockingIOError:
        return False
    finally:
        os.close(handle)


def settle(scratch: Path, target: Path) -> bool:
    """Gives a finished folder its name in one step; False where the name is taken, as by the same content."""
    target.parent.mkdir(parents=True, exist_ok=True)
    file_mode, folder_mode = mode_in(target.parent), mode_in(target.parent, of_folder=True)
    for path in scratch.rglob("*"):
        if path.is_symlink():
            continue
        give_mode(path, folder_mode if path.is_dir() else file_mode)
        if path.is_file():
            sync_file(path)
        elif path.is_dir():
            sync_folder(path)
    give_mode(scratch, folder_mode)
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
        names = (target.with_name(f".damaged.{n}.{target.name}") for n in count(1))
        with suppress(FileNotFoundError):  # another process has just done so
            target.rename(next(path for path in names if not os.path.lexists(path)))
    return True


def sync_folder(folder: Path) -> None:
    """Makes the names within `folder` survive a power cut."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def sync_file(path: Path) -> None:
    """Makes a file's content survive a power cut."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())
