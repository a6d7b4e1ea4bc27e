"""Whether what the rooms keep is sound inside: their databases, the Lab's notebook, the warehouse, the snapshots."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from factory.runtime import integrity
from shared.core.errors import Damaged, PilotPlantError
from shared.core.faults import fault
from shared.data.snapshot import open_snapshot
from shared.state.db import open_sqlite, sqlite_file
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.ui.console import counted


@dataclass(slots=True)
class Soundness:
    """What was verified, what is wrong, and what could not be read here, each in a sentence that names the part."""

    schema_version: int = 1
    verified: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    unread: list[str] = field(default_factory=list)

    def hear(self, name: str, asked: Callable[[], list[str]], sound: str) -> None:
        """Asks one part; what keeps it from answering is told as well."""
        try:
            problems = asked()
        except Damaged as error:
            self.problems.append(f"{name}: {error.what}")
        except PilotPlantError as error:
            self.unread.append(f"{name}: it cannot be read ({error.what})")
        else:
            self.problems += problems
            self.verified += [] if problems else [f"{name}: {sound}"]


def soundness(workspace: Workspace, rooms: Mapping[str, Room | PilotPlantError], result: Soundness) -> None:
    """Adds everything that can be read here; a room that did not open was named by whoever opened it."""
    for name, room in rooms.items():
        if isinstance(room, Room):
            result.hear(f"the {name} database", partial(database_problems, room), "sound inside")
    notebook = workspace.lab / "mlflow.db"
    if notebook.exists():
        result.hear("the Lab's notebook", partial(file_problems, notebook, "the Lab's notebook"), "sound inside")
    factory = rooms["factory"]
    if isinstance(factory, Room):
        result.hear("the warehouse", partial(integrity.problems, factory), "as it was loaded")
        result.hear("the releases' packages", partial(integrity.package_problems, factory), "as they were attested")
    folders = (workspace.lab / "snapshots").glob("[!.]*")
    snapshots = sorted(path.name for path in folders if (path / "manifest.json").exists())
    if snapshots:
        said = f"{counted(len(snapshots), 'snapshot')}, each as published"
        result.hear("snapshots", partial(_changed, workspace, snapshots), said)


def _changed(workspace: Workspace, snapshots: list[str]) -> list[str]:
    found = []
    for identity in snapshots:
        try:
            snapshot = open_snapshot(workspace, identity)
            snapshot.tables()
            for name in snapshot.manifest.tables:
                snapshot.contract_file(name)
        except PilotPlantError as error:
            found.append(error.what)
    return found


# Damage is told, not mapped: the first lines say where it is.
_LINES = 3


def database_problems(room: Room) -> list[str]:
    """What is wrong inside a room's database; raises Fault where it cannot be read for another reason."""
    file = sqlite_file(room.engine)
    problems = file_problems(file, f"the {room.name} database") if file else []
    if problems:
        return problems
    try:
        with room.read() as connection:
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
            rows = connection.execute("PRAGMA integrity_check").fetchall()
    except sqlite3.Error as error:
        found = fault(error, str(file))
        if isinstance(found, Damaged):
            return [f"{name} is damaged inside ({error})"]
        raise found or error from error
    said = [" ".join(row[0].split()) for row in rows]
    if said == ["ok"]:
        return []
    more = f"; and {len(said) - _LINES:,} more" if len(said) > _LINES else ""
    return [f"{name} is damaged inside ({'; '.join(said[:_LINES])}{more})"]
