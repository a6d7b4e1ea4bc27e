"""What the machine below us refuses: a full disk, a read-only mount, a damaged file, each named for what it is."""

from __future__ import annotations

import errno
import os
import sqlite3
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from shared.core.errors import BadInput, Damaged, Fault, PilotPlantError

Kind = Literal["full", "read-only", "forbidden", "failing", "memory", "damaged"]

_WORDS: dict[Kind, tuple[str, str]] = {
    "full": ("the disk is full", "make room there, then give the same command again, which finishes what was cut off"),
    "read-only": (
        "the disk cannot be written: it is mounted read-only",
        "mount it for writing, then give the same command again",
    ),
    "forbidden": (
        "this account may not read or write here",
        "give the command as the account that the files belong to",
    ),
    "memory": (
        "a table is too large for the memory that it may have",
        "give what was to come in several smaller files",
    ),
    "failing": (
        "the disk does not read or write as it should",
        "look into the machine's log; when the disk is sound, give the same command again",
    ),
}
RESTORE = "restore it from a backup; `pilotplant verify` says what else is damaged"
_BY_ERRNO: dict[int, Kind] = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read-only",
    errno.EACCES: "forbidden",
    errno.EPERM: "forbidden",
    errno.EIO: "failing",
    errno.EUCLEAN: "damaged",
}
# What no file can be called, and where none can be.
_NO_FILE = {
    errno.ENAMETOOLONG: "it is too long",
    errno.ELOOP: "it is a link that leads back to itself",
    errno.ENOTDIR: "a file stands where a folder should",
    errno.EISDIR: "it is a folder",
    errno.EINVAL: "it has a sign that is not allowed there",
}
# Primary result codes (sqlite.org/rescode.html); what is None says too little: the disk itself is asked.
_BY_SQLITE: dict[int, Kind | None] = {
    sqlite3.SQLITE_FULL: "full",
    sqlite3.SQLITE_CORRUPT: "damaged",
    sqlite3.SQLITE_NOTADB: "damaged",
    sqlite3.SQLITE_READONLY: None,
    sqlite3.SQLITE_CANTOPEN: None,
    sqlite3.SQLITE_IOERR: None,
}
# PostgreSQL's error codes (its manual, appendix A): the server's own disk, file and pages.
_BY_SQLSTATE: dict[str, Kind] = {
    "53100": "full",
    "25006": "read-only",
    "58030": "failing",
    "58P01": "damaged",
    "XX001": "damaged",
    "XX002": "damaged",
}
# How DuckDB and what it reads speak of a file whose content is none; it gives no codes.
_DAMAGED_SAYINGS = (
    "not a valid DuckDB database file",
    "Corrupt database file",
    "Failed to load metadata pointer",
    "No magic bytes found",
    "is not a Parquet file",
    "TProtocolException",
    "computed checksum",
    "Failed to deserialize",
    "too small to be a Parquet file",
)
# Less than this is no room for a page of a database and its log.
_ROOM_BYTES = 64 * 1024


def fault(error: BaseException, where: str | None = None) -> Fault | None:
    """What the machine has against us, if that is what an error comes from; None where it is something else.

    `where` names the place for errors that do not name one themselves.
    """
    for one in _chain(error):
        if isinstance(one, Fault):
            return one
        kind = _kind(one, where)
        if kind is not None:
            if kind == "damaged":
                what = "a file" if isinstance(one, OSError) else "the database"
                return Damaged(f"{what} is damaged ({first_line(one)})", where=_place(one) or where, remedy=RESTORE)
            return told(kind, _place(one) or where)
    return None


def no_file(error: BaseException) -> BadInput | None:
    """That a name is none that a file could have, if that is what an error comes from."""
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in _NO_FILE and one.filename is not None:
            return BadInput(
                f"this cannot be the name of a file: {_NO_FILE[one.errno]}",
                where=_place(one),
                remedy="correct the name",
            )
    return None


def told(kind: Literal["full", "read-only", "forbidden", "failing", "memory"], where: str | None) -> Fault:
    """The error that says so."""
    what, remedy = _WORDS[kind]
    return Fault(what, where=where, remedy=remedy)


def first_line(error: object) -> str:
    """The first line of what an error says."""
    return str(error).split("\n", maxsplit=1)[0]


def is_full(place: Path) -> bool:
    """Whether the disk that holds a file or folder has no room for another page of a database and its log."""
    found = os.statvfs(place)
    return found.f_bavail * found.f_frsize < _ROOM_BYTES or bool(found.f_files and not found.f_favail)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """The error, what a database's driver raised below it, and what it was raised from."""
    while error is not None:
        # Another answer of ours says what it knows; only a defect may turn out to be the machine's.
        if isinstance(error, PilotPlantError) and type(error).exit_code != PilotPlantError.exit_code:
            if isinstance(error, Fault):
                yield error
            return
        yield error
        below = getattr(error, "orig", None)
        if isinstance(below, BaseException):
            yield below
        error = error.__cause__


def _kind(error: BaseException, where: str | None) -> Kind | None:
    if isinstance(error, OSError):
        return _BY_ERRNO.get(error.errno) if error.errno is not None else _of_text(str(error))
    if isinstance(error, sqlite3.Error):
        code = getattr(error, "sqlite_errorcode", None)
        primary = None if code is None else code & 0xFF
        if primary not in _BY_SQLITE:
            return None
        return _BY_SQLITE[primary] or _of_disk(Path(where) if where else None)
    sqlstate = getattr(error, "sqlstate", None)
    if isinstance(sqlstate, str):
        return _BY_SQLSTATE.get(sqlstate)
    duckdb = sys.modules.get("duckdb")
    if duckdb is not None and isinstance(error, duckdb.Error):
        return _of_text(str(error))
    return None


def _of_text(said: str) -> Kind | None:
    """What kind of fault a library without error codes speaks of."""
    for number, kind in _BY_ERRNO.items():
        if os.strerror(number) in said:
            return kind
    if "Out of Memory Error" in said:
        return "memory"
    return "damaged" if any(saying in said for saying in _DAMAGED_SAYINGS) else None


def _of_disk(path: Path | None) -> Kind:
    """What hinders a file from being opened or written, by what the disk says of itself."""
    if path is None:
        return "failing"
    place = next((each for each in (path, *path.parents) if each.exists()), Path("/"))
    if os.statvfs(place).f_flag & os.ST_RDONLY:
        return "read-only"
    if is_full(place):
        return "full"
    if place.is_dir() and place == path:
        return "damaged"
    wanted = (place, place.parent) if place == path else (place,)
    return "failing" if all(os.access(each, os.R_OK | os.W_OK) for each in wanted) else "forbidden"


def _place(error: BaseException) -> str | None:
    name = getattr(error, "filename", None)
    return os.fsdecode(name) if isinstance(name, str | bytes) else None
