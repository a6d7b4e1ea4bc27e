"""Looks at results through the gate: the ledger keeps who has seen them, as the Lab keeps its own."""

from __future__ import annotations

from promotion.gate.case import Case
from promotion.gate.gate import Judgement
from shared.state import ledger
from shared.state.room import Room
from shared.trust.candidate import Candidate
from shared.trust.candidates import digest_named
from shared.trust.finding import failed_warnings

LOOKED = "looked"


def note(case: Case, judgement: Judgement, what: str, who: str | None) -> None:
    """Enters a look into the ledger: what was shown, to whom if they said so, and which warnings had failed.

    A sealed candidate shows the same however often it is looked at: the same look again is not entered again.
    """
    room, pilot = case.room, case.candidate.manifest.pilot
    warned = [one.name for one in failed_warnings(judgement.findings)]
    body = {"candidate": digest_named(case.candidate), "what": what, "by": who, "warnings": warned}
    with room.transaction() as connection:
        known = ledger.legible(connection, room.entries_table, subject=pilot, kinds=[LOOKED])
        if not any(entry.body == body for entry in known):
            room.write(connection, LOOKED, pilot, body)


def warnings_seen(room: Room, candidate: Candidate) -> list[str] | None:
    """The warnings that had failed when somebody last looked at a candidate; None where nobody has."""
    digest = digest_named(candidate)
    found = [
        entry.body["warnings"]
        for entry in room.entries(candidate.manifest.pilot, kinds=[LOOKED])
        if entry.body.get("candidate") == digest and "warnings" in entry.body
    ]
    return [str(name) for name in found[-1]] if found else None
