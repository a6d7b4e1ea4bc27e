"""Correcting a clock: two persons sign that it ran ahead, the gate signs as well, and the rooms may go on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from securesystemslib.signer import CryptoSigner

from promotion.keys.enrolment import enrolled_key
from promotion.keys.keyring import KEY_KINDS, recorded_ring
from promotion.keys.signers import gate_opens, signer_of
from promotion.state import open_promotion
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.digests import hex_of
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.core.files import write_atomically
from shared.doors.door import ask
from shared.doors.requests import FactoryLedger, LabLedger
from shared.experiment.people import read_people, same_person
from shared.state.chain import End
from shared.state.order import TOLERANCE
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.clock_correction import (
    KIND,
    PERSONS_MIN,
    Correction,
    SignedCorrection,
    corrections_folder,
    distrust,
    parse_correction,
    trusted,
)
from shared.trust.decision import REASON_MIN
from shared.trust.keys import GATE
from shared.trust.signed import canonical_envelope, sign

PROPOSED_FILE = ".proposed.json"
# A second person signs within a working day: what time it is, is said of now.
LAPSES_S = 24 * 3600
DIGITS = 16


@dataclass(frozen=True, slots=True)
class Corrected:
    """How far a correction has come.

    Attributes:
        state: `proposed` where a second person has yet to sign, `agreed` where only the gate has, `signed` where the
            rooms may take it.
        persons: who has signed.
        file: where it lies.
        repeated: whether it stood like this before.
    """

    correction: Correction
    state: Literal["proposed", "agreed", "signed"]
    persons: tuple[str, ...]
    file: Path
    repeated: bool

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        said = self.correction
        return {"state": self.state, "at": said.at, "reason": said.reason, "persons": list(self.persons),
                "ledgers": {name: head.model_dump() for name, head in said.ledgers.items()},
                "file": str(self.file), "repeated": self.repeated}  # fmt: skip


def ends(workspace: Workspace) -> tuple[dict[str, End], dict[str, str]]:
    """The last entry of each room's ledger, and why one of them cannot be read."""
    found: dict[str, End | None] = {}
    unread: dict[str, str] = {}
    readers: dict[str, Callable[[], End | None]] = {
        "lab": lambda: ask(workspace, LabLedger()).end,
        "promotion": lambda: open_promotion(workspace).end(),
        "factory": lambda: ask(workspace, FactoryLedger()).end,
    }
    for name, read in readers.items():
        try:
            found[name] = read()
        except PilotPlantError as error:
            unread[name] = error.what
    return {name: end for name, end in found.items() if end is not None}, unread


def correct(
    workspace: Workspace,
    who: str,
    reason: str | None,
    ends: Mapping[str, End],
    *,
    passphrase: str | None,
    gate_passphrase: str | None,
) -> Corrected:
    """Signs as a person that the ledgers which are dated ahead of now were so by a wrong clock.

    The first one proposes, with a reason; another one signs the same, and the gate with them where its key opens, else
    by `countersign_clock`. Raises Refused in a rehearsal, for somebody who decides nothing, and where no ledger is
    ahead.
    """
    _require_live(workspace)
    who = _entitled(workspace, who)
    room = open_promotion(workspace)
    proposed = _proposed(workspace, room, ends)
    signer = signer_of(workspace, who, passphrase)
    if proposed is None:
        return _propose(workspace, room, reason, ends, signer)
    keys = trusted(workspace, "promotion")
    before = proposed.persons(keys)
    agreed = len(before) >= PERSONS_MIN
    if agreed or any(same_person(who, other) for other in before):
        state: Literal["agreed", "proposed"] = "agreed" if agreed else "proposed"
        return Corrected(proposed.correction, state, before, _place(workspace, PROPOSED_FILE), repeated=True)
    if not gate_opens(workspace, gate_passphrase):
        return _agree(workspace, proposed, signer)
    return _sign(workspace, proposed, [signer, signer_of(workspace, GATE, gate_passphrase)])


def countersign_clock(workspace: Workspace, ends: Mapping[str, End], passphrase: str | None) -> Corrected | None:
    """Signs as the gate a correction that two persons have signed; None where none waits for it."""
    if workspace.mode != "live":
        return None
    room = open_promotion(workspace)
    proposed = _proposed(workspace, room, ends)
    known = {key.key_id for key in recorded_ring(room.entries(kinds=KEY_KINDS), workspace).every()}
    keys = [key for key in trusted(workspace, "promotion") if key.key_id in known]
    persons = proposed.persons(keys) if proposed else ()
    if proposed is None or len(persons) < PERSONS_MIN:
        return None
    for who in persons:
        _entitled(workspace, who)
    return _sign(workspace, proposed, [signer_of(workspace, GATE, passphrase)])


