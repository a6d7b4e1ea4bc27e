"""Where a pilot's rows lie, and whether they are made up: what the gate asks of sealed data beside the evidence."""

from __future__ import annotations

from datetime import UTC

import duckdb

from shared.core.clock import rfc3339
from shared.core.sql import identifier, literal
from shared.engines.answers import Placement
from shared.engines.files import number, opened
from shared.engines.protocol import EARLY, PilotData
from shared.experiment.charter import Charter
from shared.experiment.draw import Draw

# What the id of every made-up event begins with; no pilot of real units takes one in, and the gate looks again.
SYNTHETIC = "synthetic-"
# And of every event that was made up to rehearse a pilot; no live workspace takes one in.
REHEARSED = "rehearsed-"


def made_up_sql(mark: str) -> str:
    """The DuckDB condition under which an event's id begins with a mark of the made-up."""
    return f"starts_with(lower(trim(event_id)), '{mark}')"


MADE_UP = made_up_sql(SYNTHETIC)


def place(data: PilotData, draw: Draw, charter: Charter) -> Placement:
    """Compares each row's unit, arm and time with what was drawn and promised."""
    starts, ends = (f"TIMESTAMPTZ '{rfc3339(moment)}'" for moment in (charter.time_box.starts, charter.time_box.ends))
    with opened(data) as connection:
        connection.execute(f"CREATE TEMP VIEW placed AS {_placed(data, charter.cluster)}")
        connection.execute('CREATE TEMP VIEW events AS SELECT "at" FROM exposures UNION ALL SELECT "at" FROM outcomes')
        own = charter.assignment == "pilotplant"
        [(last,)] = connection.execute('SELECT max("at") FROM events').fetchall()
        return Placement(
            misassigned=_exposures(connection, f"arm IS DISTINCT FROM {draw.drawn_sql('unit')}") if own else None,
            outside={
                why: _exposures(connection, f"({which}) IS NOT FALSE")
                for why, which in draw.hindrances_sql("unit", able=data.able).items()
            },
            early=number(connection, f'SELECT count(*) FROM events WHERE "at" < {starts}'),
            late=number(connection, f'SELECT count(*) FROM events WHERE "at" >= {ends}'),
            last_event=last.astimezone(UTC) if last else None,
            misattributed=number(connection, _misattributed(data, draw)) if own and _tells(connection) else 0,
            untold=number(connection, _untold(connection)),
            exposures=dict(
                connection.execute("SELECT arm, count(*) FROM exposures GROUP BY arm ORDER BY arm").fetchall()
            ),
        )


def made_up(data: PilotData, *, rehearsed: bool = False) -> int:
    """How many exposures and outcomes carry the mark of synthetic units, or if that is asked of rehearsed ones."""
    marked = MADE_UP + (f" OR {made_up_sql(REHEARSED)}" if rehearsed else "")
    with opened(data) as connection:
        return sum(
            number(connection, f"SELECT count(*) FROM {part} WHERE {marked}") for part in ("exposures", "outcomes")
        )


def _tells(connection: duckdb.DuckDBPyConnection) -> bool:
    """Whether rows that were held back say more than why."""
    there = {name for name, *_ in connection.execute("DESCRIBE conflicts").fetchall()}
    return {"kind", "arm", "assigned", "at", "said"} <= there


def _untold(connection: duckdb.DuckDBPyConnection) -> str:
    """A query that counts the rows held back without what they said."""
    if not _tells(connection):
        return "SELECT count(*) FROM conflicts"
    return "SELECT count(*) FROM conflicts WHERE kind = 'outcomes' AND said IS NULL"


def _misattributed(data: PilotData, draw: Draw) -> str:
    """A query that counts the rows held back whose arm is not the one that is drawn; of an unknown cluster none is."""
    expected = f"CASE WHEN {draw.takes_part_sql('unit')} THEN {draw.drawn_sql('unit')} END"
    known = "true" if draw.cluster is None else "cluster IS NOT NULL"
    rows = _placed(data, draw.cluster, "conflicts")
    return (
        f"SELECT count(*) FROM ({rows}) WHERE unit IS NOT NULL AND reason <> {literal(EARLY)} AND {known} "
        f"AND assigned IS DISTINCT FROM {expected}"
    )


def _placed(data: PilotData, cluster: str | None, part: str = "exposures") -> str:
    """A query for the exposures, or another part, with each unit's `cluster` where arms are drawn by that.

    A unit that the traits do not have, or have more than once, has no cluster that is known.
    """
    if cluster is None:
        return f"FROM {part}"
    if data.traits is None:
        return f"SELECT *, CAST(NULL AS VARCHAR) AS cluster FROM {part}"
    value = f"CAST({identifier(cluster)} AS VARCHAR)"
    once = f"CASE WHEN count(*) = 1 THEN any_value({value}) END"
    return (
        f"SELECT e.*, t.drawn_by AS cluster FROM {part} e "
        f"LEFT JOIN (SELECT unit, {once} AS drawn_by FROM traits GROUP BY unit) t ON t.unit = e.unit"
    )


def _exposures(connection: duckdb.DuckDBPyConnection, condition: str) -> int:
    return number(connection, f"SELECT count(*) FROM placed WHERE {condition}")
