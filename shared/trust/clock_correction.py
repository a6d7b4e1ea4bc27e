"""Corrections of a clock: two persons and the gate sign that ledgers are dated ahead of time, and what time it is.

A correction changes nothing that was written, and dates nothing earlier: what is ahead of time stays so, and from the
correction on time is counted from what was signed. Each room takes it into its own ledger when it needs it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationError

from shared.core.clock import parse_rfc3339
from shared.core.digests import canonical
from shared.core.errors import BadInput, PilotPlantError
from shared.core.frozen import FrozenModel
from shared.core.yamlfile import read_yaml
from shared.experiment.people import same_person
from shared.state.anchors import HeadRecord
from shared.state.chain import Entry
from shared.state.order import CORRECTED, TOLERANCE
from shared.state.workspace import Mode, Workspace
from shared.trust.keys import PublicKey
from shared.trust.signed import Signed, parse

KIND = "clock-correction"
PERSONS_MIN = 2
RoomName = Literal["lab", "promotion", "factory"]


class Correction(FrozenModel):
    """What is signed.

    Attributes:
        at: what time it is, RFC 3339.
        reason: why the clock was wrong.
        ledgers: by room the last entry that may be dated ahead of time.
    """

    schema_version: Literal[1] = 1
    workspace: str
    mode: Mode
    at: str
    reason: str = Field(min_length=1)
    ledgers: dict[RoomName, HeadRecord] = Field(min_length=1)

    @property
    def moment(self) -> datetime:
        """What time it was when it was signed."""
        return parse_rfc3339(self.at)


@dataclass(frozen=True, slots=True)
class SignedCorrection:
    """A correction with its signatures; believe it only where `distrust` has nothing against it."""

    correction: Correction
    signed: Signed

    def as_json(self) -> dict[str, Any]:
        """The envelope, as ledgers carry it."""
        found: dict[str, Any] = self.signed.envelope.to_dict()
        return found

    def persons(self, keys: list[PublicKey]) -> tuple[str, ...]:
        """Whose good signatures are on it, each person once."""
        found: list[str] = []
        for key in self.signed.verified_by([key for key in keys if key.role == "owner"]):
            if not any(same_person(key.name, other) for other in found):
                found.append(key.name)
        return tuple(found)


def parse_correction(raw: bytes, *, where: str) -> SignedCorrection:
    """The correction in an envelope's bytes; raises BadInput for anything that is none."""
    signed = parse(raw, KIND, where=where)
    try:
        found = Correction.model_validate_json(json.dumps(signed.content))
        parse_rfc3339(found.at)
    except (ValidationError, ValueError) as error:
        raise BadInput("the correction of the clock is damaged", where=where) from error
    return SignedCorrection(found, signed)


def corrections_folder(workspace: Workspace) -> Path:
    """Where the gate lays out corrections for the other rooms."""
    return workspace.promotion / "corrections"


def corrections(workspace: Workspace, room: str) -> list[SignedCorrection]:
    """Every correction that the gate has laid out and this room believes."""
    keys, found = trusted(workspace, room), []
    for path in sorted(corrections_folder(workspace).glob("[!.]*.json")):
        try:
            read = parse_correction(path.read_bytes(), where=str(path))
        except (BadInput, OSError):
            continue
        if distrust(read, workspace, keys) is None:
            found.append(read)
    return found


def due(workspace: Workspace, room: str, chain: Callable[[], list[Entry]], now: datetime) -> dict[str, Any] | None:
    """The body of the entry by which time goes on in a room after its `chain`; None where nobody has signed for it."""
    found = corrections(workspace, room)
    entries = chain() if found else []
    for each in found:
        if covers(each.correction, room, entries, now) is None:
            return {"correction": each.signed.digest, "envelope": each.as_json()}
    return None


def trusted(workspace: Workspace, room: str, *, at: datetime | None = None) -> list[PublicKey]:
    """The public keys that a room believes: the Factory those it has pinned, the other two those the gate publishes.

    `at` is when a ledger had the signature, so that a key that was revoked later still counts for it.
    """
    folder = workspace.configs / "trusted_keys" if room == "factory" else workspace.promotion / "keys"
    found = []
    for path in sorted(folder.glob("*.yaml")):
        try:
            found.append(read_yaml(path, PublicKey))
        except PilotPlantError:
            continue
    return [key for key in found if key.mode == workspace.mode and _counted(key, at)]


def _counted(key: PublicKey, at: datetime | None) -> bool:
    return key.revoked_since is None or (at is not None and at < parse_rfc3339(key.revoked_since))


def distrust(found: SignedCorrection, workspace: Workspace, keys: list[PublicKey]) -> str | None:
    """Why a correction is not believed; None where it is.

    When a key was enrolled does not count here: the dates are just what is in doubt.
    """
    said = found.correction
    if (said.workspace, said.mode) != (workspace.id, workspace.mode):
        return f"it is of another workspace: {said.workspace} ({said.mode})"
    if not found.signed.verified_by([key for key in keys if key.role == "gate"]):
        return "no key of the gate that is known here has signed it"
    persons = found.persons(keys)
    if len(persons) < PERSONS_MIN:
        return f"two persons have to sign it, and {' and '.join(persons) or 'nobody'} has"
    return None


def covers(found: Correction, room: str, chain: list[Entry], now: datetime) -> str | None:
    """Why time cannot go on from a correction after this chain; None where it can."""
    head = found.ledgers.get(room)  # type: ignore[call-overload]
    if head is None:
        return f"it says nothing of the {room} ledger"
    named = next((entry for entry in chain if (entry.seq, entry.hash) == (head.seq, head.hash)), None)
    if named is None:
        return f"entry {head.seq} of the {room} ledger is not the one that was signed"
    after = chain[chain.index(named) + 1 :]
    if any(entry.kind == CORRECTED for entry in after):
        return "it has been taken already"
    if any(parse_rfc3339(entry.at) > parse_rfc3339(named.at) for entry in after):
        return "the clock ran ahead again since it was signed"
    if now < found.moment - TOLERANCE:
        return f"it was signed at {found.at}, and the clock is behind that as well"
    return None


def taken(entry: Entry) -> SignedCorrection:
    """The correction in a ledger's entry; raises BadInput where it holds none."""
    return parse_correction(canonical(entry.body["envelope"]), where=f"entry {entry.seq}")


def problem(entry: Entry, chain: list[Entry], workspace: Workspace, room: str) -> str | None:
    """What is wrong with a ledger's entry of a correction, `chain` being what stands before it; None for nothing."""
    try:
        found, at = taken(entry), parse_rfc3339(entry.at)
        against = distrust(found, workspace, trusted(workspace, room, at=at))
        return against or covers(found.correction, room, chain, at)
    except (PilotPlantError, KeyError, ValueError, TypeError) as error:
        return f"it holds no correction ({error})"
