"""Whether the Factory still holds what its ledger and its tables say it does: loaded rows, and releases."""

from __future__ import annotations

import duckdb
import sqlalchemy as sa

from factory.releases.inbox import package_folder
from factory.state.room import standing
from factory.state.settings import warehouse_path
from factory.state.tables import ADMITTED, releases
from factory.warehouse.warehouse import open_warehouse, tables
from shared.core.errors import Damaged
from shared.core.faults import fault
from shared.core.sql import identifier
from shared.state.room import Room
from shared.trust.package import open_package


def problems(room: Room) -> list[str]:
    """What is missing or damaged, each in a sentence; raises Fault where the warehouse cannot be opened."""
    with room.read() as connection:
        known = set(connection.execute(sa.select(releases.c.name)).scalars())
        kind = room.entries_table.c.kind
        admitted = set(connection.execute(sa.select(room.entries_table.c.subject).where(kind == ADMITTED)).scalars())
    # A release without an entry is a ledger that was cut, which receipts and witnesses tell.
    lost = [
        f"release {name}: the ledger has it, and the table of releases has not" for name in sorted(admitted - known)
    ]
    return lost + _of_warehouse(room, standing(room))


def package_problems(room: Room) -> list[str]:
    """What is wrong with the packages of releases, by their digests: no key is asked."""
    with room.read() as connection:
        known = connection.execute(sa.select(releases.c.name, releases.c.package).order_by(releases.c.name)).all()
    return [
        f"release {name}: {reason}"
        for name, package in known
        for reason in open_package(package_folder(room.workspace, package)).reasons
    ]


def _of_warehouse(room: Room, loaded: set[str]) -> list[str]:
    if not loaded:
        return []
    path = warehouse_path(room.workspace)
    if not path.exists():
        return [f"the warehouse was emptied: {', '.join(sorted(loaded))} were loaded, and {path.name} is gone"]
    try:
        with open_warehouse(room.workspace, read_only=True) as connection:
            there = tables(connection)
            for name in there:
                # DuckDB holds each block against its checksum as it is read.
                connection.execute(f"SELECT max(hash(COLUMNS(*))) FROM {identifier(name)}").fetchall()
    except (Damaged, duckdb.Error) as error:
        told = fault(error, str(path))
        if not isinstance(told, Damaged):
            raise
        return [f"the warehouse: {told.what}"]
    missing = sorted(loaded - set(there))
    return [f"the warehouse was emptied: table {name} was loaded, and is not there" for name in missing]
