"""Tables of the warehouse: what is there, what was held back of it, and how one goes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import duckdb
import sqlalchemy as sa

from factory.state.room import open_factory, standing
from factory.state.settings import warehouse_path
from factory.state.tables import DROPPED, loads
from factory.warehouse.warehouse import (
    QUARANTINE,
    Held,
    contract_of,
    count,
    held_by_reason,
    open_warehouse,
    require_contract,
    tables,
)
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.core.sql import identifier
from shared.state.workspace import Workspace

Readers = Callable[[Workspace, str], Iterable[str]]


@dataclass(frozen=True, slots=True)
class TableFacts:
    """What is known of one table.

    Attributes:
        quarantined: rows held back that no later load has brought so that they were accepted.
        loaded_at: when it was loaded, or confirmed, last; RFC 3339.
        problem: why it is left out of what is published.
    """

    table: str
    rows: int
    quarantined: int
    loaded_at: str | None
    held: tuple[Held, ...] = ()
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class Dropped:
    """What went of a table, or would in a `dry_run`."""

    table: str
    rows: int
    quarantined: int
    dry_run: bool = False


def list_tables(workspace: Workspace, only: str | None = None) -> list[TableFacts]:
    """Every loaded table, or one; raises BadInput for one that is not loaded."""
    room = open_factory(workspace)
    with room.read() as connection:
        dates = sa.select(loads.c.table, sa.func.max(loads.c.at)).group_by(loads.c.table)
        newest = dict(connection.execute(dates).tuples().all())
    if not warehouse_path(workspace).exists():
        known: list[str] = []
    else:
        with open_warehouse(workspace, read_only=True) as warehouse:
            known = tables(warehouse)
            if only is None or only in known:
                return [_facts(workspace, warehouse, name, newest.get(name)) for name in known if only in {None, name}]
    if only is not None:
        raise _not_loaded(only, known)
    return []


def drop(workspace: Workspace, table: str, *, readers: Readers, dry_run: bool = False) -> Dropped:
    """Removes a table and its quarantine from the warehouse; snapshots keep what they have of it.

    `readers` tells which releases may read it. Raises BadInput for a table that is not loaded, and Refused where there
    is one.
    """
    room = open_factory(workspace)
    if not warehouse_path(workspace).exists():
        raise _not_loaded(table, [])
    with open_warehouse(workspace) as warehouse:
        known = tables(warehouse)
        # A drop that was cut off has taken the table, and not written so.
        if table not in known and table not in standing(room):
            raise _not_loaded(table, known)
        if reading := list(readers(workspace, table)):
            raise Refused(
                f"table `{table}` is read by {', '.join(reading)}",
                where="the Factory's releases",
                remedy=f"correct the table in place: pilotplant factory load {table} FILE --replace --dry-run",
            )
        held = table in _quarantines(warehouse)
        found = Dropped(
            table,
            rows=count(warehouse, identifier(table)) if table in known else 0,
            quarantined=count(warehouse, f"{QUARANTINE}.{identifier(table)}") if held else 0,
            dry_run=dry_run,
        )
        if dry_run:
            return found
        warehouse.execute("BEGIN")
        warehouse.execute(f"DROP TABLE IF EXISTS {identifier(table)}")
        warehouse.execute(f"CREATE SCHEMA IF NOT EXISTS {QUARANTINE}")
        warehouse.execute(f"DROP TABLE IF EXISTS {QUARANTINE}.{identifier(table)}")
        warehouse.execute("COMMIT")
    with room.transaction() as connection:
        room.write(connection, DROPPED, table, {"rows": found.rows, "quarantined": found.quarantined})
    return found


def _facts(workspace: Workspace, warehouse: duckdb.DuckDBPyConnection, table: str, loaded_at: str | None) -> TableFacts:
    problem = None
    try:
        require_contract(warehouse, contract_of(workspace, table))
    except PilotPlantError as error:
        problem = error.what
    rows = f"SELECT row, unnest(reasons) AS reason FROM {QUARANTINE}.{identifier(table)}"
    held = held_by_reason(warehouse, rows) if table in _quarantines(warehouse) else ()
    quarantined = count(warehouse, f"{QUARANTINE}.{identifier(table)}") if held else 0
    return TableFacts(table, count(warehouse, identifier(table)), quarantined, loaded_at, held, problem)


def _quarantines(warehouse: duckdb.DuckDBPyConnection) -> set[str]:
    rows = warehouse.execute(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = ?", [QUARANTINE]
    ).fetchall()
    return {name for (name,) in rows}


def _not_loaded(table: str, known: list[str]) -> BadInput:
    return BadInput(
        f"table `{table}` is not loaded",
        where="the Factory's warehouse",
        expected="one of: " + (", ".join(known) or "(none yet)"),
        remedy=f"correct the name, or bring it in: pilotplant factory load {table} FILE",
    )
