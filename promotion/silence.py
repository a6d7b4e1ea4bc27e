"""Silence: a deadline that passes without a decision is *stop*, and the gate's ledger says so."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa

from promotion.case import Case
from promotion.intake import open_case
from promotion.state import decisions
from shared.clock import rfc3339
from shared.console import date_time
from shared.crashpoints import Point, reach
from shared.errors import PilotPlantError
from shared.intake import digest_named, latest
from shared.ledger import Entry, legible
from shared.room import Room

LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Lapse:
    """A pilot that nobody decided in time.

    Attributes:
        candidate: the digest of the one that waited.
        owner: who was to decide.
        deadline: since when silence is *stop*, RFC 3339.
        at: when the gate recorded it, RFC 3339.
    """

    pilot: str
    candidate: str
    owner: str
    deadline: str
    at: str

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return asdict(self)

    def told(self) -> str:
        """One line for people."""
        return f"{self.pilot}: lapsed, which is *stop*: {self.owner} did not decide before {date_time(self.deadline)}"


def settle(room: Room) -> tuple[Lapse, ...]:
    """Records what has lapsed since the last time, each pilot once; returns what was recorded now.

    Every command that lists, judges or decides calls it first, so no clock has to run in between. A candidate
    whose deadline cannot be believed (damaged, or with a charter that the gate never took in) is left alone.
    """
    return tuple(found for case in _overdue(room) if (found := _record(room, case)) is not None)


def lapses(room: Room) -> dict[str, Lapse]:
    """Every pilot that has lapsed by the ledger, in the order in which it was recorded."""
    with room.transaction() as connection:
        return _lapses(connection, room)


def lapse_of(connection: sa.Connection, room: Room, pilot: str) -> Lapse | None:
    """The pilot's lapse, or None; asked within the transaction that decides or lapses, so that only one comes."""
    return _lapses(connection, room).get(pilot)


def _overdue(room: Room) -> list[Case]:
    """The cases past their deadline without a decision or an entry, whose deadline can be believed."""
    with room.transaction() as connection:
        closed = set(connection.execute(sa.select(decisions.c.pilot)).scalars()) | _lapses(connection, room).keys()
    cases = (open_case(room, found) for pilot, found in latest(room.workspace).items() if pilot not in closed)
    return [case for case in cases if _is_overdue(case)]


def _is_overdue(case: Case) -> bool:
    try:
        return case.now >= case.charter.deadline and case.registered_at is not None and not case.tampered
    except (PilotPlantError, OSError, ValueError):
        return False  # what cannot be read is `promote verify`'s to name


def _record(room: Room, case: Case) -> Lapse | None:
    pilot, charter = case.charter.pilot, case.charter
    body = {"candidate": digest_named(case.candidate), "owner": charter.owner, "deadline": rfc3339(charter.deadline)}
    with room.transaction() as connection:
        decided = connection.execute(sa.select(decisions.c.pilot).where(decisions.c.pilot == pilot)).first()
        if decided is not None or lapse_of(connection, room, pilot) is not None:
            return None
        at = room.moment(connection)
        room.write(connection, LAPSED, pilot, body, at=at)
        reach(Point.LAPSE_WRITTEN)
    reach(Point.LAPSE_RECORDED)
    return Lapse(pilot, **body, at=rfc3339(at))


def _lapses(connection: sa.Connection, room: Room) -> dict[str, Lapse]:
    found = (_read(entry) for entry in legible(connection, room.entries_table) if entry.kind == LAPSED)
    return {lapse.pilot: lapse for lapse in found}


def _read(entry: Entry) -> Lapse:
    said = {name: str(entry.body.get(name)) for name in ("candidate", "owner", "deadline")}
    return Lapse(entry.subject, **said, at=entry.at)
