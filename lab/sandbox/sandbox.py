"""The sandbox: SQL over a pilot's snapshot and records, in its own confined database."""

from __future__ import annotations

from pathlib import Path

from lab.analysis.analysis import takes_late_data
from lab.intake.intake import PARTS, parts
from lab.pilots.looks import note_query
from lab.pilots.pilot import Pilot, get_pilot
from lab.state import open_lab, read_settings
from shared.core.errors import BadInput, Contained, Refused
from shared.core.times import date_time
from shared.core.yamlfile import read_text
from shared.data.snapshot import Snapshot, open_snapshot
from shared.data.tabular import require_writable
from shared.sandbox import QueryResult, query
from shared.state.room import Room
from shared.state.workspace import Workspace

# Of what was recorded, what tells or may tell how the pilot came out.
RESULTS = ("outcomes", "conflicts")


def run_sql(
    workspace: Workspace, name: str, sql: str, out: Path | None = None, *, where: str | None = None
) -> QueryResult:
    """Runs SQL over the snapshot and the pilot's `exposures`, `outcomes` and `conflicts`; see `shared.sandbox.query`.

    Raises Refused where it reads results while late data are still taken.

    The tables are views over Parquet: nothing is copied, and a file of the snapshot whose digest is known by its
    stamp is not read before the SQL does (`shared/core/stamps.py`). It is held against its digest before and after.
    """
    room = open_lab(workspace)
    pilot, settings = get_pilot(room, name), read_settings(workspace).sandbox
    # The look is on record before the SQL runs, so what cannot be asked is refused before that.
    if out is not None:
        require_writable(out)
    snapshot = open_snapshot(workspace, pilot.snapshot, memory=workspace.lab / "stamps")
    database = workspace.lab / "sandboxes" / name / f"{name}.duckdb"
    database.parent.mkdir(parents=True, exist_ok=True)
    note_query(room, pilot, sql)
    hidden = RESULTS if takes_late_data(room, pilot, room.now()) else ()
    try:
        found = query(
            sql,
            {name: paths for name, paths in _tables(room, pilot, snapshot).items() if name not in hidden},
            database=database,
            out=out,
            where=where or f"lab sql {name}",
            limits=settings.limits,
            without_landlock=settings.without_landlock,
        )
    except Contained as error:
        if any(f"table with name {part} does not exist" in error.what.lower() for part in hidden):
            raise _too_early(pilot, error) from error
        raise
    snapshot.tables()
    return found


def _too_early(pilot: Pilot, error: Contained) -> Refused:
    """Why results are not shown: whoever has seen them could choose which late reports still come in."""
    return Refused(
        f"pilot {pilot.name} takes late data until {date_time(pilot.closes)} (`record_until`), "
        "and shows no results before",
        where=error.where,
        expected="a query over exposures and the snapshot's tables",
        remedy=f"wait until then; or, if all is in, close it with: pilotplant lab analyse {pilot.name} --final",
    )


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
