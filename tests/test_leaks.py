"""The scanner finds what is planted on purpose, in every format and code, and nothing where nothing is."""

from __future__ import annotations

import base64
import gzip
import json
import sqlite3
import zipfile
import zlib
from contextlib import closing
from datetime import date
from urllib.parse import quote

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.leaks import leaks

NAME, SUM = "Zörbläx-Quist 7/7", 418273.19
PLANTED = {"a name": [NAME], "a sum": [SUM]}


def write_parquet(path, **options):
    pq.write_table(pa.table({"n": [1, 2], "v": ["x", NAME]}), path, **options)


def write_duckdb(path, *, checkpoint=True):
    connection = duckdb.connect(str(path), config={"checkpoint_threshold": "1GB"})
    connection.execute("CREATE SCHEMA inner_one")
    connection.execute("CREATE TABLE inner_one.t AS SELECT i, 'x' || (i % 3) AS v FROM range(5000) r(i)")
    connection.execute("CHECKPOINT")
    connection.execute("INSERT INTO inner_one.t VALUES (1, ?)", [NAME])
    if checkpoint:
        connection.execute("CHECKPOINT")
    else:
        connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    connection.close()


def write_sqlite(path, value=NAME, *, journal="DELETE"):
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA journal_mode={journal}")
        connection.execute("CREATE TABLE t (v)")
        connection.execute("INSERT INTO t VALUES (?)", [value])
        connection.commit()
        if journal == "WAL":
            # As another process leaves it that was killed.
            kept = path.with_name(path.name + "-wal").read_bytes()
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            path.with_name("left-wal").write_bytes(kept)


def write_zip(path):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        write_parquet(path.with_name("inner.parquet"), compression="zstd")
        archive.write(path.with_name("inner.parquet"), "deep/inner.parquet")
    path.with_name("inner.parquet").unlink()


CODES = {
    "text": NAME.encode(),
    "capitals": NAME.upper().encode(),
    "UTF-16": NAME.encode("utf-16"),
    "UTF-16 big-endian": NAME.encode("utf-16-be"),
    "hexadecimal": NAME.encode().hex().encode(),
    "hexadecimal capitals": NAME.encode().hex().upper().encode(),
    "percent": quote(NAME, safe="").encode(),
    "percent in small letters": quote(NAME, safe="").lower().encode(),
    "JSON": json.dumps({"v": NAME}).encode(),
    "Base64 first": base64.b64encode(NAME.encode()),
    "Base64 second": base64.b64encode(b"." + NAME.encode() + b"and more"),
    "Base64 third": base64.urlsafe_b64encode(b".." + NAME.encode() + b"!"),
    "gzip": gzip.compress(b"..." + NAME.encode()),
    "gzip in gzip": gzip.compress(gzip.compress(b"..." + NAME.encode())),
    "zlib": zlib.compress(b"..." + NAME.encode() * 3),
}


@pytest.mark.parametrize("code", CODES)
def test_a_value_is_found_in_every_code(tmp_path, code):
    (tmp_path / "file").write_bytes(CODES[code])
    assert {line.split(": ")[1] for line in leaks(tmp_path, PLANTED)} == {"a name"}


WRITERS = {
    "plain Parquet": lambda path: write_parquet(path, compression="none", use_dictionary=False),
    "Parquet in Zstandard": lambda path: write_parquet(path, compression="zstd"),
    "Parquet in a dictionary": lambda path: write_parquet(path, compression="gzip", use_dictionary=True),
    "nested Parquet": lambda path: pq.write_table(pa.table({"v": [[{"k": NAME}]]}), path, compression="zstd"),
    "Parquet's own notes": lambda path: pq.write_table(
        pa.table({"n": [1]}).replace_schema_metadata({"note": NAME}), path
    ),
    "DuckDB": write_duckdb,
    "DuckDB's log": lambda path: write_duckdb(path, checkpoint=False),
    "SQLite": write_sqlite,
    "a SQLite blob": lambda path: write_sqlite(path, NAME.encode("utf-16-le")),
    "Parquet in a zip": write_zip,
}


@pytest.mark.parametrize("kind", WRITERS)
def test_a_value_is_found_in_every_kind_of_table(tmp_path, kind):
    WRITERS[kind](tmp_path / "table")
    assert {line.split(": ")[1] for line in leaks(tmp_path, PLANTED)} == {"a name"}


def test_a_value_is_found_in_the_log_that_a_killed_process_left(tmp_path):
    write_sqlite(tmp_path / "kept", journal="WAL")
    (tmp_path / "kept").unlink()
    assert leaks(tmp_path, PLANTED) == ["left-wal: a name"]


def test_a_number_is_found_as_text_and_as_tables_hold_it(tmp_path):
    (tmp_path / "text.csv").write_text(f"income\n{SUM}\n")
    pq.write_table(pa.table({"income": [0.5, SUM]}), tmp_path / "t.parquet", compression="zstd")
    with duckdb.connect(str(tmp_path / "t.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT ? AS income", [SUM])
    write_sqlite(tmp_path / "t.db", SUM)
    assert {line.split(" ")[0].rstrip(":") for line in leaks(tmp_path, PLANTED)} >= {
        "text.csv", "t.parquet", "t.duckdb", "t.db",
    }  # fmt: skip


def test_a_day_is_found_in_a_table_of_days(tmp_path):
    pq.write_table(pa.table({"born": [date(1961, 7, 23)]}), tmp_path / "t.parquet")
    assert leaks(tmp_path, {"a day": ["1961-07-23"]}) == ["t.parquet (Parquet): a day"]


def test_the_name_of_a_file_is_looked_at_too(tmp_path):
    (tmp_path / "for quist7.txt").write_text("nothing")
    assert leaks(tmp_path, {"a name": ["Quist7"]}) == ["for quist7.txt: a name"]


def test_where_nothing_is_planted_nothing_is_found(tmp_path):
    for name, writer in WRITERS.items():
        folder = tmp_path / name
        folder.mkdir()
        writer(folder / "table")
    assert leaks(tmp_path, {"another name": ["Qörblax"], "another sum": [418273.2]}) == []
