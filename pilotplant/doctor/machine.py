"""The machine: Python and its libraries, walls of the kernel, clock, time zones, disk."""

from __future__ import annotations

import ctypes
import os
import shutil
import sqlite3
import sys
import tempfile
from functools import partial
from importlib import metadata
from pathlib import Path
from zoneinfo import ZoneInfo

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

from pilotplant.doctor.checks import Check, Question
from shared.sandbox import check_audience, landlock
from shared.state.workspace import Workspace

PACKAGE = "pilotplant"
# What Prefect's server asks for (prefect/server/database/configurations.py), the most of all that use SQLite here.
SQLITE_MIN = (3, 24, 0)
# Below it the Factory's next load or an analysis may not fit; the demo takes a tenth of it.
FREE_MIN_BYTES = 2**30
# linux/timex.h: what adjtimex returns while nothing keeps the clock right.
_TIME_ERROR = 5
_TIMEX_BYTES = 512
# One zone with summer time, on either side of the equator.
_ZONES = ("Europe/Berlin", "America/Santiago")


def checks(workspace: Workspace | None) -> list[Question]:
    """What is asked of the machine; its disk is that of the workspace, where there is one."""
    place = Path.cwd() if workspace is None else workspace.root
    reinstall = "install Pilot Plant anew with its requirements.lock"
    return [
        Question("python", python, "use a Python that this release supports"),
        Question("libraries", libraries, reinstall),
        Question("sqlite", sqlite, "use a Python that was built with a newer SQLite"),
        Question("kernel walls", kernel_walls, "use Linux 5.13 or later, with Landlock enabled"),
        Question("box", box, "see that this account may start processes, and write in the folder for temporary files"),
        Question("clock", clock, "have the machine's clock kept by NTP, for instance by chrony"),
        Question("time zones", time_zones, reinstall),
        Question("disk", partial(disk, place), "make room, or put the workspace on another disk"),
        Question("temporary files", temporary, "make room there, or set TMPDIR to a folder that can be written"),
    ]


def python() -> Check:
    """Whether the installed package supports this interpreter."""
    wanted = metadata.metadata(PACKAGE)["Requires-Python"]
    version = ".".join(map(str, sys.version_info[:3]))
    if SpecifierSet(wanted).contains(version):
        return Check("python", True, version)
    return Check("python", False, f"this is Python {version}, and the release needs {wanted}")


def libraries() -> Check:
    """Whether each library is there in a version that the installed package asks for."""
    wrong, asked = [], [Requirement(text) for text in metadata.requires(PACKAGE) or ()]
    asked = [one for one in asked if one.marker is None or one.marker.evaluate({"extra": ""})]
    for one in asked:
        try:
            version = metadata.version(one.name)
        except metadata.PackageNotFoundError:
            wrong.append(f"{one.name} is not installed")
            continue
        if not one.specifier.contains(version, prereleases=True):
            wrong.append(f"{one.name} is {version}, and {one.specifier} is needed")
    if wrong:
        return Check("libraries", False, "; ".join(wrong))
    return Check("libraries", True, f"{len(asked)}, each in a version that this release is made for")


def sqlite() -> Check:
    """Whether SQLite is new enough."""
    found, wanted = sqlite3.sqlite_version, ".".join(map(str, SQLITE_MIN))
    ok = sqlite3.sqlite_version_info >= SQLITE_MIN
    return Check("sqlite", ok, found if ok else f"it is {found}, and {wanted} is needed")


def kernel_walls() -> Check:
    """Whether the kernel can confine SQL and templates of the Lab."""
    version = landlock.available()
    if version:
        return Check("kernel walls", True, f"Landlock, version {version}")
    return Check("kernel walls", False, "this kernel has no Landlock, so SQL and templates of the Lab are not run")


def box() -> Check:
    """Whether a child process can be confined: one is, and judges a SELECT."""
    check_audience("SELECT unit FROM customers", ["customers"], where="the box")
    return Check("box", True, "SQL was judged in a confined process")


def clock() -> Check:
    """Whether the kernel's clock is kept right, as the kernel itself says."""
    libc = ctypes.CDLL(None, use_errno=True)
    state = int(libc.adjtimex(ctypes.create_string_buffer(_TIMEX_BYTES)))
    if state < 0:
        problem = ctypes.get_errno()
        raise OSError(problem, os.strerror(problem))
    if state == _TIME_ERROR:
        return Check("clock", False, "the kernel says that nothing keeps this machine's clock right")
    return Check("clock", True, "the kernel says that it is kept right")


def time_zones() -> Check:
    """Whether time zones can be looked up."""
    for name in _ZONES:
        ZoneInfo(name)
    return Check("time zones", True, f"tzdata {metadata.version('tzdata')}")


def disk(place: Path) -> Check:
    """Whether there is room on a disk, and it can be written."""
    free, found = shutil.disk_usage(place).free, os.statvfs(place)
    if found.f_flag & os.ST_RDONLY:
        return Check("disk", False, f"{place} lies on a disk that is mounted read-only", "mount it for writing")
    if not os.access(place, os.W_OK):
        return Check("disk", False, f"this account may not write in {place}", "work as the account that it belongs to")
    if found.f_files and not found.f_favail:
        return Check("disk", False, f"the disk of {place} takes no more files", "remove files that nobody needs")
    said = f"{free / 2**30:,.1f} GB free for {place}"
    return Check("disk", free >= FREE_MIN_BYTES, said if free >= FREE_MIN_BYTES else f"{said}, and 1 GB is needed")


def temporary() -> Check:
    """Whether temporary files can be written."""
    with tempfile.TemporaryFile() as stream:
        stream.write(b"\0" * 4096)
    return Check("temporary files", True, tempfile.gettempdir())
