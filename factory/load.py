"""Loading: a file becomes rows of a warehouse table through its contract; bad rows go to quarantine with reasons."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb
import sqlalchemy as sa

from factory.masking import pseudonym_key
from factory.state import loads, open_factory
from factory.warehouse import contract_of, declarations, identities, open_warehouse, renew_version, require_contract
from shared.clock import rfc3339
from shared.contracts import Contract
from shared.digests import digest_file
from shared.errors import BadInput, Refused
from shared.pseudonym import pseudonym_sql
from shared.quality import quarantine_reasons
from shared.room import Room
from shared.sql import file_literal, identifier, literal
from shared.tabular import ROW, connect, read_raw, require_columns, typed_sql, unreadable_sql, write_table
from shared.workspace import Workspace

QUARANTINE = "quarantine"


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What became of a file's rows.

    Attributes:
        reasons: how many rows each reason holds back; a row may have several.
        repeated: whether this very file was the table's last load already, so that nothing was done.
    """

    table: str
    accepted: int
    quarantined: int
    reasons: dict[str, int]
    repeated: bool


def load(workspace: Workspace, table: str, file: Path) -> LoadResult:
    """Brings a file in; rows with a known key replace the ones before them.

    Raises BadInput where the file cannot be read as the contract declares, or the table was loaded under another
    contract, and Refused where too few good rows are left; the warehouse is then as it was.
    """
    contract = contract_of(workspace, table)
    room = open_factory(workspace)
    with connect() as connection, TemporaryDirectory() as scratch:
        present = read_raw(connection, file, "raw")
        digest = digest_file(file)
        _require_contract_columns(contract, file, present)
        last = _last_load(room, table)
        if last is not None and last.file_digest == digest:
            return LoadResult(table, last.accepted, last.quarantined, {}, repeated=True)
        typed, held = _judge_rows(connection, contract, present, Path(scratch))
        accepted, quarantined = _counts(connection)
        if accepted < contract.minimum_rows:
            raise Refused(
                f"{accepted} good rows are too few for table `{table}` ({quarantined} would be quarantined)",
                where=str(file),
                expected=f"at least {contract.minimum_rows}",
                remedy="mend the export: " + "; ".join(f"{why} ({n} rows)" for why, n in _reasons(connection).items()),
            )
        _store(workspace, contract, typed, held, digest)
        reasons = _reasons(connection)
    _remember(room, table, digest, accepted, quarantined, reasons)
    return LoadResult(table, accepted, quarantined, reasons, repeated=False)


def _require_contract_columns(contract: Contract, file: Path, present: list[str]) -> None:
    required = [column.name for column in contract.columns if column.required]
    require_columns(file, present, required, [c.name for c in contract.columns if not c.required])


def _judge_rows(
    connection: duckdb.DuckDBPyConnection, contract: Contract, present: list[str], scratch: Path
) -> tuple[Path, Path]:
    """Files of good rows, typed, and of held rows, as they came with their reasons; table `held` has the reasons."""
    columns = list(contract.columns)
    staged, good, held = scratch / "staged.parquet", scratch / "good.parquet", scratch / "held.parquet"
    connection.execute(
        f"COPY (SELECT {ROW}, {typed_sql(columns, present)} FROM raw) TO {literal(str(staged))} (FORMAT parquet)"
    )
    connection.execute(f"CREATE TEMP TABLE held AS {unreadable_sql(columns, present, 'raw')}")
    breaches = quarantine_reasons(contract, staged, ROW)  # noqa: F841 - DuckDB reads it by its name
    # A value that could not be read is NULL in the staged table: the type's reason says it all.
    connection.execute(
        "INSERT INTO held SELECT b.row, b.reason FROM breaches b WHERE b.row NOT IN (SELECT row FROM held)"
    )
    connection.execute(
        f"COPY (SELECT * EXCLUDE {ROW} FROM read_parquet({file_literal(staged)}) "
        f"WHERE {ROW} NOT IN (SELECT row FROM held)) TO {literal(str(good))} (FORMAT parquet)"
    )
    connection.execute(
        f"COPY (SELECT {ROW} AS row, list_sort(list(DISTINCT h.reason)) AS reasons, any_value(to_json(raw)) AS content "
        f"FROM raw JOIN held h ON h.row = raw.{ROW} GROUP BY {ROW} ORDER BY {ROW}) "
        f"TO {literal(str(held))} (FORMAT parquet)"
    )
    return good, held


