"""Proposing: a person's signature under a decision, recorded where the gate does not sign with it at once.

It then waits: where the policy asks for two persons for the second one, and after that for the gate.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Literal

import sqlalchemy as sa

from promotion.decisions.pending_decision import (
    PROPOSED,
    SECONDED,
    Pending,
    last_in,
    last_pending,
    require_last,
    why_void,
)
from promotion.decisions.transaction import require_undecided
from promotion.gate.authority import Occasion, against, second_signers
from promotion.gate.case import Case
from promotion.gate.gate import Judgement
from promotion.keys.keyring import KEY_KINDS, recorded_ring
from promotion.keys.passkey_uses import require_forward
from promotion.registry.lapses import require_open
from shared.core.clock import rfc3339
from shared.core.crashpoints import Point, reach
from shared.core.errors import Refused
from shared.experiment.people import same_person
from shared.trust.candidates import digest_named
from shared.trust.decision import Decision
from shared.trust.finding import Finding, Verdict
from shared.trust.proposal import PROPOSAL, SECOND, Proposal, SecondSignature, SignedProposal, SignedSecond
from shared.trust.signed import parse, sign

if TYPE_CHECKING:
    from securesystemslib.signer import Signer


@dataclass(frozen=True, slots=True)
class Proposed:
    """A decision that waits for a signature.

    Attributes:
        digest: the proposal's.
        persons: who has signed it.
        awaits: whose signature is missing: a second person's, or the gate's.
        others: who may give the second signature; nobody where the gate's is missing.
        lapses: the charter's deadline; what waits for the gate has come in time.
        repeated: whether the same person had signed the same before.
        warnings: the findings that warned and failed, where the gate has judged to propose it.
    """

    decision: Decision
    digest: str
    persons: tuple[str, ...]
    awaits: Literal["person", "gate"]
    others: tuple[str, ...]
    lapses: str
    repeated: bool
    warnings: tuple[Finding, ...] = ()


def verdict_for(judgement: Judgement, decision: Decision) -> Verdict:
    """The verdict that a decision stands on: that on its arm, or that on the pilot."""
    return judgement.verdict_on(decision.arm) if decision.arm else judgement.verdict


def proposed(case: Case, on: Occasion, signatures_min: int) -> Proposed | None:
    """What waits for a signature, with who may give it; None where nothing does.

    Whether the gate's verdict is still the same is asked when somebody signs.
    """
    found = last_pending(case.room, case.charter.pilot)
    ring = recorded_ring(case.room.entries(kinds=KEY_KINDS), case.room.workspace)
    if found is None or why_void(found, case, on, ring, signatures_min):
        return None
    return told(found, on, signatures_min, repeated=True)


def draft_proposal(case: Case, decision: Decision, verdict: Verdict) -> Proposal:
    """What the owner signs of a decision."""
    return Proposal(
        pilot=case.charter.pilot,
        candidate=digest_named(case.candidate),
        promise=case.promise.digest,
        workspace=case.room.workspace.id,
        mode=case.room.workspace.mode,
        verdict=verdict,
        decision=decision,
        lapses=rfc3339(case.charter.deadline),
    )


def draft_second(case: Case, found: Pending, who: str, reason: str) -> SecondSignature:
    """What a second person signs under what was proposed."""
    return SecondSignature(
        proposal=found.digest,
        workspace=case.room.workspace.id,
        mode=case.room.workspace.mode,
        person=who,
        reason=reason,
        at=rfc3339(case.now),
    )


def propose(
    case: Case,
    decision: Decision,
    verdict: Verdict,
    on: Occasion,
    signer: Signer,
    *,
    replaces: str | None,
    signatures_min: int,
) -> Proposed:
    """Records the owner's word as a proposal in the place of `replaces`, the digest of the one that was seen last."""
    room, charter = case.room, case.charter
    proposal = draft_proposal(case, decision, verdict)
    signed = parse(sign(PROPOSAL, proposal.model_dump(mode="json"), [signer]), PROPOSAL, where="the proposal")
    made = SignedProposal(proposal, signed)
    with room.transaction() as connection:
        before = last_in(connection, room, charter.pilot)
        if before is not None and before.digest != replaces and before.decision.same_as(decision):
            return told(before, on, signatures_min, repeated=True)
        at = _moment(connection, case)
        body = {"candidate": proposal.candidate, "proposal": signed.digest, "envelope": made.as_json()}
        room.write(connection, PROPOSED, charter.pilot, body, at=at)
        require_forward(connection, room, signed)
        reach(Point.PROPOSE_WRITTEN)
    reach(Point.PROPOSE_RECORDED)
    return told(Pending(made, at, at), on, signatures_min, repeated=False)


