"""Signing: what is attested of a judged case and its decision, and the keys that sign it."""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa

from promotion.decisions.pending_decision import Pending
from promotion.decisions.proposal import verdict_for
from promotion.gate.case import Case
from promotion.gate.gate import Judgement
from promotion.gate.policy import GateSettings
from promotion.gate.promised import past_pilots, promised
from promotion.gate.waivers import recorded_waivers
from promotion.state import decisions
from shared.core.clock import rfc3339
from shared.core.digests import digest_bytes
from shared.core.errors import BadInput
from shared.trust.attestation import Predicate, Scope, Signatory
from shared.trust.candidate import EVIDENCE
from shared.trust.decision import Decision
from shared.trust.finding import Finding, failed_warnings
from shared.trust.keys import GATE
from shared.trust.waiver import SignedWaiver


def signatory(who: str, key_id: str, at: datetime, reason: str | None = None) -> Signatory:
    """Who signs now, with which key, as the attestation names them."""
    role: Literal["gate", "owner"] = "gate" if who == GATE else "owner"
    return Signatory(name=who, role=role, key_id=key_id, at=rfc3339(at), reason=reason)


def signed_before(found: Pending) -> tuple[Signatory, ...]:
    """Who signed before the gate did, as the attestation names them."""
    made, [key_id] = found.decision, found.proposal.signed.envelope.signatures
    first = Signatory(name=made.owner, role="owner", key_id=key_id, at=made.at, reason=made.reason)
    if found.second is None:
        return (first,)
    other, [key_id] = found.second.second, found.second.signed.envelope.signatures
    return (first, Signatory(name=other.person, role="owner", key_id=key_id, at=other.at, reason=other.reason))


def predicate_of(
    case: Case,
    judgement: Judgement,
    authority: list[Finding],
    decision: Decision,
    settings: GateSettings,
    signatories: tuple[Signatory, ...],
    before: Pending | None = None,
) -> Predicate:
    """What the gate signs, and whoever signs with it; `before` is what persons have signed of it before."""
    charter, workspace = case.charter, case.room.workspace
    policy = settings.policy(charter.risk_tier)
    with case.room.read() as connection:
        head = case.room.head(connection)
    arm_findings = judgement.of_arm(decision.arm) if decision.arm else judgement.findings
    waivers = _waivers(case, arm_findings)
    # What was let in by way of exception runs no longer than the exception.
    expires = min([case.now + timedelta(days=settings.valid_days), *(waiver.until for waiver in waivers)])
    return Predicate(
        verifier=f"pilotplant gate of workspace {workspace.id}",
        time_verified=rfc3339(case.now),
        pilot=charter.pilot,
        promise=case.promise.digest,
        policy=policy.digest,
        tier=charter.risk_tier,
        scope=Scope(workspace=workspace.id, release=decision.release, arm=decision.arm),
        mode=workspace.mode,
        verdict=verdict_for(judgement, decision),
        findings=(*arm_findings, *authority),
        warnings=tuple(one.name for one in failed_warnings((*arm_findings, *authority))),
        decision=decision,
        promised=promised(case, decision.arm, past_pilots(case)) if decision.arm else (),
        evidence=_evidence_digest(case),
        cost=case.spend.total(charter.budget.currency).as_json(),
        expires=rfc3339(expires),
        nonce=secrets.token_hex(16),
        predecessor=_predecessor(case),
        signatures_required=policy.signatures_min,
        signatories=signatories,
        proposal=before.proposal.as_json() if before else None,
        second=before.second.as_json() if before and before.second else None,
        waivers=tuple(waiver.as_json() for waiver in waivers),
        ledgers={"lab": case.candidate.manifest.ledger, "promotion": head.as_json()},
    )


def _waivers(case: Case, findings: tuple[Finding, ...]) -> list[SignedWaiver]:
    """The waivers by which findings were waived."""
    used = {finding.waived.waiver for finding in findings if finding.waived}
    return [waiver for waiver in recorded_waivers(case) if waiver.signed.digest in used]


def _predecessor(case: Case) -> str | None:
    """The digest of the attestation of the pilot that this one follows, if this gate decided it."""
    follows = case.charter.line
    if follows is None:
        return None
    query = sa.select(decisions.c.envelope).where(decisions.c.pilot == follows.pilot)
    with case.room.read() as connection:
        envelope = connection.execute(query).scalar_one_or_none()
    return None if envelope is None else digest_bytes(envelope)


def _evidence_digest(case: Case) -> str:
    digest = case.candidate.manifest.files.get(EVIDENCE)
    if digest is None:
        raise BadInput("the candidate holds no evidence", remedy="submit the pilot again")
    return digest