def _store(workspace: Workspace, contract: Contract, good: Path, held: Path, digest: str) -> None:
    """Upserts good rows and replaces this file's quarantine, in one transaction: running it again changes nothing."""
    name, key = identifier(contract.table), identifier(contract.primary_key)
    columns = ", ".join(f"{identifier(column)} {kind}" for column, kind in declarations(contract).items())
    with open_warehouse(workspace) as warehouse:
        warehouse.execute("BEGIN")
        warehouse.execute(f"CREATE TABLE IF NOT EXISTS {name} ({columns})")
        require_contract(warehouse, contract)
        warehouse.execute(
            f"INSERT OR REPLACE INTO {name} BY NAME SELECT * FROM read_parquet({file_literal(good)}) ORDER BY {key}"
        )
        warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {QUARANTINE}")
        warehouse.execute(
            f"CREATE TABLE IF NOT EXISTS {QUARANTINE}.{name} "
            "(file VARCHAR, row BIGINT, reasons VARCHAR[], content JSON)"
        )
        warehouse.execute(f"DELETE FROM {QUARANTINE}.{name} WHERE file = ?", [digest])
        warehouse.execute(
            f"INSERT INTO {QUARANTINE}.{name} SELECT ?, row, reasons, content FROM read_parquet({file_literal(held)})",
            [digest],
        )
        renew_version(warehouse, contract.table)
        warehouse.execute("COMMIT")


def _counts(connection: duckdb.DuckDBPyConnection) -> tuple[int, int]:
    row = connection.execute("SELECT (SELECT count(*) FROM raw), (SELECT count(DISTINCT row) FROM held)").fetchone()
    total, held = row or (0, 0)
    return total - held, held


def _reasons(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    return dict(
        connection.execute("SELECT reason, count(DISTINCT row) FROM held GROUP BY reason ORDER BY 2 DESC, 1").fetchall()
    )


def _last_load(room: Room, table: str) -> sa.Row[tuple[object, ...]] | None:
    with room.transaction() as connection:
        return connection.execute(
            sa.select(loads).where(loads.c.table == table).order_by(loads.c.id.desc()).limit(1)
        ).first()


def _remember(room: Room, table: str, digest: str, accepted: int, quarantined: int, reasons: dict[str, int]) -> None:
    with room.transaction() as connection:
        connection.execute(
            loads.insert().values(
                table=table, file_digest=digest, at=rfc3339(room.now()), accepted=accepted, quarantined=quarantined
            )
        )
        body = {"file": digest, "accepted": accepted, "quarantined": quarantined, "reasons": reasons}
        room.write(connection, "loaded", table, body)


def pseudonymise(workspace: Workspace, file: Path, out: Path, *, column: str) -> int:
    """Copies a result file with `column` (the Factory's ids) replaced by `unit` (pseudonyms); returns its rows."""
    key = pseudonym_key(workspace)
    with connect() as connection:
        present = read_raw(connection, file, "raw")
        if column not in present:
            raise BadInput(
                f"column `{column}` is missing",
                where=str(file),
                expected="one of: " + ", ".join(present),
                remedy="name the column of customer ids with --column",
            )
        others = f"* EXCLUDE ({ROW}, {identifier(column)})"
        masked = f"{pseudonym_sql(key, identifier(column))} AS unit"
        return write_table(connection, f"SELECT {masked}, {others} FROM raw ORDER BY {ROW}", out)


def resolve(workspace: Workspace, file: Path, out: Path, *, table: str) -> int:
    """Copies a file with column `unit`, the Factory's own `id` of each unit added in front; returns its rows.

    Raises BadInput where a unit is not in the table.
    """
    with connect() as connection, TemporaryDirectory() as scratch:
        present = read_raw(connection, file, "raw")
        if "unit" not in present:
            raise BadInput("column `unit` is missing", where=str(file), expected="a file of `pilotplant lab assign`")
        known = identities(workspace, table, Path(scratch))
        connection.execute(f"CREATE TEMP VIEW known AS SELECT * FROM read_parquet({file_literal(known)})")
        strangers = connection.execute("SELECT unit FROM raw WHERE unit NOT IN (SELECT unit FROM known)").fetchall()
        if strangers:
            raise BadInput(
                f"{len(strangers)} units are nobody in table `{table}`, `{strangers[0][0]}` first",
                where=str(file),
                remedy="use a file of units of this workspace, after the table was loaded",
            )
        return write_table(
            connection, f"SELECT known.id, raw.* EXCLUDE ({ROW}) FROM raw JOIN known USING (unit) ORDER BY {ROW}", out
        )
