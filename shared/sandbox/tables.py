"""Inside the box: SQL over Parquet files, in a DuckDB that is locked before the first untrusted word is read."""

from __future__ import annotations

import datetime as dt
import math
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from shared.core.errors import BadInput, Contained
from shared.core.printable import SUSPICIOUS, cell
from shared.core.sql import identifier, literal
from shared.sandbox.statements import admit_audience, admit_sandbox, refusal_by_duckdb

THREADS = 2
_BATCH_ROWS = 50_000
_UNIT_TYPES = frozenset(
    {"VARCHAR", "UUID", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
    | {"UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"}
)


def check_audience(job: dict[str, Any]) -> dict[str, Any]:
    """Refuse SQL that is not an audience; nothing is run."""
    with _connect(job) as connection:
        admit_audience(connection, job["sql"], job["tables"])
    return {}


def audience(job: dict[str, Any]) -> dict[str, Any]:
    """Write the audience's units, distinct, not null and sorted, to the job's `out`; return how many there are."""
    with _connect(job) as connection:
        units = connection.query(admit_audience(connection, job["sql"], job["tables"]))
        columns = dict(zip(units.columns, (str(kind) for kind in units.types), strict=False))
        if [name.casefold() for name in units.columns] != ["unit"]:
            returned = ", ".join(units.columns)
            raise Contained(f"the audience returns {returned}; it must return one column, `unit`", remedy="select unit")
        if (kind := columns.popitem()[1]) not in _UNIT_TYPES:
            raise Contained(f"the audience's `unit` is {kind}; it must be text or a whole number", remedy="cast it")
        rows = units.project("CAST(unit AS VARCHAR) AS unit").filter("unit IS NOT NULL").distinct().order("unit")
        return {"rows": sum(len(batch) for batch in _write(job, rows.to_arrow_reader(_BATCH_ROWS)))}


def query(job: dict[str, Any]) -> dict[str, Any]:
    """Run the statements in order; return what the last one shows, and write it all to `out` where that is given."""
    statements = admit_sandbox(job["sql"])
    with _connect(job) as connection:
        for line, statement in statements[:-1]:
            with _told_by_line(line):
                connection.execute(statement)
        line, last = statements[-1]
        with _told_by_line(line):
            result = _show(job, connection, last)
        if job["database"]:
            connection.execute("CHECKPOINT")
    return result


@contextmanager
def _told_by_line(line: int) -> Iterator[None]:
    """Whatever DuckDB refuses is told with the statement's line; a limit is nobody's line."""
    try:
        yield
    except duckdb.OutOfMemoryException:
        raise
    except (duckdb.Error, pa.ArrowException) as error:
        raise refusal_by_duckdb(error, line) from error


def _show(job: dict[str, Any], connection: duckdb.DuckDBPyConnection, statement: duckdb.Statement) -> dict[str, Any]:
    reads = statement.type.name in {"SELECT", "EXPLAIN"}
    if job["out"] and not reads:
        raise Contained("the last statement returns no rows to write", remedy="end with a SELECT")
    connection.execute(statement)
    if not reads:
        counts = [list(row) for row in connection.fetchall()]
        return {"columns": [column[0] for column in connection.description or ()], "rows": counts, "total": len(counts)}
    shown: list[list[Any]] = []
    total = 0
    reader = connection.to_arrow_reader(_BATCH_ROWS)
    for batch in _write(job, reader):
        total += len(batch)
        shown += [[_plain(value) for value in row] for row in rows_of(batch.slice(0, job["preview"] - len(shown)))]
    return {"columns": reader.schema.names, "rows": shown, "total": total}


def _connect(job: dict[str, Any]) -> duckdb.DuckDBPyConnection:
    """The database with the job's tables as views: no other file, no setting and no extension can be reached."""
    try:
        connection = duckdb.connect(job["database"] or ":memory:", config=_settings(job))
    except duckdb.Error as error:
        raise BadInput(f"the database cannot be opened: {error}") from error
    files = [path for paths in job["tables"].values() for path in paths]
    connection.execute(f"SET allowed_paths = {_list(files)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET TimeZone = 'UTC'")
    for name, paths in job["tables"].items():
        _view(connection, name, paths)
    connection.execute("SET lock_configuration = true")
    forbid_processes()
    return connection


def forbid_processes() -> None:
    """Allow no further thread or process, now that DuckDB has those it needs; the kernel exempts root from this."""
    resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))


