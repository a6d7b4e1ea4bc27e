"""Pending: what persons have signed of a pilot and the gate has not, and whether it still stands.

Whoever may decide may write to the gate's ledger. So no word of an entry is believed here that its signatures do not
cover, and what was signed has to be what the person could have decided.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from promotion.decisions.draft import Asked, draft_decision
from promotion.gate.authority import Objection, Occasion, against, right_to_decide
from promotion.gate.case import Case
from promotion.keys.keyring import KEY_KINDS, Keyring, recorded_ring
from promotion.keys.passkey_uses import is_backwards
from shared.core.clock import parse_rfc3339
from shared.core.digests import canonical
from shared.core.errors import PilotPlantError, Refused
from shared.experiment.people import same_person
from shared.state import ledger
from shared.state.chain import Entry
from shared.state.order import TOLERANCE
from shared.state.room import Room
from shared.trust.candidates import digest_named
from shared.trust.decision import Decision
from shared.trust.keys import GATE, PublicKey
from shared.trust.proposal import SignedProposal, SignedSecond, read_proposal, read_second
from shared.trust.signed import Signed, parse, sign

if TYPE_CHECKING:
    from securesystemslib.signer import CryptoSigner

PROPOSED, SECONDED, DECLINED = "proposed", "seconded", "declined"
# What an entry raises that a hand has written.
UNREADABLE = (PilotPlantError, ValueError, KeyError, TypeError)


@dataclass(frozen=True, slots=True)
class Pending:
    """A decision that one person has signed, or two, and the gate has not.

    Attributes:
        proposed_at: when the gate's ledger took in the first signature.
        at: when it took in the last one.
        declined: why the gate would not sign it; None where it has not said so.
    """

    proposal: SignedProposal
    proposed_at: datetime
    at: datetime
    second: SignedSecond | None = None
    declined: str | None = None

    @property
    def decision(self) -> Decision:
        """What was signed; its moment is that of the last signature."""
        made = self.proposal.proposal.decision
        return made.model_copy(update={"at": self.second.second.at}) if self.second else made

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

    def is_of(self, case: Case) -> bool:
        """Whether it was made for this very candidate."""
        return self.proposal.proposal.candidate == digest_named(case.candidate)

    def is_in_time(self, case: Case, signatures_min: int) -> bool:
        """Whether all persons had signed before the charter's deadline, by the gate's ledger."""
        return self.awaits_gate(signatures_min) and self.at < case.charter.deadline


def last_pending(room: Room, pilot: str) -> Pending | None:
    """What persons signed last of a pilot, whether it still stands or not; None where nothing was."""
    with room.read() as connection:
        return last_in(connection, room, pilot)


def last_in(connection: sa.Connection, room: Room, pilot: str) -> Pending | None:
    """The same, within a transaction."""
    table = room.entries_table
    keys = recorded_ring(ledger.legible(connection, table, kinds=KEY_KINDS), room.workspace).every()
    return last_of(ledger.legible(connection, table, subject=pilot), keys)


def last_of(entries: Sequence[Entry], keys: Sequence[PublicKey]) -> Pending | None:
    """The same, of a pilot's entries.

    What is not signed with a key of whom it says takes nothing away, and a copy of what was there before puts nothing
    back.
    """
    found: Pending | None = None
    # By the statement: a passkey may have answered to the same one twice.
    seen: set[bytes] = set()
    for entry in entries:
        if entry.kind == PROPOSED:
            made = _proposed(entry)
            if made is None or (said := made.proposal.signed.envelope.payload) in seen:
                continue
            if _is_signed(made.proposal.signed, made.persons[0], keys):
                seen.add(said)
                found = made
        elif found is not None and entry.body.get("proposal") == found.digest:
            found = _followed(found, entry, keys)
    return found


def _is_signed(signed: Signed, who: str, keys: Sequence[PublicKey]) -> bool:
    return any(key.name == who for key in signed.verified_by(keys))


def why_void(found: Pending, case: Case, on: Occasion, ring: Keyring, signatures_min: int) -> str | None:
    """Why what was signed no longer stands, whatever the gate says of the candidate now; None where it does."""
    if found.declined is not None:
        return f"the gate would not sign it: {found.declined}"
    if not found.is_of(case):
        return "it was made for another candidate"
    # Who has signed in time has decided in time, however long the gate takes.
    if case.now >= case.charter.deadline and not found.is_in_time(case, signatures_min):
        return "the charter's deadline has passed"
    return _unsigned(found, case, ring) or _without_right(found, on) or _otherwise(found, case)


def _unsigned(found: Pending, case: Case, ring: Keyring) -> str | None:
    """Why one of the signatures does not count."""
    for who, signed, moments in _signatures(found):
        if moments[0] > moments[1] + TOLERANCE:
            return f"{who} signed it with a moment that had not come"
        if not _counts(who, signed, moments, ring):
            return f"the key with which {who} signed it does not count"
        if copied := is_backwards(case.room, signed):
            return copied
    return None


def _signatures(found: Pending) -> Iterator[tuple[str, Signed, tuple[datetime, datetime]]]:
    """Each person with their statement, when they say that they signed it, and when the ledger took it in."""
    yield found.decision.owner, found.proposal.signed, (found.proposal.at, found.proposed_at)
    if found.second is not None:
        yield found.second.second.person, found.second.signed, (found.second.at, found.at)


def _counts(who: str, signed: Signed, moments: tuple[datetime, datetime], ring: Keyring) -> bool:
    """Whether a person's signature is good by a key that counted at all those moments and is not revoked."""
    keys = (key for key in signed.verified_by(ring.every()) if key.name == who)
    return any(key.revoked_since is None and not any(map(key.doubt, moments)) for key in keys)


