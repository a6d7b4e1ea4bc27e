"""Looks at results through the gate: the ledger keeps who has seen them, as the Lab keeps its own."""

from __future__ import annotations

from promotion.case import Case
from shared import ledger
from shared.intake import digest_named

LOOKED = "looked"


def note(case: Case, what: str, who: str | None) -> None:
    """Enters a look into the ledger: what was shown, and to whom if they said so.

    A sealed candidate shows the same however often it is looked at: the same look again is not entered again.
    """
    room, pilot = case.room, case.candidate.manifest.pilot
    body = {"candidate": digest_named(case.candidate), "what": what, "by": who}
    with room.transaction() as connection:
        known = ledger.legible(connection, room.entries_table)
        if not any((entry.kind, entry.subject, entry.body) == (LOOKED, pilot, body) for entry in known):
            room.write(connection, LOOKED, pilot, body)
