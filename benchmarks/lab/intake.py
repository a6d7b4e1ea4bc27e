"""Intake of a million events, against a bare DuckDB COPY of the same CSV file into Parquet."""

from __future__ import annotations

import tempfile
from pathlib import Path

import duckdb

from benchmarks.lab.stage import CUSTOMERS, launched
from benchmarks.measure import Line, compared, cost_of
from lab.intake.intake import record
from shared.data.snapshot import latest_snapshot
from shared.experiment.assignment import assign_sql
from shared.state.workspace import Workspace, open_workspace
from tests.lab_makers import INSIDE, PILOT, copy_of, salt_of

EVENTS = 1_000_000
LIMIT = 5.0
PEER = "DuckDB: COPY (FROM the same CSV) TO Parquet"
HALVES = {"control": 1, "letter": 1}


def run(repeats: int = 5, events: int = EVENTS) -> list[Line]:
    """Exposures into an empty pilot, and outcomes into one that has as many exposures."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        workspace = launched(folder, events)
        workspace.clock.set(INSIDE)
        exposures, outcomes = write_events(workspace, folder)
        exposed = copy_of(workspace, folder / "exposed")
        cost_of(take, exposed.root, exposures)
        copied = folder / "copied.parquet"
        lines = []
        for what, stage, file in (("exposures", workspace, exposures), ("outcomes", exposed, outcomes)):

            def ours(number: int, stage: Workspace = stage, file: Path = file, what: str = what) -> tuple:
                return take, (copy_of(stage, folder / f"{what}-{number}").root, file)

            lines.append(
                compared(
                    f"`lab record` of {events:,} {what}, CSV",
                    ours,
                    PEER,
                    lambda _, file=file: (copy, (file, copied)),
                    repeats=repeats,
                    limit=LIMIT,
                )
            )
        return lines


def write_events(workspace: Workspace, folder: Path) -> tuple[Path, Path]:
    """Every customer is exposed once, in the arm that was drawn, and answers once, up to twelve days later."""
    table = latest_snapshot(workspace).table(CUSTOMERS)
    exposures, outcomes = folder / "exposures.csv", folder / "outcomes.csv"
    arm = assign_sql(salt_of(PILOT), "customer_id", HALVES)
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute(
            "CREATE TABLE events AS SELECT row_number() OVER () AS n, customer_id AS unit, "
            f"{arm} AS arm, TIMESTAMPTZ '2026-01-06 09:00:00Z' + to_seconds(n % 3600) AS exposed_at "
            f"FROM read_parquet('{table}')"
        )
        moment = "strftime({}, '%Y-%m-%dT%H:%M:%SZ') AS \"at\""
        connection.execute(
            f"COPY (SELECT 'exposure-' || n AS event_id, unit, arm, {moment.format('exposed_at')} FROM events "
            f"ORDER BY hash(n)) TO '{exposures}'"
        )
        at = moment.format("exposed_at + to_hours(n % 288)")
        connection.execute(
            f"COPY (SELECT 'outcome-' || n AS event_id, unit, {at}, n % 7 // 6 AS visit, n % 28 // 27 AS conversion, "
            f"n % 28 // 27 * (n % 90 + 0.5) AS spend FROM events ORDER BY hash(n + 1)) TO '{outcomes}'"
        )
    return exposures, outcomes


def take(root: Path, file: Path) -> None:
    done = record(open_workspace(root), PILOT, file)
    assert done.exposures + done.outcomes, done
    assert not done.conflicts, done.conflicts


def copy(file: Path, out: Path) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"COPY (FROM read_csv('{file}')) TO '{out}' (FORMAT parquet)")
