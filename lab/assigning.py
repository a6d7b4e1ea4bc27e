"""Assigning: which unit gets which arm, as a file for the system that does the exposing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.pilots import Pilot, get_pilot
from lab.state import open_lab
from shared.assignment import assign_sql, pilot_salt
from shared.digests import digest_file
from shared.errors import BadInput, Refused
from shared.snapshot import open_snapshot
from shared.sql import file_literal, identifier
from shared.tabular import connect, read_raw, write_table
from shared.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Assigned:
    """How many units got which arm."""

    units: int
    per_arm: dict[str, int]


def assign(workspace: Workspace, name: str, out: Path, units: Path | None = None) -> Assigned:
    """Writes `unit` and `arm` of the pilot's population, or of the units named in a file.

    Raises BadInput where a named unit is not of the population, Refused where the arms come from elsewhere.
    """
    room = open_lab(workspace)
    pilot = get_pilot(room, name)
    if pilot.charter.assignment == "source":
        raise Refused(
            f"pilot {name} takes its arms from the system that exposes (assignment: source)",
            remedy="record the exposures with their arms: pilotplant lab record " + name,
        )
    with connect() as connection:
        connection.execute(f"CREATE VIEW population AS {population_sql(workspace, pilot)}")
        chosen = "SELECT unit FROM population"
        if units is not None:
            present = read_raw(connection, units, "named")
            if "unit" not in present:
                raise BadInput("column `unit` is missing", where=str(units), expected="one pseudonym per row in `unit`")
            stranger = connection.execute(
                "SELECT unit FROM named WHERE unit IS NULL OR unit NOT IN (SELECT unit FROM population) LIMIT 1"
            ).fetchone()
            if stranger:
                raise BadInput(
                    f"unit `{stranger[0]}` is not of the population `{pilot.charter.population}`",
                    where=str(units),
                    remedy="use pseudonyms of the pilot's snapshot, or `pilotplant factory pseudonymise` first",
                )
            chosen = "SELECT DISTINCT unit FROM named"
        arms = assign_sql(pilot_salt(name), "unit", pilot.charter.weights)
        connection.execute(f"CREATE TEMP TABLE assigned AS SELECT unit, {arms} AS arm FROM ({chosen})")
        total = write_table(connection, "SELECT unit, arm FROM assigned ORDER BY unit", out)
        counts = dict(connection.execute("SELECT arm, count(*) FROM assigned GROUP BY arm").fetchall())
    per_arm = {arm: counts.get(arm, 0) for arm in pilot.charter.weights}
    with room.transaction() as connection_:
        room.write(connection_, "assigned", name, {"units": total, "per_arm": per_arm, "file": digest_file(out)})
    return Assigned(total, per_arm)


def population_sql(workspace: Workspace, pilot: Pilot) -> str:
    """A query for every unit of the pilot's population."""
    snapshot = open_snapshot(workspace, pilot.snapshot)
    key = snapshot.contract(pilot.charter.population).primary_key
    path = snapshot.table(pilot.charter.population)
    return f"SELECT {identifier(key)} AS unit FROM read_parquet({file_literal(path)})"
