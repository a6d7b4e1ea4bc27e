"""What some tests need of the machine: where it is missing they are skipped by name, and under CI they fail.

A skipped test proves nothing. A machine that runs the whole suite has these walls, and one that lost them says so.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shared.sandbox import landlock

# Landlock came with 5.13 (man 7 landlock).
SINCE = (5, 13)


def require(wall: str, standing: bool, *, expected: bool | None = None) -> None:
    """Goes on where a wall stands; else skips the test, or fails it under CI where the machine should have the wall.

    `expected` is whether it should; every Linux should have what is not said otherwise of.
    """
    if standing:
        return
    should = platform.system() == "Linux" if expected is None else expected
    if os.environ.get("CI", "").lower() in {"1", "true"} and should:
        pytest.fail(f"this machine should have {wall}, and has not: nothing was tested")
    pytest.skip(f"this machine has not {wall}")


def require_landlock() -> None:
    """The kernel can confine untrusted code."""
    require("Landlock", bool(landlock.available()), expected=platform.system() == "Linux" and kernel() >= SINCE)


def require_root() -> None:
    """The tests are run by root, who may become anybody and mount."""
    require("root at work", os.geteuid() == 0)


def require_setpriv() -> None:
    """A command can be tried as another account."""
    require_root()
    require("setpriv (util-linux)", shutil.which("setpriv") is not None)


def kernel(release: str | None = None) -> tuple[int, int]:
    """The running kernel's version."""
    found = re.match(r"(\d+)\.(\d+)", release or platform.release())
    return (int(found[1]), int(found[2])) if found else (0, 0)


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A disk of its own, mounted at `folder`, and gone afterwards."""
    require_root()
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0755", "tmpfs", folder], capture_output=True, text=True
    )
    require(f"a tmpfs that can be mounted ({mounted.stderr.strip()})", mounted.returncode == 0)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def fill(folder: Path) -> Path:
    """Leaves no room on the disk of a folder; returns the file that takes it all."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as stream:
        for size in (2**20, 4096, 1):
            try:
                while True:
                    stream.write(b"\0" * size)
            except OSError:
                continue
    return path


def remount(folder: Path, *, writable: bool) -> None:
    """Lets the disk of a folder be written, or not."""
    subprocess.run(["mount", "-o", f"remount,{'rw' if writable else 'ro'}", folder], check=True)
