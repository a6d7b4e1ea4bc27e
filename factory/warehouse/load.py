"""Loading: a file becomes rows of a warehouse table through its contract; bad rows go to quarantine with reasons."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from factory.state.room import open_factory
from factory.state.settings import read_settings, warehouse_path
from factory.state.tables import CONFIRMED, DROPPED, LOADED, loads
from factory.warehouse.contract_drafts import is_unused_example
from factory.warehouse.warehouse import (
    PRIMARY_KEY,
    QUARANTINE,
    QUARANTINE_COLUMNS,
    Held,
    columns_of,
    contract_of,
    contract_path,
    count,
    declarations,
    drop_index,
    has_index,
    held_by_reason,
    mark_key,
    open_warehouse,
    renew_version,
    require_contract,
    tables,
    versions,
)
from shared.core.clock import rfc3339
from shared.core.digests import digest_file
from shared.core.errors import BadInput, Refused
from shared.core.files import scratch_in
from shared.core.sql import file_literal, identifier, json_path, literal
from shared.data.contracts import Contract
from shared.data.quality import quarantine_reasons
from shared.data.readers import ROW, read_raw
from shared.data.tabular import connect, connect_within, require_columns
from shared.data.typed import typed_sql, unreadable_sql, value_sql
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.ui.console import counted

# The table of a file's rows as they came; no column of a file has such a name.
FILE = "_file"


@dataclass(frozen=True, slots=True)
class LoadResult:
    """What became of a file's rows, or would.

    Attributes:
        reasons: how many rows each reason holds back; a row may have several.
        repeated: whether this very file was the table's last load under this very contract, so that only its date is
            new.
        new, renewed: of the accepted rows, those whose key the table did not have, and those that took another's place.
        gone: rows of the table that are no longer there, after `replace`.
        kept: columns that the file does not have, in which renewed rows keep what they had.
        emptied: such columns after `replace`, with how many values went.
        dry_run: whether nothing was done.
    """

    table: str
    accepted: int
    quarantined: int
    reasons: dict[str, int] = field(default_factory=dict)
    repeated: bool = False
    new: int = 0
    renewed: int = 0
    gone: int = 0
    kept: tuple[str, ...] = ()
    emptied: dict[str, int] = field(default_factory=dict)
    dry_run: bool = False


def load(workspace: Workspace, table: str, file: Path, *, replace: bool = False, dry_run: bool = False) -> LoadResult:
    """Brings a file in; rows with a known key take the place of the ones before them, in the columns that the file has.

    With `replace` the table is afterwards what this file says under the contract as it is now, and nothing else. A
    `dry_run` says what would become of it.

    Raises BadInput where the file cannot be read as the contract declares, or the table was loaded under another
    contract, and Refused where too few good rows are left, or too many are bad; the warehouse is then as it was.
    """
    contract = contract_of(workspace, table, new=True)
    room = open_factory(workspace)
    with scratch_in(workspace.factory / "scratch") as scratch, connect_within(scratch) as connection:
        present = read_raw(connection, file, FILE, contract.columns, scratch)
        digests = {"file": digest_file(file), "contract": digest_file(contract_path(workspace, table))}
        _require_contract_columns(workspace, contract, file, present)
        last = None if replace else _repeated(room, table, digests)
        if last is not None:
            if not dry_run:
                _enter(room, table, CONFIRMED, {"file": digests["file"]})
            return LoadResult(table, last["accepted"], last["quarantined"], repeated=True, dry_run=dry_run)
        rows = _Rows.judged(connection, contract, present, scratch)
        _require_enough(workspace, contract, rows, file)
        result = _store(workspace, contract, rows, file, digests["file"], replace=replace, dry_run=dry_run)
    if not dry_run:
        with open_warehouse(workspace, read_only=True) as warehouse:
            version = versions(warehouse)[table]  # which a backup brings back, and each load draws anew
        counts = {"accepted": result.accepted, "quarantined": result.quarantined}
        body = {**digests, "version": version, **counts, "reasons": result.reasons}
        body |= {"replaced": True, "gone": result.gone} if replace else {}
        _enter(room, table, LOADED, body, **counts)
    return result


@dataclass(frozen=True, slots=True)
class _Rows:
    """A file's rows, judged by the contract.

    Attributes:
        good: a Parquet file of the typed rows that keep it, with the file's columns and NULL for any other.
        held: one of the others, as they came, with their reasons.
        present: the contract's columns that the file has, in the contract's order.
        reasons: what each reason holds back, the most first.
    """

    good: Path
    held: Path
    present: tuple[str, ...]
    accepted: int
    quarantined: int
    reasons: tuple[Held, ...]

    @classmethod
    def judged(
        cls, connection: duckdb.DuckDBPyConnection, contract: Contract, found: list[str], scratch: Path
    ) -> _Rows:
        """Judges the rows of the table `FILE`."""
        columns = list(contract.columns)
        staged, good, held = scratch / "staged.parquet", scratch / "good.parquet", scratch / "held.parquet"
        connection.execute(
            f"COPY (SELECT {ROW}, {typed_sql(columns, found)} FROM {FILE}) TO {literal(str(staged))} (FORMAT parquet)"
        )
        connection.execute(f"CREATE TEMP TABLE held AS {unreadable_sql(columns, found, FILE, ROW)}")
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
            f"COPY (SELECT {ROW} AS row, list_sort(list(DISTINCT h.reason)) AS reasons, "
            f"any_value(to_json({FILE})) AS content FROM {FILE} JOIN held h ON h.row = {FILE}.{ROW} GROUP BY {ROW} "
            f"ORDER BY {ROW}) TO {literal(str(held))} (FORMAT parquet)"
        )
        total, bad = connection.execute(
            f"SELECT (SELECT count(*) FROM {FILE}), (SELECT count(DISTINCT row) FROM held)"
        ).fetchone() or (0, 0)
        return cls(
            good,
            held,
            tuple(column.name for column in columns if column.name in found),
            total - bad,
            bad,
            held_by_reason(connection, "FROM held", "DISTINCT row"),
        )


def _require_contract_columns(workspace: Workspace, contract: Contract, file: Path, present: list[str]) -> None:
    required = [column.name for column in contract.columns if column.required]
    try:
        require_columns(file, present, required, [c.name for c in contract.columns if not c.required])
    except BadInput as error:
        if is_unused_example(workspace, contract.table):
            draft = f"pilotplant factory contract {contract.table} {file}"
            error.remedy = f"the contract is the example's; draft one of this file: {draft}"
        raise


def _require_enough(workspace: Workspace, contract: Contract, rows: _Rows, file: Path) -> None:
    """Raises Refused where what is left is too little, or what is held back too much."""
    told = "; ".join(f"{held.reason} ({counted(held.rows, 'row')}: {held.places})" for held in rows.reasons)
    doubt = _doubt_of_key(contract, rows)
    if not rows.accepted:
        raise Refused(
            f"no row is good: {rows.quarantined:,} would be quarantined",
            where=str(file),
            expected=f"rows that keep configs/contracts/{contract.table}.odcs.yaml",
            remedy=f"mend the export: {told}{doubt}",
        )
    most = read_settings(workspace).quarantined_frac_max
    share = rows.quarantined / (rows.accepted + rows.quarantined)
    if share > most:
        raise Refused(
            f"{rows.quarantined:,} of {rows.accepted + rows.quarantined:,} rows would be quarantined ({share:.1%}): "
            f"so many speak against the contract or the export as a whole",
            where=str(file),
            expected=f"at most {most:.0%} (`quarantined_frac_max` in configs/factory.yaml)",
            remedy=f"mend the one that is wrong: {told}{doubt}",
        )


def _doubt_of_key(contract: Contract, rows: _Rows) -> str:
    """A word about the key, where it is what most rows are held back for."""
    first = rows.reasons[0].reason if rows.reasons else ""
    keys = ", ".join(contract.key)
    if first not in {f"{keys} must be unique", f"{keys} must be unique together"}:
        return ""
    return (
        f". Does {keys} really tell the rows apart? If several columns do together, give each of them "
        f"`primaryKey: true` and its `primaryKeyPosition` in configs/contracts/{contract.table}.odcs.yaml"
    )


def _store(
    workspace: Workspace, contract: Contract, rows: _Rows, file: Path, digest: str, *, replace: bool, dry_run: bool
) -> LoadResult:
    """Upserts good rows and replaces this file's quarantine, in one transaction: running it again changes nothing.

    A `dry_run` takes everything back.
    """
    name = identifier(contract.table)
    columns = ", ".join(f"{identifier(column.name)} {column.duckdb_type}" for column in contract.columns)
    # For a dry run where there is none yet, one in memory.
    nowhere = dry_run and not warehouse_path(workspace).exists()
    with connect() if nowhere else open_warehouse(workspace) as warehouse:
        warehouse.execute("BEGIN")
        _require_no_namesake(warehouse, contract)
        before = count(warehouse, name) if contract.table in tables(warehouse) else 0
        emptied = _emptied(warehouse, contract, rows) if replace and before else {}
        stays = _same_keys(warehouse, contract, rows) if before else 0
        if replace:
            warehouse.execute(f"DROP TABLE IF EXISTS {name}")
        if contract.table not in tables(warehouse):
            warehouse.execute(f"CREATE TABLE {name} ({columns})")
            mark_key(warehouse, contract)
        elif has_index(warehouse, contract.table):
            drop_index(warehouse, contract)
        require_contract(warehouse, contract)
        _upsert(warehouse, contract, rows)
        _set_aside(warehouse, contract, rows, digest, replace=replace)
        after = count(warehouse, name)
        if after < contract.minimum_rows:
            raise Refused(
                f"table `{contract.table}` would have {after:,} rows, which are too few",
                where=str(file),
                expected=f"at least {contract.minimum_rows:,} (`rowCount` in its contract)",
                remedy="load the whole table in one file, or correct the contract; nothing was loaded",
            )
        renew_version(warehouse, contract.table)
        warehouse.execute("ROLLBACK" if dry_run else "COMMIT")
    absent = [column.name for column in contract.columns if column.name not in rows.present]
    return LoadResult(
        table=contract.table,
        accepted=rows.accepted,
        quarantined=rows.quarantined,
        reasons={held.reason: held.rows for held in rows.reasons},
        new=rows.accepted - stays,
        renewed=stays,
        gone=before - stays if replace else 0,
        kept=tuple(absent) if stays and not replace else (),
        emptied=emptied,
        dry_run=dry_run,
    )


def _require_no_namesake(warehouse: duckdb.DuckDBPyConnection, contract: Contract) -> None:
    """Raises Refused where a table differs from this one in capitals only: DuckDB would take one for the other."""
    for other in tables(warehouse):
        if other != contract.table and other.casefold() == contract.table.casefold():
            raise Refused(
                f"the warehouse has a table `{other}`, which differs from `{contract.table}` in capitals only",
                where=f"table {contract.table}",
                remedy=f"load it as `{other}`, or give it another name",
            )


def _upsert(warehouse: duckdb.DuckDBPyConnection, contract: Contract, rows: _Rows) -> None:
    """A column that the file does not have keeps what it holds: it says nothing of it.

    No key occurs twice in the file, which its contract has been asked for, so that none does in the table either. An
    index would hold every key in memory.
    """
    told = [column for column in rows.present if column not in contract.key]
    renewed = ", ".join(f"{identifier(column)} = g.{identifier(column)}" for column in told)
    same = " AND ".join(f"t.{identifier(column)} = g.{identifier(column)}" for column in contract.key)
    names, values = (", ".join(f"{of}{identifier(column)}" for column in rows.present) for of in ("", "g."))
    warehouse.execute(
        f"MERGE INTO {identifier(contract.table)} t USING read_parquet({file_literal(rows.good)}) g ON {same} "
        f"{f'WHEN MATCHED THEN UPDATE SET {renewed} ' if told else ''}"
        f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({values})"
    )


def _set_aside(
    warehouse: duckdb.DuckDBPyConnection, contract: Contract, rows: _Rows, digest: str, *, replace: bool
) -> None:
    """This file's quarantine; a row that came later and was accepted is missing from nothing any more."""
    held = f"{QUARANTINE}.{identifier(contract.table)}"
    warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {QUARANTINE}")
    warehouse.execute(f"CREATE TABLE IF NOT EXISTS {held} ({QUARANTINE_COLUMNS})")
    if replace:
        warehouse.execute(f"DELETE FROM {held}")
    same = " AND ".join(
        f"{value_sql(column, f'json_extract_string(q.content, {literal(json_path(column.name))})')} = "
        f"g.{identifier(column.name)}"
        for column in contract.columns
        if column.name in contract.key
    )
    good = f"read_parquet({file_literal(rows.good)})"
    warehouse.execute(
        f"DELETE FROM {held} WHERE file = ? OR rowid IN (SELECT q.rowid FROM {held} q JOIN {good} g ON {same})",
        [digest],
    )
    warehouse.execute(
        f"INSERT INTO {held} SELECT ?, row, reasons, content FROM read_parquet({file_literal(rows.held)})", [digest]
    )


