"""Deciding: the owner's word on a candidate, judged once more, signed, and carried out."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import get_args

import sqlalchemy as sa
from securesystemslib.signer import CryptoSigner

from promotion.case import Case
from promotion.enrolment import enrolled_key
from promotion.gate import EXIT_CODES, Judgement, judge
from promotion.handover import hand_over
from promotion.intake import digest_named, find_candidate, open_case
from promotion.policy import GateSettings, Policy, read_settings
from promotion.promised import past_pilots, promised
from promotion.state import decisions, open_promotion
from promotion.succession import open_successor, require_free, successor_name
from shared.attestation import Attestation, Decision, Predicate, Word, attest, parse_attestation
from shared.candidate import EVIDENCE
from shared.clock import rfc3339
from shared.digests import digest_bytes
from shared.errors import BadInput, PilotPlantError, Refused, Undecided
from shared.files import write_atomically
from shared.finding import Finding
from shared.keys import GATE, KeyStore
from shared.metrics import Metric
from shared.record import attestation_path
from shared.room import Room
from shared.workspace import Workspace

REASON_MIN = 10
# Whether the owner may decide at all is asked for every word, not only for *scale*.
ENTITLED = "owner_entitled"
# And of an amended charter: owner and deadline must not be what an amendment made of them too late.
FROZEN = "charter_frozen"


@dataclass(frozen=True, slots=True)
class Asked:
    """What somebody wants decided.

    Attributes:
        who: the person who speaks.
        passphrase, gate_passphrase: of their key and of the gate's; None in a rehearsal.
    """

    word: Word
    who: str
    reason: str
    arm: str | None = None
    insight: str | None = None
    passphrase: str | None = None
    gate_passphrase: str | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """A decision with its attestation, and whether it had been made before.

    Attributes:
        metrics: the definitions that what was promised is told in.
    """

    decision: Decision
    attestation: Attestation
    metrics: dict[str, Metric]
    repeated: bool


def decide(workspace: Workspace, name: str, asked: Asked) -> Decided:
    """Decides on a pilot's latest candidate; the same word again is a no-op that also finishes what was cut off.

    Raises Refused or Undecided where gate or authority say no; nothing is then recorded.
    """
    room = open_promotion(workspace)
    candidate = find_candidate(workspace, name)
    case = open_case(room, candidate)
    before = recorded(room, candidate.manifest.pilot)
    decision = _decision(case, asked)
    if before is not None:
        return _again(room, candidate.manifest.pilot, before, decision)
    settings = read_settings(workspace)
    policy = settings.policy(case.charter.risk_tier)
    judgement = judge(case, policy)
    authority = [*_authority(case, asked, judgement), *(f for f in judgement.findings if f.check == ENTITLED)]
    _raise_first(authority, case.charter.pilot)
    if decision.word == "scale":
        _require_admission(judgement, str(decision.arm))
    if decision.word == "revise":
        require_free(workspace, case.charter.pilot, str(decision.successor))
    signers = [_signer(workspace, GATE, asked.gate_passphrase), _signer(workspace, asked.who, asked.passphrase)]
    envelope = attest(digest_named(candidate), _predicate(case, judgement, authority, decision, settings), signers)
    _record(room, case, decision, envelope, policy)
    return carry_out(room, candidate.manifest.pilot, repeated=False)


def require_word(given: str) -> Word:
    """The word of a decision; raises BadInput for another one."""
    if given not in get_args(Word):
        raise BadInput(f"`{given}` is not a decision", where="WORD", expected="scale, revise or stop")
    return given  # type: ignore[return-value]


def _decision(case: Case, asked: Asked) -> Decision:
    """The decision as it would be signed; raises BadInput where something is missing."""
    charter = case.charter
    if len(asked.reason.strip()) < REASON_MIN:
        raise BadInput(
            "a decision needs a reason that others understand",
            where="--reason",
            expected=f"at least {REASON_MIN} characters",
            remedy="say why in a sentence",
        )
    if asked.word == "stop" and not (asked.insight or "").strip():
        raise BadInput(
            "a pilot is stopped with an insight: what was learned is what it was for",
            where="--insight",
            remedy='add --insight "what we now know, and did not before"',
        )
    arm = release = successor = None
    if asked.word == "scale":
        arm = asked.arm or _only_arm(case)
        charter.play(arm)
        release = charter.release(arm)
    elif asked.arm is not None:
        raise BadInput(f"--arm goes with *scale*, not with *{asked.word}*", where="--arm", remedy="leave --arm away")
    if asked.word == "revise":
        successor = successor_name(charter.pilot)
    return Decision(
        word=asked.word,
        owner=asked.who,
        reason=asked.reason,
        at=rfc3339(case.now),
        arm=arm,
        release=release,
        insight=asked.insight,
        successor=successor,
    )


def _only_arm(case: Case) -> str:
    arms = [arm.name for arm in case.charter.treatments]
    if len(arms) > 1:
        raise BadInput("which arm is to be scaled?", where="--arm", expected="--arm with one of: " + ", ".join(arms))
    return arms[0]


def _authority(case: Case, asked: Asked, judgement: Judgement) -> list[Finding]:
    """Findings on the person and the moment; the key itself is tried when it signs."""
    charter = case.charter
    owner_ok = asked.who == charter.owner
    in_time = case.now < charter.deadline
    # Owner and deadline are read from the charter, so it must be the one that the gate took in.
    known = not case.tampered and case.registered_at is not None and _amended_in_order(case, judgement)
    return [
        Finding(
            check="charter_known",
            outcome="passed" if known else "failed",
            measured=case.promise.digest,
            reason="the charter is the one that the gate took in"
            if known
            else "the gate never took in this charter, or too late, or the candidate was changed after it was sealed",
            threshold="a charter that was deposited at launch and amended in order, in a candidate as it was sealed",
            remedy=None if known else "submit the pilot again; `pilotplant promote verify` names what was changed",
        ),
        Finding(
            check="decider_is_owner",
            outcome="passed" if owner_ok else "failed",
            measured=asked.who,
            threshold=charter.owner,
            reason=f"{asked.who} is the charter's owner" if owner_ok else f"{asked.who} does not own this decision",
            remedy=None if owner_ok else f"{charter.owner} decides it",
        ),
        Finding(
            check="decided_in_time",
            outcome="passed" if in_time else "failed",
            measured=rfc3339(case.now),
            threshold=rfc3339(charter.deadline),
            reason="decided in time" if in_time else "the deadline has passed, and silence was *stop*",
            remedy=None if in_time else "start another pilot; its charter may repeat this one",
        ),
    ]


def _amended_in_order(case: Case, judgement: Judgement) -> bool:
    """Whether owner and deadline are those of a charter that was amended in order, or not amended at all.

    Where the check of it says no for another reason, the owner may still stop or revise: all versions name them alike.
    """
    if case.promise.amends is None:
        return True
    asked = [finding for finding in judgement.findings if finding.check == FROZEN]
    if asked and all(finding.outcome == "passed" for finding in asked):
        return True
    theirs = {(version.charter.owner, version.charter.deadline) for version in case.versions}
    return len(theirs) == 1 and all(case.taken_in(version.digest) is not None for version in case.versions)


def _raise_first(findings: list[Finding], pilot: str) -> None:
    for finding in findings:
        if finding.outcome != "passed":
            raise Refused(
                finding.reason, where=f"pilot {pilot}", expected=str(finding.threshold), remedy=finding.remedy
            )


def _require_admission(judgement: Judgement, arm: str) -> None:
    verdict = judgement.verdict_on(arm)
    if verdict == "admit":
        return
    blocking = [f for f in judgement.of_arm(arm) if f.level == "block" and f.outcome in {"failed", "unevaluable"}]
    error: type[PilotPlantError] = Refused if EXIT_CODES[verdict] == Refused.exit_code else Undecided
    raise error(
        f"the gate does not admit arm `{arm}`: {verdict}",
        where="; ".join(f"{finding.check}: {finding.reason}" for finding in blocking),
        remedy="; ".join(dict.fromkeys(finding.remedy for finding in blocking if finding.remedy))
        or "decide *revise* or *stop*",
    )


def _signer(workspace: Workspace, name: str, passphrase: str | None) -> CryptoSigner:
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


def _predicate(
    case: Case, judgement: Judgement, authority: list[Finding], decision: Decision, settings: GateSettings
) -> Predicate:
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
        findings=(*arm_findings, *(f for f in authority if f.check != ENTITLED)),
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


def _record(room: Room, case: Case, decision: Decision, envelope: bytes, policy: Policy) -> None:
    """One transaction makes the decision; everything after it can be repeated."""
    with room.transaction() as connection:
        taken = connection.execute(
            sa.select(decisions.c.envelope).where(decisions.c.pilot == case.charter.pilot)
        ).scalar_one_or_none()
        if taken is not None:
            before = parse_attestation(taken, where=f"decision on {case.charter.pilot}").predicate.decision
            raise Refused(
                f"somebody else has just decided on {case.charter.pilot}: {before.word} by {before.owner} "
                f"at {before.at} ({before.reason})",
                remedy="a decision stands; look: pilotplant promote log",
            )
        connection.execute(
            decisions.insert().values(
                pilot=case.charter.pilot,
                candidate=digest_named(case.candidate),
                at=decision.at,
                envelope=envelope,
            )
        )
        body = {
            "candidate": digest_named(case.candidate),
            "attestation": digest_bytes(envelope),
            "decision": decision.model_dump(mode="json"),
            "policy": policy.as_json(),
            "ledgers": {"lab": case.candidate.manifest.ledger},
        }
        room.write(connection, "decided", case.charter.pilot, body)


def _again(room: Room, pilot: str, before: Decision, decision: Decision) -> Decided:
    if not before.same_as(decision):
        raise Refused(
            f"it was decided before: {before.word} by {before.owner} at {before.at} ({before.reason})",
            where=f"pilot {pilot}",
            expected="the same decision again, or none",
            remedy="a decision stands; *revise* opens a successor, and a release is retired in the Factory",
        )
    return carry_out(room, pilot, repeated=True)


def carry_out(room: Room, pilot: str, *, repeated: bool) -> Decided:
    """Does what a recorded decision says; what was done already is left as it is."""
    row = _row(room, pilot)
    path = attestation_path(room.workspace, row.candidate)
    attestation = parse_attestation(row.envelope, where=f"decision on {pilot}")
    write_atomically(path, row.envelope)
    decision = attestation.predicate.decision
    candidate = find_candidate(room.workspace, row.candidate)
    if decision.word == "scale":
        hand_over(room.workspace, candidate, path)
    elif decision.word == "revise":
        open_successor(room.workspace, candidate, decision)
    return Decided(decision, attestation, candidate.promise().metrics, repeated)


def recorded(room: Room, pilot: str) -> Decision | None:
    """The decision on a pilot, or None."""
    with room.transaction() as connection:
        envelope = connection.execute(
            sa.select(decisions.c.envelope).where(decisions.c.pilot == pilot)
        ).scalar_one_or_none()
    return None if envelope is None else parse_attestation(envelope, where=f"decision on {pilot}").predicate.decision


def _row(room: Room, pilot: str) -> sa.Row[tuple[object, ...]]:
    with room.transaction() as connection:
        return connection.execute(sa.select(decisions).where(decisions.c.pilot == pilot)).one()
