"""Whether a database is sound inside: every page of a SQLite file, every row of PostgreSQL's tables."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import sqlalchemy as sa

from shared.core.errors import Damaged
from shared.core.faults import fault
from shared.state.db import open_sqlite, sqlite_file, translated
from shared.state.room import Room

# Damage is told, not mapped: the first lines say where it is.
_LINES = 3


def database_problems(room: Room) -> list[str]:
    """What is wrong inside a room's database; raises Fault where it cannot be read for another reason."""
    file = sqlite_file(room.engine)
    problems = file_problems(file, f"the {room.name} database") if file else []
    if problems:
        return problems
    try:
        with translated(room.engine), room.engine.begin() as connection:
            for table in room.entries_table.metadata.sorted_tables:
                for _ in connection.execution_options(yield_per=10_000).execute(sa.select(table)):
                    pass
    except Damaged as error:
        return [f"the {room.name} database: {error.what}"]
    return []


def file_problems(file: Path, name: str) -> list[str]:
    """What is wrong inside a SQLite file that is there; raises Fault where it cannot be read for another reason."""
    try:
        with closing(open_sqlite(file)) as connection:
            return _told(connection.execute("PRAGMA integrity_check").fetchall(), name)
    except sqlite3.Error as error:
        found = fault(error, str(file))
        if isinstance(found, Damaged):
            return [f"{name} is damaged inside ({error})"]
        raise found or error from error


def _told(rows: list[tuple[str]], name: str) -> list[str]:
    said = [" ".join(row[0].split()) for row in rows]
    if said == ["ok"]:
        return []
    more = f"; and {len(said) - _LINES:,} more" if len(said) > _LINES else ""
    return [f"{name} is damaged inside ({'; '.join(said[:_LINES])}{more})"]
