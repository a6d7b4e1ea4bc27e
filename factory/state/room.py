"""The Factory's room, opened with its releases as their permits have them."""

from __future__ import annotations

import sqlalchemy as sa

from factory.state.settings import read_settings
from factory.state.states import settle
from factory.state.tables import DROPPED, LOADED, SCHEMA_VERSION, metadata
from shared.state.room import Room, open_room
from shared.state.workspace import Workspace
from shared.trust import clock_correction


def open_factory(workspace: Workspace, *, settled: bool = True) -> Room:
    """The Factory's room, its releases as their permits have them unless that is left to the caller."""
    room = open_room(
        "factory",
        workspace,
        read_settings(workspace).database,
        metadata,
        version=SCHEMA_VERSION,
        corrections=clock_correction,
    )
    if settled:
        settle(room)
    return room


def standing(room: Room) -> set[str]:
    """The tables that were loaded, and not dropped since, as the ledger says."""
    entries, last = room.entries_table, dict[str, str]()
    query = sa.select(entries.c.subject, entries.c.kind).where(entries.c.kind.in_([LOADED, DROPPED]))
    with room.read() as connection:
        for subject, kind in connection.execute(query.order_by(entries.c.seq)):
            last[subject] = kind
    return {table for table, kind in last.items() if kind == LOADED}
