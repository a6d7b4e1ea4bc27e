"""Tables as files: read as declared by a contract or not at all, and written so that no cell acts on a spreadsheet."""

from __future__ import annotations

import codecs
import csv
import io
import os
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from shared.contracts import Column
from shared.errors import BadInput
from shared.printable import SUSPICIOUS, cell
from shared.sql import file_literal, identifier, literal

ROW = "_row"
CSV, PARQUET = ".csv", ".parquet"
PIECE_BYTES = 1 << 20


@cache
def _database(_process: int) -> duckdb.DuckDBPyConnection:
    """One for all of a process, since to open one takes longer than most questions; it holds nothing itself."""
    # Nothing that was read is kept: a file may have been changed since.
    database = duckdb.connect(config={"enable_external_file_cache": False})
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    return database


def connect() -> duckdb.DuckDBPyConnection:
    """A DuckDB in UTC whose files keep the order of their rows; all that it makes has to be temporary."""
    return _database(os.getpid()).cursor()  # a child that was forked opens its own


def read_raw(connection: duckdb.DuckDBPyConnection, path: Path, name: str) -> list[str]:
    """Reads a file whole into table `name`, every value as text, rows numbered from 1 in `_row`; returns its columns.

    Raises BadInput for a file that is missing, empty, not UTF-8, or not a table.
    """
    _refuse_unreadable(path)
    source = (
        f"read_parquet({file_literal(path)}, hive_partitioning = false)"
        if path.suffix == PARQUET
        # No row is a comment, and none is skipped in search of the header: nothing is lost in silence.
        else f"read_csv({file_literal(path)}, header = true, all_varchar = true, delim = ',', quote = '\"', "
        "escape = '\"', comment = '', skip = 0, null_padding = false, ignore_errors = false, hive_partitioning = false)"
    )
    try:
        columns = [row[0] for row in connection.execute(f"DESCRIBE SELECT * FROM {source}").fetchall()]
        texts = ", ".join(f"CAST({identifier(column)} AS VARCHAR) AS {identifier(column)}" for column in columns)
        connection.execute(
            f"CREATE OR REPLACE TEMP TABLE {name} AS SELECT row_number() OVER () AS {ROW}, {texts} FROM {source}"
        )
    except duckdb.Error as error:
        raise BadInput(
            f"the file cannot be read as a {path.suffix[1:]} table: {_first_line(error)}",
            where=str(path),
            remedy="export it again; values with commas need double quotes",
        ) from error
    counted = connection.execute(f"SELECT count(*) FROM {name}").fetchone()
    if counted is None or counted[0] == 0:
        raise BadInput("the file has no rows", where=str(path), remedy="check the export: only its header arrived")
    return columns


def require_columns(path: Path, found: list[str], required: list[str], optional: list[str]) -> None:
    """Raises BadInput where a column is missing, doubled or unknown: such a file is rejected whole."""
    for column in required:
        if column not in found:
            raise BadInput(
                f"column `{column}` is missing",
                where=str(path),
                expected="columns " + ", ".join([*required, *(f"[{name}]" for name in optional)]),
                remedy="add it to the export; nothing was taken from this file",
            )
    known = {*required, *optional}
    for column in found:
        if column not in known:
            raise BadInput(
                f"column `{column}` is unknown",
                where=str(path),
                expected="columns " + ", ".join([*required, *(f"[{name}]" for name in optional)]),
                remedy="remove it from the export, or add it to the contract; nothing was taken from this file",
            )


def typed_sql(columns: list[Column], present: list[str]) -> str:
    """The select list that turns texts into the contract's types; what cannot be turned, or is absent, is NULL."""
    return ", ".join(
        f"{_typed(c)} AS {identifier(c.name)}"
        if c.name in present
        else f"CAST(NULL AS {c.duckdb_type}) AS {identifier(c.name)}"
        for c in columns
    )


def unreadable_sql(columns: list[Column], present: list[str], raw: str) -> str:
    """A query over the raw table: (row, reason) for each value that is not of its column's type."""
    parts = [
        f"SELECT {ROW} AS row, {literal(f'{c.name} is not a {c.type}')} AS reason FROM {raw} "
        f"WHERE {identifier(c.name)} IS NOT NULL AND {_typed(c)} IS NULL"
        for c in columns
        if c.name in present and c.type != "string"
    ]
    return " UNION ALL ".join(parts) if parts else "SELECT 0 AS row, '' AS reason WHERE false"


