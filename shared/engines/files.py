"""The sealed files of a pilot as views of a DuckDB connection."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from functools import cache

import duckdb

from shared.core.clock import rfc3339
from shared.core.sql import file_literal, literal
from shared.engines.protocol import PilotData


@cache
def _database(_process: int) -> duckdb.DuckDBPyConnection:
    """One for all questions of a process, since to open one takes longer than most of them; it holds nothing itself."""
    # Nothing that was read is kept: a file may have been changed since. Division by zero is an error, which TRY makes a
    # gap: NaN would be above everything, and count as a success.
    settings = {"enable_external_file_cache": False, "ieee_floating_point_ops": False}
    database = duckdb.connect(config=settings)
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    return database


def connect() -> duckdb.DuckDBPyConnection:
    """A connection with the engine's settings; all that it makes has to be temporary, and ends with it."""
    return _database(os.getpid()).cursor()  # a child that was forked opens its own


@contextmanager
def opened(data: PilotData, until: datetime | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """The files as views of their names, without the events from `until` on; what the data lacks has no view."""
    with connect() as connection:
        before = "" if until is None else f' WHERE "at" < TIMESTAMPTZ {literal(rfc3339(until))}'
        for name, path, condition in (
            ("exposures", data.exposures, before),
            ("outcomes", data.outcomes, before),
            ("conflicts", data.conflicts, ""),
            ("traits", data.traits, ""),
            ("pre_period", data.pre_period, ""),
            ("eligible", data.eligible, ""),
        ):
            if path is not None:
                source = f"read_parquet({file_literal(path)}, hive_partitioning = false)"
                connection.execute(f"CREATE TEMP VIEW {name} AS SELECT * FROM {source}{condition}")
        yield connection


def number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    """The one number that a query answers with."""
    [(found,)] = connection.execute(query).fetchall()
    return int(found)