def _settings(job: dict[str, Any]) -> dict[str, Any]:
    own = Path(job["own"])
    return {
        "memory_limit": f"{job['limits']['memory_mb']}MiB",
        "threads": THREADS,
        "async_threads": 1,  # eight by default
        "home_directory": str(own),
        "temp_directory": str(own / "spill"),
        "max_temp_directory_size": f"{job['limits']['disk_mb']}MiB",
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
        "allow_community_extensions": False,
        "allow_persistent_secrets": False,
        "python_enable_replacements": False,  # or a table could be a variable of this very file
    }


def _view(connection: duckdb.DuckDBPyConnection, name: str, paths: list[str]) -> None:
    try:
        if paths:
            connection.execute(f"CREATE OR REPLACE TEMP VIEW {identifier(name)} AS FROM read_parquet({_list(paths)})")
    except duckdb.Error as error:
        raise BadInput(f"table `{name}` cannot be read: {error}") from error


def _write(job: dict[str, Any], reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Pass every batch on, after writing it to the job's `out`, and stop at the limit of rows."""
    writer, left = job["out"] and _writer(job["out"], reader.schema), job["limits"]["rows"]
    for batch in reader:
        left -= len(batch)
        if left < 0:
            setting = job["limits"].get("setting")
            raise Contained(
                f"the result has more than {job['limits']['rows']:,} rows",
                remedy="narrow it down" + (f", or have {setting} raised" if setting else ""),
            )
        if writer:
            writer.write_batch(batch)
        yield batch
    if writer:
        writer.close()


def _writer(out: str, schema: pa.Schema) -> Any:
    return _Sheet(out, schema) if out.endswith(".csv") else pq.ParquetWriter(out, schema)


class _Sheet:
    """A CSV file in which no text is a spreadsheet's formula (`shared/core/printable.py`)."""

    def __init__(self, out: str, schema: pa.Schema) -> None:
        self.schema = pa.schema([field.with_name(cell(field.name)) for field in schema])
        self.writer = pa_csv.CSVWriter(out, self.schema)

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Writes the rows, their texts as cells."""
        self.writer.write_batch(
            pa.RecordBatch.from_arrays([_cells(column) for column in batch.columns], schema=self.schema)
        )

    def close(self) -> None:
        """Ends the file."""
        self.writer.close()


def _cells(column: pa.Array) -> pa.Array:
    if not (pa.types.is_string(column.type) or pa.types.is_large_string(column.type)):
        return column
    if not pc.any(pc.match_substring_regex(column, SUSPICIOUS)).as_py():
        return column
    return pa.array([cell(value) for value in column.to_pylist()], column.type)


def rows_of(batch: pa.RecordBatch) -> Iterator[tuple[Any, ...]]:
    """The rows as Python values; times are in microseconds, which is all that Python has, and in UTC if in a zone."""
    return zip(*(_in_utc(column).to_pylist() for column in batch.columns), strict=True)


def _in_utc(column: pa.Array) -> pa.Array:
    if not pa.types.is_timestamp(column.type):
        return column
    return pc.cast(column, pa.timestamp("us", "UTC" if column.type.tz else None), safe=False)


def _plain(value: Any) -> Any:
    """The value as JSON knows it: decimals, times and numbers that are none become text, bytes hexadecimal."""
    plain = value
    match value:
        case float() if not math.isfinite(value):
            plain = str(value)
        case Decimal():  # DuckDB sums whole numbers as HUGEINT, which Arrow knows as a decimal without places
            plain = int(value) if value.as_tuple().exponent == 0 else str(value)
        case dt.date() | dt.time():
            plain = value.isoformat()
        case dt.timedelta() | UUID():
            plain = str(value)
        case bytes():
            plain = value.hex()
        case list() | tuple():
            plain = [_plain(each) for each in value]
        case dict():
            plain = {str(key): _plain(each) for key, each in value.items()}
    return plain


def _list(texts: list[str]) -> str:
    return f"[{', '.join(map(literal, texts))}]"