def _typed(column: Column) -> str:
    cast = f"TRY_CAST({identifier(column.name)} AS {column.duckdb_type})"
    if column.type == "integer":
        # The cast alone would round 1.5 to 2.
        return f"CASE WHEN {cast} = TRY_CAST({identifier(column.name)} AS DOUBLE) THEN {cast} END"
    return cast


def _refuse_unreadable(path: Path) -> None:
    if not path.is_file():
        raise BadInput("there is no such file", where=str(path), remedy="check the name and the folder")
    if path.suffix not in {CSV, PARQUET}:
        raise BadInput(
            f"files of type `{path.suffix or path.name}` are not read",
            where=str(path),
            expected="a .csv or .parquet file",
            remedy="export the table as CSV (UTF-8, commas)",
        )
    if path.stat().st_size == 0:
        raise BadInput("the file is empty", where=str(path), remedy="export it again")
    if path.suffix == CSV:
        _refuse_other_encodings(path)


def _refuse_other_encodings(path: Path) -> None:
    if _is_text(path):
        return
    with path.open("rb") as stream:
        for line, text in enumerate(stream, 1):
            where = f"{path}, line {line}"
            if b"\0" in text:
                raise BadInput("the file holds binary data", where=where, remedy="export the table as CSV")
            try:
                text.decode("utf-8")
            except UnicodeDecodeError as error:
                remedy = "export it again with the encoding UTF-8"
                raise BadInput("the file is not in UTF-8", where=where, remedy=remedy) from error


def _is_text(path: Path) -> bool:
    """Whether the file is UTF-8 without zero bytes, in large pieces: its lines need a look only where it is not."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as stream:
        try:
            while piece := stream.read(PIECE_BYTES):
                if b"\0" in piece:
                    return False
                decoder.decode(piece)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            return False
    return True


def _first_line(error: Exception) -> str:
    return str(error).split("\n", 1)[0]


def require_writable(out: Path) -> None:
    """Raises BadInput for a name that `write_table` cannot write to."""
    if out.suffix not in {CSV, PARQUET}:
        raise BadInput(f"`{out}` has no type that can be written", expected="a name ending in .csv or .parquet")
    if not out.parent.is_dir():
        raise BadInput("there is no such folder", where=str(out.parent), remedy="create it first")


def write_table(connection: duckdb.DuckDBPyConnection, query: str, out: Path) -> int:
    """Writes a query's rows to a .csv or .parquet file, in full or not at all; returns how many."""
    require_writable(out)
    kind = "FORMAT parquet"
    if out.suffix == CSV:
        kind, query = "FORMAT csv, HEADER", _cells_sql(connection, query)
    scratch = out.with_name(f".{out.name}.partial")
    try:
        row = connection.execute(f"COPY ({query}) TO {literal(str(scratch))} ({kind})").fetchone()
        scratch.replace(out)
    finally:
        scratch.unlink(missing_ok=True)
    return int(row[0]) if row else 0


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """Rows as CSV, for what is no table of DuckDB's; a cell that a spreadsheet would compute begins with `'`."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([cell(value) for value in row] for row in (columns, *rows))
    return text.getvalue()


def _cells_sql(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """The query with its texts as cells of a sheet; Python is asked about those alone that are not plain ASCII text."""
    described = connection.execute(f"DESCRIBE {query}").fetchall()
    if not connection.execute("SELECT 1 FROM duckdb_functions() WHERE function_name = 'sheet_cell'").fetchone():
        connection.create_function("sheet_cell", cell, ["VARCHAR"], "VARCHAR")
    shown = ", ".join(
        f"{_cell_sql(name) if kind == 'VARCHAR' else identifier(name)} AS {identifier(cell(name))}"
        for name, kind, *_ in described
    )
    return f"SELECT {shown} FROM ({query})"


def _cell_sql(name: str) -> str:
    column = identifier(name)
    return f"CASE WHEN regexp_matches({column}, {literal(SUSPICIOUS)}) THEN sheet_cell({column}) ELSE {column} END"
