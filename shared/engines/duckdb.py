"""DuckDB as engine: one scan over a pilot's sealed data yields counts and moments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import duckdb

from shared.assignment import assign_sql, pilot_salt
from shared.charter import Charter
from shared.clock import rfc3339
from shared.evidence.model import Moments
from shared.metrics import Metric
from shared.sql import file_literal, identifier

IN_TWO_ARMS = "unit in two arms"
NOT_ASSIGNED = "not the arm that was assigned"
# What the id of every made-up event begins with; no pilot of real units takes one in, and the gate looks again.
SYNTHETIC = "synthetic-"
MADE_UP = f"starts_with(lower(trim(event_id)), '{SYNTHETIC}')"


@dataclass(frozen=True, slots=True)
class PilotData:
    """The three sealed files of a pilot.

    Attributes:
        exposures: event_id, unit, arm, at; one row per accepted exposure.
        outcomes: event_id, unit, at and the contract's columns; one row per accepted outcome.
        conflicts: kind, event_id, unit, reason; one row per row held back.
    """

    exposures: Path
    outcomes: Path
    conflicts: Path

    @classmethod
    def in_folder(cls, folder: Path) -> PilotData:
        """The files by their names in a dataset or candidate."""
        return cls(folder / "exposures.parquet", folder / "outcomes.parquet", folder / "conflicts.parquet")

    @property
    def files(self) -> tuple[Path, Path, Path]:
        """All three."""
        return self.exposures, self.outcomes, self.conflicts


@dataclass(frozen=True, slots=True)
class Summary:
    """What one pass over a pilot's data says; everything else is computed from it.

    Attributes:
        moments: per arm, per metric.
        units: exposed units per arm, those in two arms left out.
        reporting: of these, units with any outcome.
        unvalued: outcomes of these units without a value, per metric.
        multiple_units: units that were seen in two arms, or in another one than was assigned.
        conflicts: rows held back, by reason.
    """

    moments: dict[str, dict[str, Moments]]
    units: dict[str, int]
    reporting: dict[str, int]
    unvalued: dict[str, int]
    multiple_units: int
    conflicts: dict[str, int]
    exposures: int
    outcomes: int
    first_exposure: str | None
    last_exposure: str | None


def summarise(data: PilotData, metrics: Mapping[str, Metric]) -> Summary:
    """Counts and moments of a pilot's data; outcomes before a unit's first exposure do not count."""
    with _opened(data) as connection:
        connection.execute(_UNITS)
        units, moments = _moments(connection, metrics)
        return Summary(
            moments=moments,
            units=units,
            reporting=dict(connection.execute(_REPORTING).fetchall()),
            unvalued=_unvalued(connection, metrics),
            multiple_units=_number(connection, "SELECT count(*) FROM multiple"),
            conflicts=dict(
                connection.execute("SELECT reason, count(*) FROM conflicts GROUP BY reason ORDER BY reason").fetchall()
            ),
            exposures=_number(connection, "SELECT count(*) FROM exposures"),
            outcomes=_number(connection, "SELECT count(*) FROM outcomes"),
            first_exposure=_moment(connection, "min"),
            last_exposure=_moment(connection, "max"),
        )


_UNITS = f"""
CREATE VIEW multiple AS
    SELECT DISTINCT unit FROM conflicts WHERE reason IN ('{IN_TWO_ARMS}', '{NOT_ASSIGNED}') AND unit IS NOT NULL
    UNION SELECT unit FROM exposures GROUP BY unit HAVING count(DISTINCT arm) > 1;
CREATE VIEW units AS
    SELECT unit, any_value(arm) AS arm, min("at") AS first_at FROM exposures
    WHERE unit NOT IN (SELECT unit FROM multiple) GROUP BY unit;
