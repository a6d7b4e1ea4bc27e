"""Deciding: the owner's word on a candidate, judged once more, signed, and carried out."""

from __future__ import annotations

from dataclasses import dataclass

from promotion.authority import Right, right_to_decide
from promotion.drafting import Asked, draft_decision
from promotion.gate import EXIT_CODES, Judgement, judge
from promotion.handover import hand_over
from promotion.intake import digest_named, find_candidate, open_case
from promotion.policy import read_settings
from promotion.recording import record, recorded, row_of
from promotion.signing import predicate_of, signer_of
from promotion.standing import ENTITLED, occasion, raise_first, standing
from promotion.state import open_promotion
from promotion.succession import open_successor, require_free
from shared.attestation import Attestation, Decision, attest, parse_attestation
from shared.errors import PilotPlantError, Refused, Undecided
from shared.files import write_atomically
from shared.keys import GATE
from shared.metrics import Metric
from shared.record import attestation_path
from shared.room import Room
from shared.workspace import Workspace


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
    if before is not None:
        return _again(room, candidate.manifest.pilot, before, draft_decision(case, asked))
    settings = read_settings(workspace)
    policy = settings.policy(case.charter.risk_tier)
    right = right_to_decide(asked.who, occasion(case, policy))
    decision = draft_decision(case, asked, right.stands_in if isinstance(right, Right) else None)
    judgement = judge(case, policy)
    authority = standing(case, asked.who, right, judgement)
    raise_first([*authority, *(f for f in judgement.findings if f.check == ENTITLED)], case.charter.pilot)
    if decision.word == "scale":
        _require_admission(judgement, str(decision.arm))
    if decision.word == "revise":
        require_free(workspace, case.charter.pilot, str(decision.successor))
    signers = [signer_of(workspace, GATE, asked.gate_passphrase), signer_of(workspace, asked.who, asked.passphrase)]
    envelope = attest(digest_named(candidate), predicate_of(case, judgement, authority, decision, settings), signers)
    record(room, case, decision, envelope, policy)
    return carry_out(room, candidate.manifest.pilot, repeated=False)


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
    row = row_of(room, pilot)
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