def second(
    case: Case, found: Pending, who: str, reason: str, on: Occasion, signer: Signer, *, signatures_min: int
) -> Proposed:
    """Records a second person's signature under what was proposed, which the gate has yet to sign."""
    room = case.room
    said = draft_second(case, found, who, reason)
    signed = parse(sign(SECOND, said.model_dump(mode="json"), [signer]), SECOND, where="the second signature")
    made = SignedSecond(said, signed)
    with room.transaction() as connection:
        require_last(connection, room, case.charter.pilot, found.digest)
        before = last_in(connection, room, case.charter.pilot)
        if before is not None and before.second is not None:
            require_missing(before, who, case.charter.pilot)
            return told(before, on, signatures_min, repeated=True)
        at = _moment(connection, case)
        body = {"candidate": digest_named(case.candidate), "proposal": found.digest, "envelope": made.as_json()}
        room.write(connection, SECONDED, case.charter.pilot, body, at=at)
        require_forward(connection, room, signed)
        reach(Point.SECOND_WRITTEN)
    reach(Point.SECOND_RECORDED)
    return told(replace(found, at=at, second=made), on, signatures_min, repeated=False)


def _moment(connection: sa.Connection, case: Case) -> datetime:
    """Now, while the pilot can still be decided; raises Refused where it cannot any more."""
    require_undecided(connection, case.charter.pilot)
    require_open(connection, case.room, case.charter.pilot)
    at = case.room.moment(connection)
    if at >= case.charter.deadline:
        raise Refused(
            "the deadline has passed while the gate was judging, and silence is *stop*",
            where=f"pilot {case.charter.pilot}",
            remedy="start another pilot; its charter may repeat this one",
        )
    return at


def told(found: Pending, on: Occasion, signatures_min: int, *, repeated: bool) -> Proposed:
    """What waits, with whose signature is missing, and who may give it."""
    made, gate = found.proposal.proposal, found.awaits_gate(signatures_min)
    others = () if gate else second_signers(on, made.decision.owner)
    awaits: Literal["person", "gate"] = "gate" if gate else "person"
    return Proposed(made.decision, found.digest, found.persons, awaits, others, made.lapses, repeated)


def require_second(found: Pending, decision: Decision, on: Occasion, who: str) -> None:
    """Raises Refused where somebody may not sign as the second person, or says something else than the first."""
    made = found.decision
    others = [other for other in second_signers(on, made.owner) if other != who]
    objection = against(who, on, f"{' or '.join(others)} may sign" if others else "have somebody else entitled")
    if objection is not None:
        raise Refused(objection.reason, where=f"pilot {on.charter.pilot}", remedy=objection.remedy)
    if (decision.word, decision.arm, decision.successor) != (made.word, made.arm, made.successor):
        raise Refused(
            f"{made.owner} has proposed {said(made)} on {made.at} ({made.reason}); a second signature is for the same",
            where=f"pilot {on.charter.pilot}, proposal {found.digest}",
            expected=said(made),
            remedy=f"sign that, or have {made.owner} propose something else",
        )
    require_missing(found, who, on.charter.pilot)


def require_missing(found: Pending, who: str, pilot: str) -> None:
    """Raises Refused where somebody else has given the second signature already."""
    if found.second is not None and not same_person(found.second.second.person, who):
        raise Refused(
            f"{found.second.second.person} has given the second signature already; only the gate's is missing",
            where=f"pilot {pilot}, proposal {found.digest}",
            remedy=f"for ops: pilotplant promote countersign {pilot}",
        )


def said(decision: Decision) -> str:
    """A decision as it is typed: its word, the arm, and whether the others go on."""
    others = " --revise" if decision.arm and decision.successor else ""
    return decision.word + (f" --arm {decision.arm}" if decision.arm else "") + others


def to_type(pilot: str, decision: Decision, who: str) -> str:
    """The command by which somebody signs a decision as well."""
    return f'pilotplant promote decide {pilot} {said(decision)} --as {who} --reason "…"'