def _propose(
    workspace: Workspace, room: Room, reason: str | None, ends: Mapping[str, End], signer: CryptoSigner
) -> Corrected:
    if reason is None or len(reason.strip()) < REASON_MIN:
        raise BadInput(
            "why was the clock wrong?",
            where="--reason",
            expected=f"at least {REASON_MIN} characters",
            remedy='add --reason "the time server of the new rack was set to 2031"',
        )
    ahead = {name: end.head.as_json() for name, end in ends.items() if _is_ahead(room, end)}
    if not ahead:
        raise Refused(
            "no ledger is dated ahead of now, so there is nothing to correct",
            where=f"clock: {rfc3339(room.now())}",
            expected="a last entry that is later than that",
            remedy="look: pilotplant verify",
        )
    said = Correction.model_validate(
        {"workspace": workspace.id, "mode": workspace.mode, "at": rfc3339(room.now()), "reason": reason.strip(),
         "ledgers": ahead}
    )  # fmt: skip
    raw = sign(KIND, said.model_dump(mode="json"), [signer])
    file = _place(workspace, PROPOSED_FILE)
    write_atomically(file, raw)
    made = parse_correction(raw, where=str(file))
    return Corrected(said, "proposed", made.persons(trusted(workspace, "promotion")), file, repeated=False)


def _agree(workspace: Workspace, proposed: SignedCorrection, signer: CryptoSigner) -> Corrected:
    """The same statement with both persons' signatures, which waits for the gate's."""
    envelope = proposed.signed.envelope
    envelope.sign(signer)
    raw, file = canonical_envelope(envelope), _place(workspace, PROPOSED_FILE)
    write_atomically(file, raw)
    made = parse_correction(raw, where=str(file))
    return Corrected(made.correction, "agreed", made.persons(trusted(workspace, "promotion")), file, repeated=False)


def _sign(workspace: Workspace, proposed: SignedCorrection, signers: list[CryptoSigner]) -> Corrected:
    """The same statement with everybody's signature, laid out for the rooms, which then take it by themselves."""
    envelope = proposed.signed.envelope
    for signer in signers:
        envelope.sign(signer)
    raw = canonical_envelope(envelope)
    made = parse_correction(raw, where="the correction")
    keys = trusted(workspace, "promotion")
    if doubt := distrust(made, workspace, keys):
        raise Refused(f"the correction would not be believed: {doubt}", remedy="look: pilotplant promote verify")
    file = _place(workspace, f"{hex_of(made.signed.digest)[:DIGITS]}.json")
    write_atomically(file, raw)
    _place(workspace, PROPOSED_FILE).unlink(missing_ok=True)
    room = open_promotion(workspace)
    with room.transaction() as connection:
        room.moment(connection)  # takes it into the gate's own ledger at once, where that was ahead of time
    return Corrected(made.correction, "signed", made.persons(keys), file, repeated=False)


def _proposed(workspace: Workspace, room: Room, ends: Mapping[str, End]) -> SignedCorrection | None:
    """What waits for a second signature, and is still what a second person would say; None where nothing does."""
    file = _place(workspace, PROPOSED_FILE)
    if not file.exists():
        return None
    try:
        found = parse_correction(file.read_bytes(), where=str(file))
    except BadInput:
        return None  # nobody can sign it any more: whoever comes proposes anew
    heads = {name: end.head.as_json() for name, end in ends.items() if _is_ahead(room, end)}
    said = {name: head.model_dump() for name, head in found.correction.ledgers.items()}
    age_s = (room.now() - found.correction.moment).total_seconds()
    stands = said == heads and -TOLERANCE.total_seconds() <= age_s <= LAPSES_S
    return found if stands and found.persons(trusted(workspace, "promotion")) else None


def _is_ahead(room: Room, end: End) -> bool:
    try:
        return parse_rfc3339(end.dated.at) > room.now() + TOLERANCE
    except (ValueError, TypeError):
        return False  # `pilotplant verify` names it


def _require_live(workspace: Workspace) -> None:
    if workspace.mode != "live":
        raise Refused(
            "a rehearsal's clock may be set, and its ledgers ask for no order of time",
            where=str(workspace.root),
            remedy="pilotplant clock now",
        )


def _entitled(workspace: Workspace, who: str) -> str:
    """The address as configs/people.yaml spells it; raises Refused for somebody who decides nothing, or has no key."""
    person = read_people(workspace).get(who)
    if person.decides is None:
        raise Refused(
            f"{who} is not entitled to decide anything, and the clock least of all",
            where="configs/people.yaml",
            remedy="have two persons sign who decide on pilots (`decides`)",
        )
    if enrolled_key(workspace, person.email).kind == "passkey":
        raise Refused(
            f"{person.email} signs with a passkey, and a clock is corrected with keys, on this machine",
            where="--as",
            remedy="have two persons sign who decide on pilots and have a key",
        )
    return person.email


def _place(workspace: Workspace, name: str) -> Path:
    return corrections_folder(workspace) / name