def _without_right(found: Pending, on: Occasion) -> str | None:
    """Why somebody who has signed may not: the first one the owner's word on that day, either of them now."""
    made = found.decision
    right = right_to_decide(made.owner, replace(on, day=found.proposed_at.date()))
    if isinstance(right, Objection):
        return right.reason
    theirs, said = (one and one.owner for one in (right.stands_in, made.stands_in))
    if theirs != said:
        return f"{made.owner} did not decide in the place of {said or theirs}"
    objection = against(made.owner, on, "")
    if objection is None and found.second is not None:
        objection = against(found.second.second.person, replace(on, separate=True), "")
    return objection.reason if objection else None


def _otherwise(found: Pending, case: Case) -> str | None:
    """How what was signed differs from what the same words come to today; None where it does not."""
    said, made = found.proposal.proposal, found.proposal.proposal.decision
    workspace = case.room.workspace
    theirs = (said.pilot, said.promise, said.workspace, said.mode)
    if theirs != (case.charter.pilot, case.promise.digest, workspace.id, workspace.mode):
        return "it was made for another pilot, promise or workspace"
    asked = Asked(
        made.word, made.owner, made.reason, made.arm, made.insight, changes=made.changes,
        revise=made.arm is not None and made.successor is not None,
    )  # fmt: skip
    try:
        drafted = draft_decision(case, asked, made.stands_in)
    except PilotPlantError as error:
        return error.what
    differing = [name for name, value in drafted if name != "at" and value != getattr(made, name)]
    return f"it names another {' and '.join(differing)} than such a decision has" if differing else None


def require_last(connection: sa.Connection, room: Room, pilot: str, digest: str) -> None:
    """Raises Refused where another proposal has come since; asked within the transaction that decides."""
    found = last_in(connection, room, pilot)
    if found is None or found.digest != digest:
        raise Refused(
            "another proposal has just taken the place of this one",
            where=f"pilot {pilot}",
            remedy="look: pilotplant promote log, then sign what is proposed now",
        )


