"""Signing: what is attested of a judged case and its decision, and the keys that sign it."""

from __future__ import annotations

import os
import secrets
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Literal

import sqlalchemy as sa
from securesystemslib.signer import CryptoSigner

from promotion.decisions.pending import Pending
from promotion.decisions.proposal import verdict_for
from promotion.gate.case import Case
from promotion.gate.gate import Judgement
from promotion.gate.policy import GateSettings
from promotion.gate.promised import past_pilots, promised
from promotion.gate.waivers import recorded_waivers
from promotion.keys.enrolment import enrolled_key
from promotion.registry.receipts import sign_outstanding
from promotion.state import decisions
from shared.core.clock import rfc3339
from shared.core.digests import digest_bytes
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.attestation import Predicate, Scope, Signatory
from shared.trust.candidate import EVIDENCE
from shared.trust.decision import Decision
from shared.trust.finding import Finding, failed_warnings
from shared.trust.keys import GATE, KeyStore, passphrase_variable
from shared.trust.waiver import SignedWaiver


def signer_of(workspace: Workspace, name: str, passphrase: str | None) -> CryptoSigner:
    """Signs as a person or the gate; raises Refused where the private key is not the one that is enrolled."""
    enrolled = enrolled_key(workspace, name)
    signer = KeyStore(workspace, passphrase).signer(name)
    if signer.public_key.keyid != enrolled.key_id:
        raise Refused(
            f"the private key of {name} is not the one that is enrolled",
            where=f"the key of {name}",
            expected=f"key {enrolled.key_id}",
            remedy="sign with the enrolled key, on the machine where it was made",
        )
    return signer


def gate_signer(room: Room, passphrase: str | None) -> CryptoSigner:
    """Signs as the gate, after signing every receipt that waits for it; raises as `signer_of` does."""
    signer = signer_of(room.workspace, GATE, passphrase)
    sign_outstanding(room, signer)
    return signer


def gate_opens(workspace: Workspace, passphrase: str | None) -> bool:
    """Whether the gate's private key is on this machine, and needs nobody's answer to open."""
    store = KeyStore(workspace)
    return store.has(GATE) and bool(passphrase or not store.needs_passphrase)


def sign_without_asking(room: Room) -> None:
    """Signs the receipts that wait, where the gate's key is here and opens without a question; else they go on waiting.

    A key that is not enrolled, or does not open, is told of by the command that has to sign with it.
    """
    workspace = room.workspace
    passphrase = os.environ.get(passphrase_variable(GATE))
    if not gate_opens(workspace, passphrase):
        return
    with suppress(PilotPlantError, OSError):
        gate_signer(room, passphrase)


def require_here(workspace: Workspace, name: str) -> None:
    """Raises Refused where `signer_of` would, whatever the passphrase: no key is enrolled, or it is not here."""
    store = KeyStore(workspace)
    if store.needs_passphrase:
        enrolled_key(workspace, name)
        store.require(name)
    else:
        signer_of(workspace, name, None)


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
    with case.room.transaction() as connection:
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
    with case.room.transaction() as connection:
        envelope = connection.execute(query).scalar_one_or_none()
    return None if envelope is None else digest_bytes(envelope)


def _evidence_digest(case: Case) -> str:
    digest = case.candidate.manifest.files.get(EVIDENCE)
    if digest is None:
        raise BadInput("the candidate holds no evidence", remedy="submit the pilot again")
    return digest
