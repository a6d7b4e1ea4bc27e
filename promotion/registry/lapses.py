"""Lapses: pilots that nobody decided in time, as the gate's ledger tells of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import sqlalchemy as sa

from promotion.state import REGISTERED
from shared.core.errors import Refused
from shared.core.times import date_time
from shared.state.chain import Entry
from shared.state.ledger import legible
from shared.state.room import Room

LAPSED = "lapsed"


@dataclass(frozen=True, slots=True)
class Lapse:
    """A pilot that nobody decided in time.

    Attributes:
        candidate: the digest of the one that waited.
        owner: who was to decide.
        deadline: since when silence is *stop*, RFC 3339.
        at: when the gate recorded it, RFC 3339.
        verdicts: of each arm, what the gate's checks of the evidence came to at the last moment; none in entries of
            before 0.2. What the Factory tries for it is left out: where nobody decides, nobody tries.
        declined: where somebody had decided in time: why the gate would not sign it.
    """

    pilot: str
    candidate: str
    owner: str
    deadline: str
    at: str
    verdicts: dict[str, str] = field(default_factory=dict)
    declined: str | None = None

    @property
    def missed(self) -> list[str]:
        """The arms for which the evidence was."""
        return [arm for arm, verdict in self.verdicts.items() if verdict == "admit"]

    def told(self) -> str:
        """One line for people."""
        missed = f", although the evidence was for arm {' and arm '.join(self.missed)}" if self.missed else ""
        why = (
            f"what was decided before {date_time(self.deadline)} was not signed by the gate ({self.declined})"
            if self.declined
            else f"{self.owner} did not decide before {date_time(self.deadline)}"
        )
        return f"{self.pilot}: lapsed, which is *stop*: {why}{missed}"


def lapses(room: Room) -> dict[str, Lapse]:
    """Every pilot that has lapsed by the ledger, in the order in which it was recorded."""
    with room.read() as connection:
        return lapses_in(connection, room)


def lapses_in(connection: sa.Connection, room: Room) -> dict[str, Lapse]:
    """The same, within a transaction."""
    found = map(_read, legible(connection, room.entries_table, kinds=[LAPSED]))
    return {lapse.pilot: lapse for lapse in found}


def missed(room: Room) -> list[Lapse]:
    """Lapsed pilots with an arm for which the evidence was, and that no pilot has continued since."""
    continued = {str(before["pilot"]) for entry in room.entries(kinds=[REGISTERED]) for before in _before(entry)}
    return [lapse for lapse in lapses(room).values() if lapse.missed and lapse.pilot not in continued]


def _before(entry: Entry) -> list[dict[str, Any]]:
    """The pilots that a registration continues; none where a hand has written something else."""
    line = entry.body.get("line")
    found = line.get("before") if isinstance(line, dict) else None
    return [one for one in found if isinstance(one, dict) and "pilot" in one] if isinstance(found, list) else []


def lapse_of(connection: sa.Connection, room: Room, pilot: str) -> Lapse | None:
    """The pilot's lapse, or None; asked within the transaction that decides or lapses, so that only one comes."""
    return lapses_in(connection, room).get(pilot)


def require_open(connection: sa.Connection, room: Room, pilot: str) -> None:
    """Raises Refused where silence was *stop*: no candidate of the pilot is decided any more."""
    lapse = lapse_of(connection, room, pilot)
    if lapse is not None:
        raise Refused(
            f"the deadline has passed, and silence was *stop*: {lapse.owner} did not decide before {lapse.deadline}",
            where=f"pilot {pilot}",
            remedy="nothing decides it now; start another pilot, whose charter may repeat this one",
        )


def _read(entry: Entry) -> Lapse:
    said = {name: str(entry.body.get(name)) for name in ("candidate", "owner", "deadline")}
    given = entry.body.get("verdicts")
    verdicts = {str(arm): str(verdict) for arm, verdict in given.items()} if isinstance(given, dict) else {}
    return Lapse(entry.subject, **said, at=entry.at, verdicts=verdicts, declined=entry.body.get("declined"))