"""


_REPORTING = """
SELECT u.arm, count(DISTINCT u.unit) FROM units u JOIN outcomes o ON o.unit = u.unit AND o."at" >= u.first_at
GROUP BY u.arm ORDER BY u.arm
"""


def _unvalued(connection: duckdb.DuckDBPyConnection, metrics: Mapping[str, Metric]) -> dict[str, int]:
    counts = ", ".join(f"count(*) FILTER (o.{identifier(metric.column)} IS NULL)" for metric in metrics.values())
    row = connection.execute(
        f'SELECT {counts} FROM units u JOIN outcomes o ON o.unit = u.unit AND o."at" >= u.first_at'
    ).fetchone()
    return dict(zip(metrics, row or (), strict=True))


def _moments(
    connection: duckdb.DuckDBPyConnection, metrics: Mapping[str, Metric]
) -> tuple[dict[str, int], dict[str, dict[str, Moments]]]:
    names = list(metrics)
    per_unit = ", ".join(f"{_per_unit(metric)} AS {identifier(name)}" for name, metric in metrics.items())
    filled = ", ".join(f"coalesce({identifier(name)}, 0) AS {identifier(name)}" for name in names)
    # var_pop is Welford's algorithm: centred, unlike sum(x * x).
    per_arm = ", ".join(f"avg({identifier(name)}), var_pop({identifier(name)}) * count(*)" for name in names)
    rows = connection.execute(f"""
        WITH happened AS (
            SELECT o.unit, {per_unit} FROM outcomes o JOIN units u ON o.unit = u.unit AND o."at" >= u.first_at
            GROUP BY o.unit
        ), valued AS (
            SELECT u.arm, {filled} FROM units u LEFT JOIN happened h USING (unit)
        )
        SELECT arm, count(*), {per_arm} FROM valued GROUP BY arm ORDER BY arm
    """).fetchall()
    units = {row[0]: row[1] for row in rows}
    moments = {
        row[0]: {
            name: Moments(n=row[1], mean=row[2 + 2 * index], m2=row[3 + 2 * index]) for index, name in enumerate(names)
        }
        for row in rows
    }
    return units, moments


def _per_unit(metric: Metric) -> str:
    column = identifier(metric.column)
    if metric.kind == "proportion":
        return f"CAST(coalesce(bool_or(o.{column} > 0), false) AS DOUBLE)"
    return f"CAST(sum(o.{column}) AS DOUBLE)"


@dataclass(frozen=True, slots=True)
class Placement:
    """Where a pilot's rows lie, as the gate asks it of a Lab that it need not believe.

    Attributes:
        misassigned: exposures in another arm than the salted hash draws; None where arms come from the source.
        early, late: exposures and outcomes before the time box opens, and from its end on.
        last_event: the last exposure or outcome; None without any.
    """

    misassigned: int | None
    early: int
    late: int
    last_event: datetime | None


def place(data: PilotData, charter: Charter) -> Placement:
    """Compares each row's arm and time with what the charter promised."""
    drawn = assign_sql(pilot_salt(charter.pilot), "exposures.unit", charter.weights)
    starts, ends = (f"TIMESTAMPTZ '{rfc3339(moment)}'" for moment in (charter.time_box.starts, charter.time_box.ends))
    with _opened(data) as connection:
        connection.execute('CREATE VIEW events AS SELECT "at" FROM exposures UNION ALL SELECT "at" FROM outcomes')
        own = charter.assignment == "pilotplant"
        row = connection.execute('SELECT max("at") FROM events').fetchone()
        return Placement(
            misassigned=_number(connection, f"SELECT count(*) FROM exposures WHERE arm <> {drawn}") if own else None,
            early=_number(connection, f'SELECT count(*) FROM events WHERE "at" < {starts}'),
            late=_number(connection, f'SELECT count(*) FROM events WHERE "at" >= {ends}'),
            last_event=row[0].astimezone(UTC) if row and row[0] else None,
        )


def made_up(data: PilotData) -> int:
    """How many exposures and outcomes carry the mark of synthetic units."""
    with _opened(data) as connection:
        return sum(
            _number(connection, f"SELECT count(*) FROM {part} WHERE {MADE_UP}") for part in ("exposures", "outcomes")
        )


@contextmanager
def _opened(data: PilotData) -> Iterator[duckdb.DuckDBPyConnection]:
    """The three files as views of their names."""
    # One thread: several add floating-point numbers in whatever order they finish, and the same data must give the
    # same evidence to the last bit, or analysing it again would seal another candidate.
    with duckdb.connect(config={"threads": 1}) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        for name, path in (("exposures", data.exposures), ("outcomes", data.outcomes), ("conflicts", data.conflicts)):
            connection.execute(
                f"CREATE VIEW {name} AS SELECT * FROM read_parquet({file_literal(path)}, hive_partitioning = false)"
            )
        yield connection


def _number(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0


def _moment(connection: duckdb.DuckDBPyConnection, which: str) -> str | None:
    row = connection.execute(f'SELECT {which}("at") FROM exposures').fetchone()
    return rfc3339(row[0]) if row and row[0] else None