def _same_keys(warehouse: duckdb.DuckDBPyConnection, contract: Contract, rows: _Rows) -> int:
    """How many of the good rows have a key that the table has; none, where it has not these very columns as its key."""
    there, promised = columns_of(warehouse, contract.table), declarations(contract)
    if {name: kind for name, kind in there.items() if PRIMARY_KEY in kind} != {n: promised[n] for n in contract.key}:
        return 0
    keys = ", ".join(identifier(column) for column in contract.key)
    return count(
        warehouse, f"{identifier(contract.table)} SEMI JOIN read_parquet({file_literal(rows.good)}) USING ({keys})"
    )


def _emptied(warehouse: duckdb.DuckDBPyConnection, contract: Contract, rows: _Rows) -> dict[str, int]:
    """The table's columns that the file does not have, with the values that they hold."""
    lost = [name for name in columns_of(warehouse, contract.table) if name not in rows.present]
    values = {name: count(warehouse, f"{identifier(contract.table)} WHERE {identifier(name)} IS NOT NULL")
              for name in lost}  # fmt: skip
    return {name: count for name, count in values.items() if count}


def _repeated(room: Room, table: str, digests: dict[str, str]) -> dict[str, Any] | None:
    """What the ledger says of the table's last load, if that was of this very file under this very contract.

    None as well where the table is not there any more.
    """
    last = room.latest(table, LOADED, DROPPED)
    if last is None or last.kind == DROPPED or any(last.body.get(name) != it for name, it in digests.items()):
        return None
    if not warehouse_path(room.workspace).exists():
        return None
    with open_warehouse(room.workspace, read_only=True) as warehouse:
        # A warehouse that was restored from a backup holds an older load of it, whatever the ledger says.
        if table not in tables(warehouse) or last.body.get("version") != versions(warehouse).get(table):
            return None
    return last.body


def _enter(room: Room, table: str, kind: str, body: dict[str, Any], *, accepted: int = 0, quarantined: int = 0) -> None:
    """Enters that a table is as of now what a file says; of one that came again, no row is new."""
    counts = {"accepted": accepted, "quarantined": quarantined}
    with room.transaction() as connection:
        connection.execute(
            loads.insert().values(table=table, file_digest=body["file"], at=rfc3339(room.now()), **counts)
        )
        room.write(connection, kind, table, body)
