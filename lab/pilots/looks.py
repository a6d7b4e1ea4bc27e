"""Looks: who has seen a pilot's outcomes may not make it longer, so the ledger keeps every look at them."""

from __future__ import annotations

import sqlalchemy as sa

from lab.pilots.pilot import Pilot
from lab.state import batches
from shared.core.digests import digest_bytes
from shared.state.room import Room

ANALYSED, QUERIED = "analysed", "queried"


def note_query(room: Room, pilot: Pilot, sql: str) -> None:
    """Enters a query into the ledger once there are outcomes: whether it reads them, no look at its text can tell."""
    with room.transaction() as connection:
        taken = sa.select(sa.func.sum(batches.c.outcomes)).where(batches.c.pilot == pilot.name)
        outcomes = connection.execute(taken).scalar_one()
        if outcomes:
            room.write(connection, QUERIED, pilot.name, {"query": digest_bytes(sql.encode()), "outcomes": outcomes})


def seen(room: Room, pilot: Pilot) -> bool:
    """Whether anybody has looked at outcomes; an entry that does not say at how many counts as a look."""
    return any(entry.body.get("outcomes") != 0 for entry in room.entries(pilot.name, kinds=[ANALYSED, QUERIED]))
