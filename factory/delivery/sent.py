"""What was sent: the files of a week's runs, and the units that must not get another message now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import duckdb
import sqlalchemy as sa

from factory.delivery.channels.file import outgoing, read_back
from factory.state.room import open_factory
from factory.state.settings import read_settings
from factory.state.tables import runs
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.errors import Undecided
from shared.core.sql import file_literal, literal
from shared.state.workspace import Workspace
from shared.trust.preflight import DAYS_PER_WEEK


@dataclass(frozen=True, slots=True)
class Sent:
    """The messages of one run, which lie in `file`, one line each with its `unit`; `digest` is what was written."""

    release: str
    occurrence: datetime
    file: Path
    digest: str | None


def sent_within_a_week(workspace: Workspace, release: str, occurrence: datetime) -> list[Sent]:
    """Every run whose messages lie within a week of an occurrence of the release, but that occurrence itself."""
    week = timedelta(days=DAYS_PER_WEEK)
    query = sa.select(runs).where(
        runs.c.file.is_not(None),
        runs.c.occurrence > rfc3339(occurrence - week),
        runs.c.occurrence < rfc3339(occurrence + week),
        sa.not_(sa.and_(runs.c.release == release, runs.c.occurrence == rfc3339(occurrence))),
    )
    with open_factory(workspace).read() as connection:
        rows = connection.execute(query.order_by(runs.c.occurrence, runs.c.release)).all()
    found = []
    for row in rows:
        moment = parse_rfc3339(row.occurrence)
        file = outgoing(workspace, row.release, moment)
        # A run that was cut off has sent what its file holds, once that has its name.
        if row.state == "done" or file.exists():
            found.append(Sent(row.release, moment, file, row.file_digest))
    return found


def leave_alone(
    connection: duckdb.DuckDBPyConnection, workspace: Workspace, release: str, occurrence: datetime, *, units: str
) -> int:
    """Removes from the table `units` whoever must not get the message of this occurrence, and says how many.

    That is whoever has got as many messages within the week as the cap allows, and, where another release has written
    to more of them at this very moment than may be, those. Raises Undecided where the file of a run that has to be
    counted is missing or changed: whom it reached cannot be told then.
    """
    sent, settings = sent_within_a_week(workspace, release, occurrence), read_settings(workspace)
    before = _count(connection, f"SELECT count(*) FROM {units}")
    # Fewer runs than the cap has messages cannot have reached it, and their files need not be read.
    if len(sent) >= settings.contacts_per_week:
        received = f"SELECT unit, count(*) AS messages FROM ({_lines(sent)}) GROUP BY unit"
        connection.execute(
            f"DELETE FROM {units} WHERE unit IN "
            f"(SELECT unit FROM ({received}) WHERE messages >= {settings.contacts_per_week})"
        )
    for other in (each for each in sent if each.occurrence == occurrence):
        together = f"SELECT unit FROM ({_lines([other])})"
        shared = _count(connection, f"SELECT count(*) FROM {units} WHERE unit IN ({together})")
        if shared > settings.simultaneous_frac_max * before:
            connection.execute(f"DELETE FROM {units} WHERE unit IN ({together})")
    return before - _count(connection, f"SELECT count(*) FROM {units}")


def _lines(sent: list[Sent]) -> str:
    """A query for the unit of every message; raises Undecided for a file that is not as it was written."""
    for each in sent:
        _require_intact(each)
    files = ", ".join(file_literal(each.file) for each in sent)
    columns = f"{{'unit': {literal('VARCHAR')}}}"
    return f"SELECT unit FROM read_json([{files}], format = 'newline_delimited', columns = {columns})"


def _require_intact(sent: Sent) -> None:
    there = sent.file.exists()
    if there and read_back(sent.file) == sent.digest:
        return
    raise Undecided(
        f"whom release {sent.release} wrote to at {rfc3339(sent.occurrence)} cannot be told: its file is "
        f"{'changed' if there else 'missing'}",
        where=str(sent.file),
        expected="the files of the past week as they were written, to keep the cap of contacts",
        remedy="restore it from a backup; then run this occurrence again",
    )


def _count(connection: duckdb.DuckDBPyConnection, query: str) -> int:
    row = connection.execute(query).fetchone()
    return int(row[0]) if row else 0
