"""The sealed files of a pilot as views of one DuckDB connection."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import duckdb

from shared.clock import rfc3339
from shared.engines.protocol import PilotData
from shared.sql import file_literal, literal


@contextmanager
def opened(data: PilotData, until: datetime | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """The files as views of their names, without the events from `until` on; `traits` only where the data has them."""
    # One thread: several add floating-point numbers in whatever order they finish, and the same data must give the
    # same evidence to the last bit, or analysing it again would seal another candidate.
    with duckdb.connect(config={"threads": 1}) as connection:
        # Every file is read several times; its footer need not be.
        connection.execute("SET parquet_metadata_cache = true")
        connection.execute("SET TimeZone = 'UTC'")
        # Division by zero is an error, which TRY makes a gap: NaN would be above everything, and count as a success.
        connection.execute("SET ieee_floating_point_ops = false")
        before = "" if until is None else f' WHERE "at" < TIMESTAMPTZ {literal(rfc3339(until))}'
        for name, path, condition in (
            ("exposures", data.exposures, before),
            ("outcomes", data.outcomes, before),
            ("conflicts", data.conflicts, ""),
            ("traits", data.traits, ""),
        ):
            if path is not None:
                source = f"read_parquet({file_literal(path)}, hive_partitioning = false)"
                connection.execute(f"CREATE VIEW {name} AS SELECT * FROM {source}{condition}")
        yield connection


def number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    """The one number that a query answers with."""
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
