"""Deciding: the owner's word on a candidate, judged once more, signed, and carried out; or shown, and nothing done."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from promotion.decisions.attestation import Attestable
from promotion.decisions.draft import Asked
from promotion.decisions.execution import Decided, OnDisk, Step, carry_out, look, steps
from promotion.decisions.intent import ToRepeat, ToSign, intend
from promotion.decisions.proposal import Proposed, propose, second, told, verdict_for
from promotion.decisions.signatures import signatory
from promotion.decisions.silence import settle
from promotion.decisions.transaction import row_of
from promotion.gate.choice import choice
from promotion.keys.enrolment import enrolled_key
from promotion.keys.signers import gate_opens, require_here, signer_of
from promotion.registry.receipts import gate_signer
from promotion.state import open_promotion
from shared.core.errors import Refused
from shared.state.workspace import Workspace
from shared.trust.attestation import Predicate, Signatory
from shared.trust.candidates import digest_named
from shared.trust.decision import Decision
from shared.trust.finding import Finding, failed_warnings
from shared.trust.keys import GATE

if TYPE_CHECKING:
    from securesystemslib.signer import Signer


@dataclass(frozen=True, slots=True)
class Preview:
    """What a decision would come to: nothing of it is signed or written.

    Attributes:
        signers: whose signatures it would get.
        predicate: what they would sign; its nonce is drawn anew when they do. None for a proposal and a repetition.
        steps: what would follow, in this order.
        awaits: whose signature it would wait for: a second person's, the gate's, or nobody's.
        repeated: whether the same was decided or proposed before.
        warnings: the findings that warned and failed.
        choice: for *scale* the arms that could be scaled beside each other, in words.
    """

    decision: Decision
    signers: tuple[str, ...]
    predicate: Predicate | None
    steps: tuple[Step, ...]
    awaits: Literal["person", "gate"] | None
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
            "proposed": self.awaits is not None,
            "awaits": self.awaits,
            "repeated": self.repeated,
            "warnings": [one.name for one in self.warnings],
            "choice": list(self.choice),
        }


def decide(workspace: Workspace, name: str, asked: Asked) -> Decided | Proposed:
    """Decides on a pilot's latest candidate; the same word again is a no-op that also finishes what was cut off.

    Where the policy asks for two signatures, the owner's word is a proposal until a second person has signed it too;
    where the gate's key does not open without asking somebody, it waits for the gate (`countersign`).
    Raises Refused or Undecided where gate or authority say no; nothing is then recorded.
    """
    room = open_promotion(workspace)
    settle(room)
    intent = intend(room, name, asked)
    if isinstance(intent, ToRepeat):
        return carry_out(intent.case.room, intent.attestation.predicate.pilot, repeated=True)
    if intent.completes and not asked.gate_apart and gate_opens(workspace, asked.gate_passphrase):
        return _attest(intent, asked)
    return keep(intent, asked)


def preview(workspace: Workspace, name: str, asked: Asked) -> Preview:
    """What `decide` would sign and do; raises what it would raise, but for a passphrase, which is not asked for."""
    intent = intend(open_promotion(workspace), name, asked)
    if isinstance(intent, ToRepeat):
        return _repetition(workspace, intent)
    require_here(workspace, asked.who)
    if not intent.completes or not gate_opens(workspace, asked.gate_passphrase):
        return preview_waiting(intent, asked)
    if not asked.gate_apart:
        require_here(workspace, GATE)
    case = intent.judged.case
    person = None if intent.repeated else _person(intent, asked, enrolled_key(workspace, asked.who).key_id)
    predicate = _attestable(intent).predicate(enrolled_key(workspace, GATE).key_id, person)
    digest = digest_named(case.candidate)
    planned = steps(workspace, digest, intent.decision, look(workspace, digest, intent.decision, None))
    signers = tuple(dict.fromkeys(one.name for one in predicate.signatories))
    return Preview(
        intent.decision, signers, predicate, planned, awaits=None, repeated=False,
        warnings=failed_warnings(predicate.findings), choice=_choice(intent),
    )  # fmt: skip


def preview_waiting(intent: ToSign, asked: Asked) -> Preview:
    """The same, of a word that waits for another signature."""
    return Preview(
        intent.decision, (asked.who,), None, (), awaits="gate" if intent.completes else "person",
        repeated=intent.repeated, warnings=_warned(intent), choice=_choice(intent),
    )  # fmt: skip


def _repetition(workspace: Workspace, intent: ToRepeat) -> Preview:
    """What is left to do of a decision that is recorded."""
    said = intent.attestation.predicate
    row = row_of(intent.case.room, said.pilot)
    found: OnDisk = look(workspace, row.candidate, said.decision, row.envelope)
    planned = steps(workspace, row.candidate, said.decision, found)
    warned = failed_warnings(said.findings)
    return Preview(said.decision, (), None, planned, awaits=None, repeated=True, warnings=warned)


def _choice(intent: ToSign) -> tuple[str, ...]:
    """What whoever scales one of several arms should see of the others."""
    if intent.decision.word != "scale":
        return ()
    judged = intent.judged
    return tuple(choice(judged.case, judged.judgement.admitted))


def _warned(intent: ToSign) -> tuple[Finding, ...]:
    """The warnings that failed among the findings that a proposal stands on."""
    arm, judgement = intent.decision.arm, intent.judged.judgement
    return failed_warnings(judgement.of_arm(arm) if arm else judgement.findings)


def keep(intent: ToSign, asked: Asked, signer: Signer | None = None) -> Proposed:
    """Signs as the person, with `signer` or their key, and records it; it waits for a second person, or the gate."""
    judged, found, case = intent.judged, intent.found, intent.judged.case
    signatures_min = judged.policy.signatures_min
    if found is not None and intent.repeated:
        return replace(told(found, judged.on, signatures_min, repeated=True), warnings=_warned(intent))
    if intent.completes:
        enrolled_key(case.room.workspace, GATE)  # a gate without a key would never sign it
    signer = signer or signer_of(case.room.workspace, asked.who, asked.passphrase)
    doubt = enrolled_key(case.room.workspace, asked.who).doubt(case.now)
    if doubt is not None:
        raise Refused(
            f"what would be signed would not be believed: {doubt}",
            where=f"pilot {case.charter.pilot}",
            remedy="sign with a key that counts now; a rehearsal's clock may be set past that: pilotplant clock MOMENT",
        )
    if found is not None and intent.second:
        made = second(case, found, asked.who, asked.reason, judged.on, signer, signatures_min=signatures_min)
    else:
        verdict = verdict_for(judged.judgement, intent.decision)
        replaces = found.digest if found else None
        made = propose(
            case, intent.decision, verdict, judged.on, signer, replaces=replaces, signatures_min=signatures_min
        )
    return replace(made, warnings=_warned(intent))


def _attest(intent: ToSign, asked: Asked) -> Decided:
    """Signs as the gate, and as the person where they have not signed yet, and carries the decision out."""
    case = intent.judged.case
    gate = gate_signer(case.room, asked.gate_passphrase)
    if intent.repeated:
        return _attestable(intent).seal(gate, None)
    signer = signer_of(case.room.workspace, asked.who, asked.passphrase)
    return _attestable(intent).seal(gate, (_person(intent, asked, signer.public_key.keyid), signer))


def _attestable(intent: ToSign) -> Attestable:
    before = intent.found if intent.second or intent.repeated else None
    return Attestable(intent.judged, intent.decision, intent.authority, before)


def _person(intent: ToSign, asked: Asked, key_id: str) -> Signatory:
    return signatory(asked.who, key_id, intent.judged.case.now, asked.reason)
