"""Deciding: the owner's word on a candidate, judged once more, signed, and carried out; or shown, and nothing done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from promotion.carrying import Decided, OnDisk, Step, carry_out, look, steps
from promotion.choice import choice
from promotion.drafting import Asked
from promotion.enrolment import enrolled_key
from promotion.intent import ToPropose, ToRepeat, ToSign, intend
from promotion.proposing import Proposed, propose, told, verdict_for
from promotion.recording import record, row_of
from promotion.signing import gate_signer, predicate_of, proposer, require_here, signatory, signer_of
from promotion.silence import settle
from promotion.state import open_promotion
from shared.attestation import Attestation, Predicate, Signatory, attest, parse_attestation
from shared.crashpoints import Point, reach
from shared.decision import Decision
from shared.finding import Finding, failed_warnings
from shared.intake import digest_named
from shared.keys import GATE
from shared.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Preview:
    """What a decision would come to: nothing of it is signed or written.

    Attributes:
        signers: whose signatures it would get.
        predicate: what they would sign; its nonce is drawn anew when they do. None for a proposal and a repetition.
        steps: what would follow, in this order.
        proposed: whether it would be a proposal, and wait for a second signature.
        repeated: whether the same was decided or proposed before.
        warnings: the findings that warned and failed.
        choice: for *scale* the arms that could be scaled beside each other, in words.
    """

    decision: Decision
    signers: tuple[str, ...]
    predicate: Predicate | None
    steps: tuple[Step, ...]
    proposed: bool
    repeated: bool
    warnings: tuple[Finding, ...]
    choice: tuple[str, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "decision": self.decision.model_dump(mode="json"),
            "signers": list(self.signers),
            "predicate": self.predicate.model_dump(mode="json", exclude={"nonce"}) if self.predicate else None,
            "steps": [step.as_json() for step in self.steps],
            "proposed": self.proposed,
            "repeated": self.repeated,
            "warnings": [one.name for one in self.warnings],
            "choice": list(self.choice),
        }


def decide(workspace: Workspace, name: str, asked: Asked) -> Decided | Proposed:
    """Decides on a pilot's latest candidate; the same word again is a no-op that also finishes what was cut off.

    Where the policy asks for two signatures, the owner's word is a proposal until a second person has signed it too.
    Raises Refused or Undecided where gate or authority say no; nothing is then recorded.
    """
    room = open_promotion(workspace)
    settle(room)
    intent = intend(room, name, asked)
    if isinstance(intent, ToRepeat):
        return carry_out(intent.case.room, intent.attestation.predicate.pilot, repeated=True)
    return _propose(intent, asked) if isinstance(intent, ToPropose) else _settle(intent, asked)


def preview(workspace: Workspace, name: str, asked: Asked) -> Preview:
    """What `decide` would sign and do; raises what it would raise, but for a passphrase, which is not asked for."""
    intent = intend(open_promotion(workspace), name, asked)
    if isinstance(intent, ToRepeat):
        return _repetition(workspace, intent)
    for who in (asked.who,) if isinstance(intent, ToPropose) else (GATE, asked.who):
        require_here(workspace, who)
    if isinstance(intent, ToPropose):
        return Preview(
            intent.decision, (asked.who,), None, (), proposed=True, repeated=intent.repeated,
            warnings=_warned(intent), choice=_choice(intent),
        )  # fmt: skip
    case = intent.sitting.case
    names = (GATE, enrolled_key(workspace, GATE).key_id), (asked.who, enrolled_key(workspace, asked.who).key_id)
    predicate = _predicate(intent, asked, *(key_id for _, key_id in names))
    digest = digest_named(case.candidate)
    planned = steps(workspace, digest, intent.decision, look(workspace, digest, intent.decision, None))
    signers = tuple(dict.fromkeys(one.name for one in predicate.signatories))
    return Preview(
        intent.decision, signers, predicate, planned, proposed=False, repeated=False,
        warnings=failed_warnings(predicate.findings), choice=_choice(intent),
    )  # fmt: skip


def _repetition(workspace: Workspace, intent: ToRepeat) -> Preview:
    """What is left to do of a decision that is recorded."""
    said = intent.attestation.predicate
    row = row_of(intent.case.room, said.pilot)
    found: OnDisk = look(workspace, row.candidate, said.decision, row.envelope)
    planned = steps(workspace, row.candidate, said.decision, found)
    warned = failed_warnings(said.findings)
    return Preview(said.decision, (), None, planned, proposed=False, repeated=True, warnings=warned)


def _choice(intent: ToSign | ToPropose) -> tuple[str, ...]:
    """What whoever scales one of several arms should see of the others."""
    if intent.decision.word != "scale":
        return ()
    sitting = intent.sitting
    return tuple(choice(sitting.case, sitting.judgement.admitted))


def _warned(intent: ToPropose) -> tuple[Finding, ...]:
    """The warnings that failed among the findings that a proposal stands on."""
    arm, judgement = intent.decision.arm, intent.sitting.judgement
    return failed_warnings(judgement.of_arm(arm) if arm else judgement.findings)


def _propose(intent: ToPropose, asked: Asked) -> Proposed:
    sitting, found = intent.sitting, intent.found
    if found is not None and intent.repeated:
        return replace(told(found, sitting.on, repeated=True), warnings=_warned(intent))
    signer = signer_of(sitting.case.room.workspace, asked.who, asked.passphrase)
    verdict = verdict_for(sitting.judgement, intent.decision)
    replaces = found.signed.digest if found else None
    made = propose(sitting.case, intent.decision, verdict, sitting.on, signer, replaces=replaces)
    return replace(made, warnings=_warned(intent))


def _settle(intent: ToSign, asked: Asked) -> Decided:
    """Signs, records and carries out a decision."""
    case, found = intent.sitting.case, intent.found
    workspace = case.room.workspace
    gate = gate_signer(case.room, asked.gate_passphrase)
    person = signer_of(workspace, asked.who, asked.passphrase)
    reach(Point.DECIDE_JUDGED)
    predicate = _predicate(intent, asked, gate.public_key.keyid, person.public_key.keyid)
    envelope = attest(digest_named(case.candidate), predicate, [gate, person])
    attestation: Attestation = parse_attestation(envelope, where="the attestation")
    reach(Point.DECIDE_SIGNED)
    record(case.room, case, attestation, envelope, intent.sitting.policy, found.signed.digest if found else None)
    return carry_out(case.room, case.charter.pilot, repeated=False)


def _predicate(intent: ToSign, asked: Asked, gate: str, person: str) -> Predicate:
    """What is signed with the gate's and the person's key of these ids."""
    sitting, found = intent.sitting, intent.found
    signatories: tuple[Signatory, ...] = (
        signatory(GATE, gate, sitting.case.now),
        *([proposer(found)] if found else []),
        signatory(asked.who, person, sitting.case.now, asked.reason),
    )
    authority = list(intent.authority)
    return predicate_of(
        sitting.case, sitting.judgement, authority, intent.decision, sitting.settings, signatories, found
    )
