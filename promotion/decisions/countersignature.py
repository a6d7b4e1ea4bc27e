"""Countersigning: the gate signs what all persons have signed whom the policy asks for, after judging it once more.

So nobody who decides needs the passphrase of the gate's key: it is opened where the gate runs.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import asdict, dataclass, replace
from typing import Any

import sqlalchemy as sa
from securesystemslib.signer import CryptoSigner

from promotion.decisions.attestation import Attestable, NotBelieved
from promotion.decisions.execution import Decided, carry_out
from promotion.decisions.handover import is_handed_over
from promotion.decisions.intent import Judged, authority_of, judge_case, require_allowed
from promotion.decisions.pending_decision import DECLINED, PROPOSED, Pending, decline, last_pending, require_last
from promotion.decisions.proposal import to_type, verdict_for
from promotion.decisions.silence import settle
from promotion.decisions.transaction import recorded
from promotion.gate.case import open_case
from promotion.gate.checks.release.preflight_signed import preflight_signed
from promotion.gate.policy import read_settings
from promotion.registry.lapses import lapses
from promotion.registry.receipts import gate_signer
from promotion.state import decisions, open_promotion
from shared.core.crashpoints import Point, reach
from shared.core.errors import PilotPlantError, Refused, Undecided
from shared.core.faults import fault
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.attestation import Attestation, parse_attestation
from shared.trust.candidates import find_candidate
from shared.trust.decision import Decision
from shared.trust.finding import blocking, remedies
from shared.trust.receipt import read_receipt
from shared.trust.record import attestation_path

# What the Factory tries grows old while the gate's signature is waited for, and ops may have it tried again.
PREFLIGHT = "pilotplant factory preflight"


@dataclass(frozen=True, slots=True)
class Countersigned:
    """What became of a decision that waited for the gate.

    Attributes:
        decided: the decision as it is carried out.
        declined: why the gate will not sign it: whoever signed it has to decide anew.
        unfinished: what kept a decision that is signed and recorded from being carried out.
        unsure: why the gate cannot say now, and leaves it waiting.
    """

    pilot: str
    decision: Decision
    persons: tuple[str, ...]
    decided: Decided | None = None
    declined: Refused | None = None
    unfinished: PilotPlantError | None = None
    unsure: PilotPlantError | None = None

    @property
    def state(self) -> str:
        """`signed`, `declined`, `unfinished` or `waits`."""
        if self.decided:
            return "signed"
        return "declined" if self.declined else "unfinished" if self.unfinished else "waits"

    @property
    def problem(self) -> PilotPlantError | None:
        """What was in the way; None where it is signed and carried out."""
        return self.declined or self.unfinished or self.unsure

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        done = self.decided
        return {
            "pilot": self.pilot,
            "state": self.state,
            "decision": self.decision.model_dump(mode="json"),
            "persons": list(self.persons),
            "problem": asdict(self.problem.told) if self.problem else None,
            "attestation": done.attestation.digest if done else None,
            "release": done.decision.release if done else None,
            "successor": done.decision.successor if done else None,
            "repeated": bool(done and done.repeated),
            "steps": [step.as_json() for step in done.steps] if done else [],
        }


def countersign(
    workspace: Workspace, passphrase: str | None, name: str | None = None, *, leave: Container[str] = frozenset()
) -> list[Countersigned]:
    """Signs as the gate what waits for that, the longest wait first, and finishes what was signed and not carried out.

    Of one pilot where `name` is given; of none in `leave`. Raises Refused where the gate's key is not here or does not
    open, and where nothing of the named pilot waits.
    """
    room = open_promotion(workspace)
    gate = gate_signer(room, passphrase)
    settle(room)
    if name is not None:
        return [_named(room, find_candidate(workspace, name).manifest.pilot, gate)]
    cut_off = [_finish(room, one) for one in _cut_off(room) if one.predicate.pilot not in leave]
    waiting = ((pilot, found) for pilot, found in awaiting_gate(room).items() if pilot not in leave)
    return cut_off + [_countersign(room, pilot, found, gate) for pilot, found in waiting]


def awaiting_gate(room: Room) -> dict[str, Pending]:
    """By pilot, what all persons have signed and the gate has neither signed nor declined, the longest wait first."""
    with room.read() as connection:
        closed = set(connection.execute(sa.select(decisions.c.pilot)).scalars())
    proposed = {entry.subject for entry in room.entries(kinds=[PROPOSED])}
    pending = {pilot: last_pending(room, pilot) for pilot in proposed - closed - lapses(room).keys()}
    found = {pilot: one for pilot, one in pending.items() if one is not None and _awaits_gate(room, one)}
    return dict(sorted(found.items(), key=lambda each: each[1].at))


def _awaits_gate(room: Room, found: Pending) -> bool:
    try:
        tier = find_candidate(room.workspace, found.proposal.proposal.candidate).promise().charter.risk_tier
    except PilotPlantError:
        return False  # a damaged candidate is `promote verify`'s to name
    return found.declined is None and found.awaits_gate(read_settings(room.workspace).signatures_min.of(tier))


def _named(room: Room, pilot: str, gate: CryptoSigner) -> Countersigned:
    """What becomes of one pilot that was asked for by name."""
    attestation = recorded(room, pilot)
    if attestation is not None:
        return _finish(room, attestation)
    found = awaiting_gate(room).get(pilot)
    if found is not None:
        return _countersign(room, pilot, found, gate)
    last = last_pending(room, pilot)
    if last is not None and last.declined is not None:
        raise Refused(
            f"the gate would not sign what {' and '.join(last.persons)} decided: {last.declined}",
            where=f"pilot {pilot}",
            remedy=f"decide anew: {to_type(pilot, last.decision, last.decision.owner)}",
        )
    raise Refused(
        f"nothing of {pilot} waits for the gate's signature",
        where=f"pilot {pilot}",
        remedy="look what waits, and for whom: pilotplant promote queue",
    )


def _cut_off(room: Room) -> list[Attestation]:
    """Decisions whose attestation or package is not where the other rooms look for it."""
    with room.read() as connection:
        rows = connection.execute(sa.select(decisions).order_by(decisions.c.at)).all()
    found = []
    for row in rows:
        try:
            attestation = parse_attestation(row.envelope, where=f"decision on {row.pilot}")
            if _is_cut_off(room.workspace, attestation, row):
                found.append(attestation)
        except PilotPlantError:
            continue  # `promote verify` names it
    return found


def _is_cut_off(workspace: Workspace, attestation: Attestation, row: sa.Row[Any]) -> bool:
    if not attestation_path(workspace, row.candidate).exists():
        return True
    if attestation.predicate.decision.release is None:
        return False
    # What the Factory has answered had arrived, wherever it is now.
    answered = read_receipt(workspace, row.candidate) is not None
    return not answered and not is_handed_over(workspace, row.candidate, row.envelope)


def _finish(room: Room, attestation: Attestation) -> Countersigned:
    """Carries out what is left to do of a decision that is recorded."""
    said = attestation.predicate
    owners = tuple(one.name for one in said.signatories if one.role == "owner")
    result = Countersigned(said.pilot, said.decision, owners)
    try:
        return replace(result, decided=carry_out(room, said.pilot, repeated=True))
    except Exception as error:  # noqa: BLE001 - what goes wrong with one stops no other
        return replace(result, unfinished=_problem(error))


def _countersign(room: Room, pilot: str, found: Pending, gate: CryptoSigner) -> Countersigned:
    """What becomes of one that waits; what goes wrong with it stops no other."""
    said = Countersigned(pilot, found.decision, found.persons)
    try:
        try:
            attestable = _attestable(room, found)
        except Refused as error:
            return _declined(room, said, found, error, gate)
        try:
            return replace(said, decided=attestable.seal(gate, None))
        except NotBelieved as error:
            return _declined(room, said, found, error, gate)
    except Exception as error:  # noqa: BLE001 - as above
        attestation = recorded(room, pilot)
        if attestation is not None:  # it is signed, by this command or by another that was faster
            return _finish(room, attestation)
        return replace(said, unsure=_problem(error))


def _problem(error: Exception) -> PilotPlantError:
    """An error as it is told; what nobody has foreseen is named as that."""
    if isinstance(error, PilotPlantError):
        return error
    return fault(error) or PilotPlantError(f"a defect: {type(error).__name__}: {error}")


def _attestable(room: Room, found: Pending) -> Attestable:
    """The decision as the gate may sign it; raises Refused where it may not, and Undecided where it cannot say.

    What all persons have signed is judged on the candidate that they saw: nobody takes their word away by submitting
    another one.
    """
    candidate = find_candidate(room.workspace, found.proposal.proposal.candidate)
    judged = judge_case(open_case(room, candidate), read_settings(room.workspace))
    if why := judged.why_void(found):
        raise Refused(why)
    if why := judged.why_other(found):
        _raise_other(judged, found.decision, why)
    authority = authority_of(judged, found)
    require_allowed(judged, authority, found.decision)
    return Attestable(judged, found.decision, authority, found)


def _raise_other(judged: Judged, decision: Decision, why: str) -> None:
    """Raises what follows from another verdict: Undecided where ops can put it right, or it cannot be said; Refused."""
    findings = judged.judgement.of_arm(decision.arm) if decision.arm else judged.judgement.findings
    poor = blocking(findings)
    told = "; ".join(f"{one.name}: {one.reason}" for one in poor)
    pilot = judged.case.charter.pilot
    if {one.check for one in poor} == {preflight_signed.name}:
        raise Undecided(
            f"{why} ({told})", where=f"pilot {pilot}", remedy=f"have the Factory try it again: {PREFLIGHT} {pilot}"
        )
    unsure = verdict_for(judged.judgement, decision) == "undecided"
    error = Undecided if unsure else Refused
    raise error(f"{why} ({told})", where=f"pilot {pilot}", remedy=remedies(poor) or "decide anew")


def _declined(room: Room, said: Countersigned, found: Pending, error: Refused, gate: CryptoSigner) -> Countersigned:
    """Puts on record that the gate does not sign, so that whoever signed is told, and silence may lapse again."""
    with room.transaction() as connection:
        require_last(connection, room, said.pilot, found.digest)
        room.write(connection, DECLINED, said.pilot, decline(found, error.what, gate))
        reach(Point.DECLINE_WRITTEN)
    reach(Point.DECLINE_RECORDED)
    return replace(said, declined=error)
