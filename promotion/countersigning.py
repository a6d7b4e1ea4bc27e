"""Countersigning: the gate signs what all persons have signed whom the policy asks for, after judging it once more.

So nobody who decides needs the passphrase of the gate's key: it is opened where the gate runs.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import sqlalchemy as sa
from securesystemslib.signer import CryptoSigner

from promotion.attesting import Agreed
from promotion.carrying import Decided, carry_out
from promotion.intake import open_case
from promotion.intent import authority_of, require_allowed, sit
from promotion.lapses import lapses
from promotion.pending import DECLINED, PROPOSED, Pending, last_pending, require_last
from promotion.policy import read_settings
from promotion.proposing import verdict_for
from promotion.signing import gate_signer
from promotion.silence import settle
from promotion.state import decisions, open_promotion
from shared.crashpoints import Point, reach
from shared.decision import Decision
from shared.errors import PilotPlantError, Refused, Undecided
from shared.intake import find_candidate
from shared.room import Room
from shared.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Countersigned:
    """What became of a decision that waited for the gate.

    Attributes:
        decided: the decision as it is carried out; None where the gate has not signed.
        declined: why the gate will not sign it: whoever signed it has to decide anew.
        unsure: why the gate cannot say now, and leaves it waiting.
    """

    pilot: str
    decision: Decision
    persons: tuple[str, ...]
    decided: Decided | None = None
    declined: str | None = None
    unsure: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        done = self.decided
        return {
            "pilot": self.pilot,
            "state": "signed" if done else "declined" if self.declined else "waits",
            "decision": self.decision.model_dump(mode="json"),
            "persons": list(self.persons),
            "reason": self.declined or self.unsure,
            "attestation": done.attestation.digest if done else None,
            "release": done.decision.release if done else None,
            "successor": done.decision.successor if done else None,
            "repeated": bool(done and done.repeated),
            "steps": [step.as_json() for step in done.steps] if done else [],
        }


def countersign(workspace: Workspace, passphrase: str | None, name: str | None = None) -> list[Countersigned]:
    """Signs as the gate what waits for that, the longest wait first; of one pilot where `name` is given.

    Raises Refused where the gate's key is not here or does not open, and where nothing of that pilot waits.
    """
    room = open_promotion(workspace)
    gate = gate_signer(room, passphrase)
    settle(room)
    if name is None:
        return [_countersign(room, pilot, found, gate) for pilot, found in awaiting_gate(room).items()]
    pilot = find_candidate(workspace, name).manifest.pilot
    found = awaiting_gate(room).get(pilot)
    if found is not None:
        return [_countersign(room, pilot, found, gate)]
    with room.transaction() as connection:
        decided = connection.execute(sa.select(decisions.c.pilot).where(decisions.c.pilot == pilot)).first()
    if decided is None:
        raise Refused(
            f"nothing of {pilot} waits for the gate's signature",
            where=f"pilot {pilot}",
            remedy="look what waits, and for whom: pilotplant promote queue",
        )
    done = carry_out(room, pilot, repeated=True)
    owners = tuple(one.name for one in done.attestation.predicate.signatories if one.role == "owner")
    return [Countersigned(pilot, done.decision, owners, decided=done)]


def awaiting_gate(room: Room) -> dict[str, Pending]:
    """By pilot, what all persons have signed and the gate has neither signed nor declined, the longest wait first."""
    with room.transaction() as connection:
        closed = set(connection.execute(sa.select(decisions.c.pilot)).scalars())
    proposed = {entry.subject for entry in room.entries() if entry.kind == PROPOSED}
    pending = {pilot: last_pending(room, pilot) for pilot in proposed - closed - lapses(room).keys()}
    found = {pilot: one for pilot, one in pending.items() if one is not None and _awaits_gate(room, pilot, one)}
    return dict(sorted(found.items(), key=lambda each: each[1].at))


def _awaits_gate(room: Room, pilot: str, found: Pending) -> bool:
    try:
        tier = find_candidate(room.workspace, pilot).promise().charter.risk_tier
    except PilotPlantError:
        return False  # a damaged candidate is `promote verify`'s to name
    return found.declined is None and found.awaits_gate(read_settings(room.workspace).signatures_min.of(tier))


def _countersign(room: Room, pilot: str, found: Pending, gate: CryptoSigner) -> Countersigned:
    """What becomes of one; what goes wrong with it stops no other."""
    last = found.second.second.at if found.second else found.decision.at
    said = Countersigned(pilot, found.decision.model_copy(update={"at": last}), found.persons)
    try:
        agreed = _agreed(room, pilot, found, said.decision)
    except Refused as error:
        _decline(room, pilot, found, error.what)
        return replace(said, declined=error.what)
    except PilotPlantError as error:
        return replace(said, unsure=error.what)
    try:
        return replace(said, decided=agreed.seal(gate, None))
    except PilotPlantError as error:
        return replace(said, unsure=error.what)


def _agreed(room: Room, pilot: str, found: Pending, decision: Decision) -> Agreed:
    """The decision as the gate may sign it; raises Refused where it may not, and Undecided where it cannot say."""
    case = open_case(room, find_candidate(room.workspace, pilot))
    sitting = sit(case, read_settings(room.workspace))
    if why := sitting.fallen(found):
        raise Refused(why)
    if why := sitting.against(found):
        cannot_say = verdict_for(sitting.judgement, decision) == "undecided"
        raise Undecided(why) if cannot_say else Refused(why)
    authority = authority_of(sitting, found, found.second.second.person if found.second else None)
    require_allowed(sitting, authority, decision)
    return Agreed(sitting, decision, authority, found)


def _decline(room: Room, pilot: str, found: Pending, reason: str) -> None:
    """Puts on record that the gate does not sign, so that whoever signed is told, and silence may lapse again."""
    with room.transaction() as connection:
        require_last(connection, room, pilot, found.digest)
        candidate = found.proposal.proposal.candidate
        room.write(connection, DECLINED, pilot, {"candidate": candidate, "proposal": found.digest, "reason": reason})
        reach(Point.DECLINE_WRITTEN)
    reach(Point.DECLINE_RECORDED)
