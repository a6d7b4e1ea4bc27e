"""Assigning: which unit gets which arm, as a file for the system that does the exposing."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from lab.pilots.pilot import Pilot, get_pilot
from lab.state import open_lab
from shared.core.digests import digest_file
from shared.core.errors import BadInput
from shared.core.files import scratch_in
from shared.core.sql import file_literal, identifier
from shared.data.contracts import Column
from shared.data.readers import read_raw
from shared.data.snapshot import open_snapshot
from shared.data.tabular import PARQUET, connect, write_table
from shared.state.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Assigned:
    """How many units got which arm.

    Attributes:
        per_arm: empty where another system draws the arms.
        left_out: units that take no part, by reason; the file does not have them.
        table: that they are customers of.
    """

    units: int
    per_arm: dict[str, int]
    left_out: dict[str, int]
    table: str


def assign(workspace: Workspace, name: str, out: Path, units: Path | None = None) -> Assigned:
    """Writes `unit` and `arm` of the population, or of the units named in a file, but for those who take no part.

    Where another system draws the arms it writes who may be exposed, without an arm. Raises BadInput where a named unit
    is not of the population.
    """
    room = open_lab(workspace)
    pilot = get_pilot(room, name)
    draw, elsewhere = pilot.draw(workspace), pilot.charter.assignment == "source"
    able = pilot.able
    with connect() as connection, scratch_in(pilot.folder) as scratch:
        connection.execute(f"CREATE TEMP VIEW population AS {population_sql(workspace, pilot)}")
        chosen = "population" if units is None else _named(connection, units, pilot)
        # Drawn once: a text file is written from the Parquet one, and the arms are counted there.
        drawn = out if out.suffix == PARQUET else scratch / "drawn.parquet"
        arm = "" if elsewhere else f", {draw.drawn_sql('unit')} AS arm"
        takes_part = draw.takes_part_sql("unit", able=able)
        total = write_table(connection, f"SELECT unit{arm} FROM {chosen} WHERE {takes_part}", drawn)
        connection.execute(f"CREATE TEMP VIEW drawn AS FROM read_parquet({file_literal(drawn)})")
        if drawn != out:
            write_table(connection, "FROM drawn", out)
        counted = "SELECT arm, count(*) FROM drawn GROUP BY arm"
        counts = {} if elsewhere else dict(connection.execute(counted).fetchall())
        left_out = _left_out(connection, draw.hindrances_sql("unit", able=able), chosen, total)
    per_arm = {} if elsewhere else {arm: counts.get(arm, 0) for arm in pilot.charter.weights}
    with room.transaction() as connection_:
        body = {"units": total, "per_arm": per_arm, "left_out": left_out, "file": digest_file(out)}
        room.write(connection_, "assigned", name, body)
    return Assigned(total, per_arm, left_out, pilot.charter.population)


def population_sql(workspace: Workspace, pilot: Pilot) -> str:
    """A query for every unit of the pilot's population, in the order of the units, as a snapshot's tables are.

    Where arms are drawn by cluster, `cluster` is that column of it, as text.
    """
    snapshot, charter = open_snapshot(workspace, pilot.snapshot), pilot.charter
    key = snapshot.contract(charter.population).primary_key
    cluster = f", CAST({identifier(charter.cluster)} AS VARCHAR) AS cluster" if charter.cluster else ""
    path = snapshot.table(charter.population)
    return f"SELECT {identifier(key)} AS unit{cluster} FROM read_parquet({file_literal(path)})"


def _left_out(
    connection: duckdb.DuckDBPyConnection, rules: Mapping[str, str], chosen: str, taking_part: int
) -> dict[str, int]:
    """Units by the first reason that keeps them out; who is left for the last reason need not be drawn again."""
    found, others = {}, "true"
    left = _count(connection, chosen) - taking_part
    for why in list(rules)[:-1]:
        found[why] = _count(connection, f"{chosen} WHERE {others} AND {rules[why]}")
        left -= found[why]
        others += f" AND NOT ({rules[why]})"
    return found | dict.fromkeys(list(rules)[-1:], left)


def _count(connection: duckdb.DuckDBPyConnection, what: str) -> int:
    row = connection.execute(f"SELECT count(*) FROM {what}").fetchone()
    return int(row[0]) if row else 0


def _named(connection: duckdb.DuckDBPyConnection, units: Path, pilot: Pilot) -> str:
    """The relation of the units that a file names, each once, in order; raises BadInput for one that is a stranger."""
    if "unit" not in read_raw(connection, units, "named", [Column(name="unit", type="string")]):
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
    return "(SELECT * FROM population SEMI JOIN named USING (unit) ORDER BY unit)"
