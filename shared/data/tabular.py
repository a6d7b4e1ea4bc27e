"""Tables on their way in and out: held against their columns, and written so that no cell acts on a spreadsheet."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from shared.core.errors import BadInput
from shared.core.printable import SUSPICIOUS, cell
from shared.core.sql import MEMORY, identifier, literal

CSV, PARQUET = ".csv", ".parquet"


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


@contextmanager
def connect_within(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """The same, of a database of its own that takes `MEMORY` at most: what is larger goes into the folder."""
    config = {"enable_external_file_cache": False, "memory_limit": MEMORY, "temp_directory": str(folder / "spilled")}
    with duckdb.connect(config=config) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        yield connection


def require_columns(path: Path, found: list[str], required: list[str], optional: list[str]) -> None:
    """Raises BadInput where a column is missing, doubled or unknown: such a file is rejected whole."""
    missing = [(name, "missing", "add it to the export") for name in required if name not in found]
    known = {*required, *optional}
    unknown = [(name, "unknown", "remove it from the export, or add it to the contract")
               for name in found if name not in known]  # fmt: skip
    for column, wrong, remedy in (missing + unknown)[:1]:
        raise BadInput(
            f"column `{column}` is {wrong}",
            where=str(path),
            expected="columns " + ", ".join([*required, *(f"[{name}]" for name in optional)]),
            remedy=f"{remedy}; nothing was taken from this file",
        )


def require_writable(out: Path) -> None:
    """Raises BadInput for a name that `write_table` cannot write to."""
    if out.suffix not in {CSV, PARQUET}:
        raise BadInput(f"`{out}` has no type that can be written", expected="a name ending in .csv or .parquet")
    if not out.parent.is_dir():
        raise BadInput("there is no such folder", where=str(out.parent), remedy="create it first")


def write_table(connection: duckdb.DuckDBPyConnection, query: str, out: Path, delimiter: str = ",") -> int:
    """Writes a query's rows to a .csv or .parquet file, in full or not at all; returns how many."""
    require_writable(out)
    kind = "FORMAT parquet"
    if out.suffix == CSV:
        kind, query = f"FORMAT csv, HEADER, DELIMITER {literal(delimiter)}", _cells_sql(connection, query)
    scratch = out.with_name(f".{out.name}.partial")
    try:
        row = connection.execute(f"COPY ({query}) TO {literal(str(scratch))} ({kind})").fetchone()
        scratch.replace(out)
    finally:
        scratch.unlink(missing_ok=True)
    return int(row[0]) if row else 0


def csv_text(columns: Sequence[str], rows: Iterable[Sequence[Any]], *, verbatim: bool = False) -> str:
    """Rows as CSV, for what is no table of DuckDB's; a cell that a spreadsheet would compute begins with `'`.

    `verbatim` leaves every text as it is, line breaks too: for a machine that sends it.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows(row if verbatim else [cell(value) for value in row] for row in (columns, *rows))
    return text.getvalue()


def _cells_sql(connection: duckdb.DuckDBPyConnection, query: str) -> str:
    """The query with its texts as cells of a sheet; Python is asked about those alone that are not plain ASCII text."""
    described = connection.execute(f"DESCRIBE {query}").fetchall()
    if not connection.execute("SELECT 1 FROM duckdb_functions() WHERE function_name = 'sheet_cell'").fetchone():
        connection.create_function("sheet_cell", cell, ["VARCHAR"], "VARCHAR")
    shown = []
    for name, kind, *_ in described:
        value = column = identifier(name)
        if kind == "VARCHAR":
            suspicious = f"regexp_matches({column}, {literal(SUSPICIOUS)})"
            value = f"CASE WHEN {suspicious} THEN sheet_cell({column}) ELSE {column} END"
        shown.append(f"{value} AS {identifier(cell(name))}")
    return f"SELECT {', '.join(shown)} FROM ({query})"