def problems(entries: Sequence[Entry], keys: Sequence[PublicKey]) -> list[str]:
    """Every entry of the gate's ledger that claims a person's signature and has none, or repeats one; keys known."""
    found, seen = [], set()
    for entry in entries:
        if entry.kind not in {PROPOSED, SECONDED, DECLINED}:
            continue
        name = f"entry {entry.seq} ({entry.kind}, {entry.subject})"
        try:
            signed, who = _signed(entry)
        except UNREADABLE:
            found.append(f"{name}: it holds nothing that somebody has signed")
            continue
        if not _is_signed(signed, who, keys):
            why = "".join(f"; {reason}" for reason in signed.refusals(keys))
            found.append(f"{name}: it is not signed with a known key of {who}{why}")
        if signed.envelope.payload in seen:
            found.append(f"{name}: it is a copy of an earlier entry, and counts for nothing")
        seen.add(signed.envelope.payload)
    return found


def _signed(entry: Entry) -> tuple[Signed, str]:
    """What an entry holds, and whose signature it claims to be."""
    if entry.kind == DECLINED:
        return parse(canonical(entry.body["envelope"]), DECLINED, where=_place(entry)), GATE
    if entry.kind == PROPOSED:
        made = read_proposal(entry.body["envelope"], where=_place(entry))
        return made.signed, made.proposal.decision.owner
    other = read_second(entry.body["envelope"], where=_place(entry))
    return other.signed, other.second.person


def _proposed(entry: Entry) -> Pending | None:
    """What an entry proposes; None where it is none, which `promote verify` names."""
    try:
        proposal, at = read_proposal(entry.body["envelope"], where=_place(entry)), parse_rfc3339(entry.at)
    except UNREADABLE:
        return None
    return Pending(proposal, at, at)


def _followed(found: Pending, entry: Entry, keys: Sequence[PublicKey]) -> Pending:
    """What was proposed with what an entry adds to it: the first second signature that is under it, or a refusal."""
    if entry.kind == DECLINED:
        reason = _declined(entry, found, keys)
        return found if reason is None else replace(found, declined=reason)
    if entry.kind != SECONDED or found.second is not None:
        return found
    try:
        other, at = read_second(entry.body["envelope"], where=_place(entry)), parse_rfc3339(entry.at)
    except UNREADABLE:
        return found
    under, made = other.second, found.proposal.proposal
    theirs = (under.proposal, under.workspace, under.mode) == (found.digest, made.workspace, made.mode)
    ours = theirs and not same_person(under.person, made.decision.owner)
    ours = ours and _is_signed(other.signed, under.person, keys)
    return replace(found, second=other, at=at) if ours else found


def decline(found: Pending, reason: str, gate: CryptoSigner) -> dict[str, Any]:
    """What the ledger keeps of the gate's refusal to sign: its words, which the gate signs."""
    said = {"proposal": found.digest, "workspace": found.proposal.proposal.workspace, "reason": reason}
    envelope = json.loads(sign(DECLINED, said, [gate]))
    return {"candidate": found.proposal.proposal.candidate, "proposal": found.digest, "reason": reason,
            "envelope": envelope}  # fmt: skip


def _declined(entry: Entry, found: Pending, keys: Sequence[PublicKey]) -> str | None:
    """Why the gate would not sign what was proposed, as it has signed itself; None for anybody else's entry."""
    try:
        signed = parse(canonical(entry.body["envelope"]), DECLINED, where=_place(entry))
    except UNREADABLE:
        return None
    said, ours = signed.content, (found.digest, found.proposal.proposal.workspace)
    by_gate = any(key.role == "gate" for key in signed.verified_by(keys))
    return str(said.get("reason")) if by_gate and (said.get("proposal"), said.get("workspace")) == ours else None


def _place(entry: Entry) -> str:
    """Where an entry stands, as an error says it."""
    return f"entry {entry.seq} of the gate's ledger"
