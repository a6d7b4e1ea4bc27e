"""The sandbox: SQL over a pilot's snapshot and records, in its own confined database."""

from __future__ import annotations

from pathlib import Path

from lab.intake import PARTS, parts
from lab.looks import note_query
from lab.pilots import Pilot, get_pilot
from lab.state import open_lab, read_settings
from shared.confined import QueryResult, query
from shared.errors import BadInput
from shared.room import Room
from shared.snapshot import Snapshot, open_snapshot
from shared.workspace import Workspace
from shared.yamlfile import read_text


def run_sql(
    workspace: Workspace, name: str, sql: str, out: Path | None = None, *, where: str | None = None
) -> QueryResult:
    """Runs SQL over the snapshot and the pilot's `exposures`, `outcomes` and `conflicts`; see `confined.query`.

    The tables are views over Parquet: nothing is copied, and a file of the snapshot whose digest is known by its
    stamp is not read before the SQL does (`shared/stamps.py`). It is held against its digest before and afterwards.
    """
    room = open_lab(workspace)
    pilot, settings = get_pilot(room, name), read_settings(workspace).sandbox
    snapshot = open_snapshot(workspace, pilot.snapshot, memory=workspace.lab / "stamps")
    database = workspace.lab / "sandboxes" / name / f"{name}.duckdb"
    database.parent.mkdir(parents=True, exist_ok=True)
    note_query(room, pilot, sql)
    found = query(
        sql,
        _tables(room, pilot, snapshot),
        database=database,
        out=out,
        where=where or f"lab sql {name}",
        limits=settings.limits,
        without_landlock=settings.without_landlock,
    )
    snapshot.tables()
    return found


def run_sql_file(workspace: Workspace, name: str, file: Path, out: Path | None = None) -> QueryResult:
    """Runs a `.sql` file of the pilot, named from the pilot's own folder; errors name the file and the line.

    Raises BadInput, naming the files there are, for one that lies elsewhere or is not there.
    """
    folder = workspace.pilots / name
    path = folder / file
    inside = path.resolve().is_relative_to(folder.resolve())
    if not (inside and path.suffix == ".sql" and path.is_file()):
        known = ", ".join(sorted(str(found.relative_to(folder)) for found in folder.rglob("*.sql"))) or "none yet"
        raise BadInput(
            f"{name} has no file {file}",
            where=f"pilots/{name}",
            expected=f"a .sql file of the pilot's folder; there: {known}",
            remedy="write the SQL there, or give it as QUERY",
        )
    return run_sql(workspace, name, read_text(path), out, where=f"pilots/{name}/{path.relative_to(folder)}")


def _tables(room: Room, pilot: Pilot, snapshot: Snapshot) -> dict[str, Path | list[Path]]:
    tables: dict[str, Path | list[Path]] = dict(snapshot.tables())
    tables.update({part: found for part in PARTS if (found := parts(room, pilot, part))})
    return tables
