"""Signing: what is attested of a judged case and its decision, and the keys that sign it."""

from __future__ import annotations

from datetime import timedelta

from securesystemslib.signer import CryptoSigner

from promotion.case import Case
from promotion.enrolment import enrolled_key
from promotion.gate import Judgement
from promotion.policy import GateSettings
from promotion.promised import past_pilots, promised
from shared.attestation import Decision, Predicate
from shared.candidate import EVIDENCE
from shared.clock import rfc3339
from shared.errors import BadInput, Refused
from shared.finding import Finding
from shared.keys import KeyStore
from shared.workspace import Workspace


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


def predicate_of(
    case: Case, judgement: Judgement, authority: list[Finding], decision: Decision, settings: GateSettings
) -> Predicate:
    """What gate and owner sign."""
    charter, workspace = case.charter, case.room.workspace
    with case.room.transaction() as connection:
        head = case.room.head(connection)
    arm_findings = judgement.of_arm(decision.arm) if decision.arm else judgement.findings
    return Predicate(
        verifier=f"pilotplant gate of workspace {workspace.id}",
        time_verified=rfc3339(case.now),
        pilot=charter.pilot,
        promise=case.promise.digest,
        policy=settings.policy(charter.risk_tier).digest,
        workspace=workspace.id,
        mode=workspace.mode,
        verdict=judgement.verdict_on(decision.arm) if decision.arm else judgement.verdict,
        findings=(*arm_findings, *authority),
        decision=decision,
        promised=promised(case, decision.arm, past_pilots(case)) if decision.arm else (),
        evidence=_evidence_digest(case),
        cost=case.spend.total(charter.budget.currency).as_json(),
        expires=rfc3339(case.now + timedelta(days=settings.valid_days)),
        ledgers={"lab": case.candidate.manifest.ledger, "promotion": head.as_json()},
    )


def _evidence_digest(case: Case) -> str:
    digest = case.candidate.manifest.files.get(EVIDENCE)
    if digest is None:
        raise BadInput("the candidate holds no evidence", remedy="submit the pilot again")
    return digest
