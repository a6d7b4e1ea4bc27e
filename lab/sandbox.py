"""The sandbox: SQL over a pilot's snapshot and records, in its own confined database."""

from __future__ import annotations

from pathlib import Path

from lab.intake import PARTS, parts
from lab.looks import note_query
from lab.pilots import get_pilot
from lab.state import open_lab
from shared.confined import QueryResult, query
from shared.snapshot import open_snapshot
from shared.workspace import Workspace


def run_sql(workspace: Workspace, name: str, sql: str, out: Path | None = None) -> QueryResult:
    """Runs SQL over the snapshot and the pilot's `exposures`, `outcomes` and `conflicts`; see `confined.query`."""
    room = open_lab(workspace)
    pilot = get_pilot(room, name)
    tables: dict[str, Path | list[Path]] = dict(open_snapshot(workspace, pilot.snapshot).tables())
    tables.update({part: found for part in PARTS if (found := parts(room, pilot, part))})
    database = workspace.lab / "sandboxes" / name / f"{name}.duckdb"
    database.parent.mkdir(parents=True, exist_ok=True)
    note_query(room, pilot, sql)
    return query(sql, tables, database=database, out=out, where=f"lab sql {name}")
