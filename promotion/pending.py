"""Pending: what persons have signed of a pilot and the gate has not, and whether it still stands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import sqlalchemy as sa

from promotion.authority import Occasion, against
from promotion.case import Case
from promotion.keyring import Keyring
from shared import ledger
from shared.clock import parse_rfc3339
from shared.decision import Decision
from shared.errors import PilotPlantError, Refused
from shared.intake import digest_named
from shared.ledger import Entry
from shared.people import same_person
from shared.proposal import SignedProposal, SignedSecond, read_proposal, read_second
from shared.room import Room
from shared.signed import Signed

PROPOSED, SECONDED, DECLINED = "proposed", "seconded", "declined"


@dataclass(frozen=True, slots=True)
class Pending:
    """A decision that one person has signed, or two, and the gate has not.

    Attributes:
        at: when the gate's ledger took in the last of their signatures.
        declined: why the gate would not sign it; None where it has not said so.
    """

    proposal: SignedProposal
    at: datetime
    second: SignedSecond | None = None
    declined: str | None = None

    @property
    def decision(self) -> Decision:
        """What was signed."""
        return self.proposal.proposal.decision

    @property
    def digest(self) -> str:
        """The proposal's."""
        return self.proposal.signed.digest

    @property
    def persons(self) -> tuple[str, ...]:
        """Who has signed, in that order."""
        return (self.decision.owner, *([self.second.second.person] if self.second else []))

    def awaits_gate(self, signatures_min: int) -> bool:
        """Whether all persons have signed whom the policy asks for."""
        return len(self.persons) >= signatures_min

    def is_signed_by(self, who: str) -> bool:
        """Whether somebody is one of those who have signed; capital letters make no second person."""
        return any(same_person(who, person) for person in self.persons)


def last_pending(room: Room, pilot: str) -> Pending | None:
    """What persons signed last of a pilot, whether it still stands or not; None where nothing was."""
    with room.transaction() as connection:
        return last_in(connection, room, pilot)


def last_in(connection: sa.Connection, room: Room, pilot: str) -> Pending | None:
    """The same, within a transaction."""
    found: Pending | None = None
    for entry in ledger.entries(connection, room.entries_table, subject=pilot):
        if entry.kind == PROPOSED:
            found = _proposed(entry)
        elif found is not None and entry.body.get("proposal") == found.digest:
            found = _followed(found, entry)
    return found


def fallen(found: Pending, case: Case, on: Occasion, ring: Keyring, signatures_min: int) -> str | None:
    """Why what was signed no longer stands, whatever the gate says of the candidate now; None where it does."""
    if found.declined is not None:
        return f"the gate would not sign it: {found.declined}"
    if found.proposal.proposal.candidate != digest_named(case.candidate):
        return "it was made for another candidate"
    # Who has signed in time has decided in time, however long the gate takes.
    in_time = found.awaits_gate(signatures_min) and found.at < case.charter.deadline
    if case.now >= case.charter.deadline and not in_time:
        return "the charter's deadline has passed"
    signatures = [(found.decision.owner, found.proposal.signed, found.proposal.at)]
    if found.second is not None:
        signatures.append((found.second.second.person, found.second.signed, found.second.at))
    for who, signed, at in signatures:
        if not _counts(who, signed, at, ring):
            return f"the key with which {who} signed it no longer counts"
        objection = against(who, on, "")
        if objection is not None:
            return objection.reason
    return None


def require_last(connection: sa.Connection, room: Room, pilot: str, digest: str) -> None:
    """Raises Refused where another proposal has come since; asked within the transaction that decides."""
    found = last_in(connection, room, pilot)
    if found is None or found.digest != digest:
        raise Refused(
            "another proposal has just taken the place of this one",
            where=f"pilot {pilot}",
            remedy="look: pilotplant promote log, then sign what is proposed now",
        )


def _counts(who: str, signed: Signed, at: datetime, ring: Keyring) -> bool:
    """Whether a person's signature of that moment is good by a key that counted then and is not revoked."""
    keys = (key for key in signed.verified_by(ring.every()) if key.name == who)
    return any(key.revoked_since is None and key.doubt(at) is None for key in keys)


def _proposed(entry: Entry) -> Pending | None:
    try:
        proposal = read_proposal(entry.body["envelope"], where=_place(entry))
        return Pending(proposal, parse_rfc3339(entry.at))
    except (PilotPlantError, ValueError, KeyError, TypeError):
        return None  # `promote verify` names it


def _followed(found: Pending, entry: Entry) -> Pending:
    if entry.kind == DECLINED:
        return replace(found, declined=str(entry.body.get("reason")))
    if entry.kind != SECONDED:
        return found
    try:
        second = read_second(entry.body["envelope"], where=_place(entry))
        return replace(found, second=second, at=parse_rfc3339(entry.at))
    except (PilotPlantError, ValueError, KeyError, TypeError):
        return found


def _place(entry: Entry) -> str:
    return f"entry {entry.seq} of the gate's ledger"
