"""Attesting: a decision whose signatures are all there becomes an attestation, is recorded, and is carried out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from securesystemslib.signer import CryptoSigner

from promotion.decisions.execution import Decided, carry_out
from promotion.decisions.intent import Judged
from promotion.decisions.pending_decision import Pending
from promotion.decisions.signatures import predicate_of, signatory, signed_before
from promotion.decisions.transaction import record
from shared.core.crashpoints import Point, reach
from shared.core.errors import Refused
from shared.trust.attestation import Attestation, Predicate, Signatory, attest, parse_attestation
from shared.trust.candidates import digest_named
from shared.trust.decision import Decision
from shared.trust.finding import Finding
from shared.trust.keys import GATE


class NotBelieved(Refused):
    """The gate's own attestation would not be believed: somebody's key or waiver counts no more."""


@dataclass(frozen=True, slots=True)
class Attestable:
    """A decision that the gate may sign.

    Attributes:
        authority: the findings on who decides, and when.
        before: what persons have signed of it before; None where the one who signs now is the only one.
    """

    judged: Judged
    decision: Decision
    authority: Sequence[Finding]
    before: Pending | None

    def predicate(self, gate: str, person: Signatory | None) -> Predicate:
        """What is signed with the gate's key of that id, and by a person with it; None where all persons have."""
        case = self.judged.case
        signatories = (
            signatory(GATE, gate, case.now),
            *(signed_before(self.before) if self.before else ()),
            *([person] if person else []),
        )
        return predicate_of(
            case, self.judged.judgement, list(self.authority), self.decision, self.judged.settings, signatories,
            self.before,
        )  # fmt: skip

    def seal(self, gate: CryptoSigner, person: tuple[Signatory, CryptoSigner] | None) -> Decided:
        """Signs, records and carries out the decision; raises Refused where nobody would believe what is signed."""
        case = self.judged.case
        reach(Point.DECIDE_JUDGED)
        signs, signers = (person[0], [gate, person[1]]) if person else (None, [gate])
        envelope = attest(digest_named(case.candidate), self.predicate(gate.public_key.keyid, signs), signers)
        attestation = parse_attestation(envelope, where="the attestation")
        self._require_believed(attestation)
        reach(Point.DECIDE_SIGNED)
        before = self.before.digest if self.before else None
        record(case.room, case, attestation, envelope, self.judged.policy, before)
        return carry_out(case.room, case.charter.pilot, repeated=False)

    def _require_believed(self, attestation: Attestation) -> None:
        """The gate records nothing that a Factory with the same keys would not believe: a decision is made once."""
        case, signatures_min = self.judged.case, self.judged.policy.signatures_min
        keys = self.judged.ring.every()
        doubts = attestation.distrust(keys, now=case.now, witnessed=case.now, signatures_min=signatures_min)
        if doubts:
            raise NotBelieved(
                f"what would be signed would not be believed: {'; '.join(doubts)}",
                where=f"pilot {case.charter.pilot}",
                remedy="look: pilotplant promote verify",
            )
