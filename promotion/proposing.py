"""Proposing: where a decision needs two signatures, the owner's word waits for a second person's."""

from __future__ import annotations

from dataclasses import dataclass

import sqlalchemy as sa
from securesystemslib.signer import CryptoSigner

from promotion.authority import Occasion, against, second_signers
from promotion.case import Case
from promotion.gate import Judgement
from promotion.keyring import Keyring, keyring
from shared import ledger
from shared.clock import rfc3339
from shared.crashpoints import Point, reach
from shared.decision import Decision
from shared.errors import PilotPlantError, Refused
from shared.finding import Finding, Verdict
from shared.intake import digest_named
from shared.ledger import Entry
from shared.people import same_person
from shared.proposal import PROPOSAL, Proposal, SignedProposal, read_proposal
from shared.room import Room
from shared.signed import parse, sign

PROPOSED = "proposed"


@dataclass(frozen=True, slots=True)
class Proposed:
    """A decision that waits for a second signature.

    Attributes:
        digest: the proposal's.
        others: who may give the second signature.
        repeated: whether the same had been proposed before.
        warnings: the findings that warned and failed, where the gate has judged to propose it.
    """

    decision: Decision
    digest: str
    others: tuple[str, ...]
    lapses: str
    repeated: bool
    warnings: tuple[Finding, ...] = ()


def verdict_for(judgement: Judgement, decision: Decision) -> Verdict:
    """The verdict that a decision stands on: that on its arm, or that on the pilot."""
    return judgement.verdict_on(decision.arm) if decision.arm else judgement.verdict


def last_proposal(room: Room, pilot: str) -> SignedProposal | None:
    """What was proposed last of a pilot, whether it still stands or not; None where nothing was."""
    with room.transaction() as connection:
        return _last(connection, room, pilot)


def pending(case: Case, on: Occasion) -> Proposed | None:
    """What waits for a second signature, with who may give it; None where nothing does.

    Whether the gate's verdict is still the same is asked when somebody signs.
    """
    found = last_proposal(case.room, case.charter.pilot)
    if found is None or fallen(found, case, on, keyring(case.room.entries(), case.room.workspace)):
        return None
    return told(found, on, repeated=True)


def lapsed(found: SignedProposal, case: Case, on: Occasion, judgement: Judgement, ring: Keyring) -> str | None:
    """Why a proposal no longer stands, in words; None where it does."""
    made = found.proposal
    if why := fallen(found, case, on, ring):
        return why
    verdict = verdict_for(judgement, made.decision)
    return None if verdict == made.verdict else f"the gate's verdict was {made.verdict} then, and is {verdict} now"


def fallen(found: SignedProposal, case: Case, on: Occasion, ring: Keyring) -> str | None:
    """Why a proposal no longer stands, whatever the gate says of the candidate now; None where it does."""
    made = found.proposal
    if made.candidate != digest_named(case.candidate):
        return "it was made for another candidate"
    if case.now >= case.charter.deadline:
        return "the charter's deadline has passed"
    who = made.decision.owner
    signed = [key for key in found.signed.verified_by(ring.every()) if key.name == who]
    if not any(key.revoked_since is None and key.doubt(found.at) is None for key in signed):
        return f"the key with which {who} signed it no longer counts"
    objection = against(who, on, "")
    return objection.reason if objection else None


def propose(
    case: Case, decision: Decision, verdict: Verdict, on: Occasion, signer: CryptoSigner, *, replaces: str | None
) -> Proposed:
    """Records the owner's word as a proposal in the place of `replaces`, the digest of the one that was seen last."""
    room, charter = case.room, case.charter
    proposal = Proposal(
        pilot=charter.pilot,
        candidate=digest_named(case.candidate),
        promise=case.promise.digest,
        workspace=room.workspace.id,
        mode=room.workspace.mode,
        verdict=verdict,
        decision=decision,
        lapses=rfc3339(charter.deadline),
    )
    signed = parse(sign(PROPOSAL, proposal.model_dump(mode="json"), [signer]), PROPOSAL, where="the proposal")
    made = SignedProposal(proposal, signed)
    with room.transaction() as connection:
        before = _last(connection, room, charter.pilot)
        if before is not None and before.signed.digest != replaces and before.proposal.decision.same_as(decision):
            return told(before, on, repeated=True)
        body = {"candidate": proposal.candidate, "proposal": signed.digest, "envelope": made.as_json()}
        room.write(connection, PROPOSED, charter.pilot, body)
        reach(Point.PROPOSE_WRITTEN)
    reach(Point.PROPOSE_RECORDED)
    return told(made, on, repeated=False)


def told(found: SignedProposal, on: Occasion, *, repeated: bool) -> Proposed:
    """A proposal with who may sign it as well."""
    made = found.proposal
    others = second_signers(on, made.decision.owner)
    return Proposed(made.decision, found.signed.digest, others, made.lapses, repeated)


def require_second(found: SignedProposal, decision: Decision, on: Occasion, who: str) -> None:
    """Raises Refused where somebody may not sign as the second person, or says something else than the first."""
    made = found.proposal.decision
    others = [other for other in second_signers(on, made.owner) if other != who]
    objection = against(who, on, f"{' or '.join(others)} may sign" if others else "have somebody else entitled")
    if objection is not None:
        raise Refused(objection.reason, where=f"pilot {on.charter.pilot}", remedy=objection.remedy)
    if (decision.word, decision.arm, decision.successor) != (made.word, made.arm, made.successor):
        raise Refused(
            f"{made.owner} has proposed {said(made)} on {made.at} ({made.reason}); a second signature is for the same",
            where=f"pilot {on.charter.pilot}, proposal {found.signed.digest}",
            expected=said(made),
            remedy=f"sign that, or have {made.owner} propose something else",
        )


def require_last(connection: sa.Connection, room: Room, pilot: str, digest: str) -> None:
    """Raises Refused where another proposal has come since; asked within the transaction that decides."""
    found = _last(connection, room, pilot)
    if found is None or found.signed.digest != digest:
        raise Refused(
            "another proposal has just taken the place of this one",
            where=f"pilot {pilot}",
            remedy="look: pilotplant promote log, then sign what is proposed now",
        )


def said(decision: Decision) -> str:
    """A decision as it is typed: its word, the arm, and whether the others go on."""
    others = " --revise" if decision.arm and decision.successor else ""
    return decision.word + (f" --arm {decision.arm}" if decision.arm else "") + others


def to_type(pilot: str, decision: Decision, who: str) -> str:
    """The command by which somebody signs a decision as well."""
    return f'pilotplant promote decide {pilot} {said(decision)} --as {who} --reason "…"'


def is_proposer(found: SignedProposal, who: str) -> bool:
    """Whether somebody is the one who proposed; capital letters make no second person."""
    return same_person(found.proposal.decision.owner, who)


def _last(connection: sa.Connection, room: Room, pilot: str) -> SignedProposal | None:
    entries: list[Entry] = ledger.entries(connection, room.entries_table, subject=pilot)
    proposed = [entry for entry in entries if entry.kind == PROPOSED]
    if not proposed:
        return None
    try:
        return read_proposal(proposed[-1].body["envelope"], where=f"entry {proposed[-1].seq} of the gate's ledger")
    except (PilotPlantError, KeyError, TypeError):
        return None
