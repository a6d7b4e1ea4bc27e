"""Incidents: what went wrong around what runs, and what was done about it, on record in the Factory's ledger."""

from __future__ import annotations

import json
from dataclasses import dataclass

import sqlalchemy as sa

from shared.state.ledger import latest
from shared.state.room import Room

KIND = "incident"
PREFECT = "prefect"  # whom an incident concerns that belongs to no release


@dataclass(frozen=True, slots=True)
class Incident:
    """One incident.

    Attributes:
        subject: the release it concerns, or `prefect`.
        what: what happened, in words.
        done: what the Factory did about it.
        flow_run: Prefect's id of the run it concerns; None where it concerns none.
    """

    subject: str
    what: str
    done: str
    flow_run: str | None = None


def record(room: Room, incident: Incident) -> None:
    """Puts an incident on record, once."""
    body = {"what": incident.what, "done": incident.done, "flow_run": incident.flow_run}
    with room.transaction() as connection:
        known = latest(connection, room.entries_table, incident.subject, KIND)
        if incident.flow_run is None or known is None or known.body != body:
            room.write(connection, KIND, incident.subject, body)


def since(room: Room, seq: int) -> tuple[list[Incident], int]:
    """The incidents of ledger entries after number `seq`, and the number of the ledger's present end."""
    table = room.entries_table
    with room.read() as connection:
        query = sa.select(table).where(table.c.kind == KIND, table.c.seq > seq).order_by(table.c.seq)
        found = [Incident(row.subject, **json.loads(row.body)) for row in connection.execute(query)]
        return found, room.head(connection).seq
