"""A scanner that finds values wherever they lie below a folder: in raw bytes, in tables, in archives, in other codes.

It reads what a curious person could read: every file's bytes and name, every column of Parquet, every table of DuckDB
and SQLite, the insides of gzip, zlib and zip, and in each of them the value as text, UTF-16, hexadecimal, Base64,
percent-encoded or escaped as in JSON; numbers also as the eight bytes that databases and Parquet write.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import shutil
import sqlite3
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote, quote_plus

import duckdb
import pyarrow.parquet as pq

DEPTH = 4


def leaks(root: Path, planted: Mapping[str, Iterable[str | int | float]]) -> list[str]:
    """Where below `root` a planted value lies, as `file: what`; values are given by what they are."""
    needles = [(what, form) for what, values in planted.items() for value in values for form in forms(value)]
    found = []
    for path in sorted(_files(root)):
        name = str(path.relative_to(root))
        for place, content in [(name, name.encode()), *readings(path, name)]:
            found += [f"{place}: {what}" for what in _in(content, needles)]
    return sorted(set(found))


def forms(value: str | float) -> set[bytes]:
    """A value as files may hold it; everything is looked at in small letters as well."""
    if not isinstance(value, str):
        packed = struct.pack("<d", value), *([struct.pack("<q", value)] if isinstance(value, int) else [])
        return {*packed, *forms(repr(value))}
    return {form for text in (value, value.lower(), value.upper()) for form in _codes(text)}


def _codes(text: str) -> Iterator[bytes]:
    plain = text.encode()
    yield from (plain, text.encode("utf-16-le"), text.encode("utf-16-be"), plain.hex().encode())
    for escaped in (json.dumps(text)[1:-1], quote(text, safe=""), quote(text), quote_plus(text)):
        yield from (escaped.encode(), escaped.lower().encode())
    yield from _base64(plain)


def _base64(plain: bytes) -> Iterator[bytes]:
    """What is the same of it whatever stands before and after, at each of the three places it can begin."""
    for before in range(3):
        coded = base64.b64encode(b"\0" * before + plain)
        first, last = -(-before * 8 // 6), (before + len(plain)) * 8 // 6
        yield coded[first:last]
        yield base64.urlsafe_b64encode(b"\0" * before + plain)[first:last]


def readings(path: Path, name: str) -> Iterator[tuple[str, bytes]]:
    """A file's bytes, and everything that can be read out of them."""
    # A database's latest rows may still lie beside it.
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(scratch) / "copy"
        for suffix in ("", "-wal", ".wal"):
            if (beside := path.with_name(path.name + suffix)).is_file():
                shutil.copyfile(beside, copy.with_name(copy.name + suffix))
        yield from _readings(copy, name, DEPTH)


def _readings(path: Path, name: str, depth: int) -> Iterator[tuple[str, bytes]]:
    content = path.read_bytes()
    yield name, content
    if content[:4] == content[-4:] == b"PAR1":
        yield f"{name} (Parquet)", _parquet(path)
    elif content[8:12] == b"DUCK":
        yield f"{name} (DuckDB)", _duckdb(path)
    elif content[:16] == b"SQLite format 3\0":
        yield f"{name} (SQLite)", _sqlite(path)
    for inner, unpacked in _unpacked(content) if depth else ():
        with tempfile.TemporaryDirectory() as scratch:
            part = Path(scratch) / "part"
            part.write_bytes(unpacked)
            yield from _readings(part, f"{name}!{inner}", depth - 1)


def _unpacked(content: bytes) -> Iterator[tuple[str, bytes]]:
    if content[:2] == b"\x1f\x8b":
        yield "gzip", gzip.decompress(content)
    elif content[:1] == b"\x78" and content[1:2] in b"\x01\x5e\x9c\xda":
        try:
            yield "zlib", zlib.decompress(content)
        except zlib.error:
            return  # two bytes that only look like it
    elif content[:4] == b"PK\x03\x04":
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for entry in archive.namelist():
                yield f"{entry} (its name)", entry.encode()
                yield entry, archive.read(entry)


def _parquet(path: Path) -> bytes:
    table = pq.read_table(path)
    return "\n".join(
        [*table.column_names, *(_text(value) for column in table.columns for value in column.to_pylist())]
    ).encode() + b"".join(b"%s=%s\n" % pair for pair in (table.schema.metadata or {}).items())


def _duckdb(path: Path) -> bytes:
    with duckdb.connect(str(path), config={"access_mode": "READ_WRITE"}) as connection:
        rows = connection.execute("SELECT sql FROM duckdb_tables() UNION ALL SELECT sql FROM duckdb_views()").fetchall()
        names = connection.execute(
            'SELECT format(\'"{}"."{}"\', schema_name, table_name) FROM duckdb_tables()'
        ).fetchall()
        for (name,) in names:
            rows += connection.execute(f"FROM {name}").fetchall()
    return "\n".join(_text(value) for row in rows for value in row).encode()


def _sqlite(path: Path) -> bytes:
    with closing(sqlite3.connect(path)) as connection:
        return "\n".join(connection.iterdump()).encode()


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, list | tuple):
        return "\n".join(map(_text, value))
    if isinstance(value, dict):
        return "\n".join(f"{_text(key)}\n{_text(each)}" for key, each in value.items())
    return str(value)


def _files(root: Path) -> Iterator[Path]:
    for folder, _folders, names in os.walk(root):
        for name in names:
            path = Path(folder) / name
            if path.is_file():
                yield path


def _in(content: bytes, needles: list[tuple[str, bytes]]) -> set[str]:
    small = content.lower()
    return {what for what, form in needles if form in content or form in small}
