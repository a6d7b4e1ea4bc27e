"""Verifying: do candidates, attestations, keys and ledger still say what they said when it was decided?"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import sqlalchemy as sa

from promotion.enrolment import enrolled_ids, keys_folder
from promotion.intake import intake_folder
from promotion.state import decisions, open_promotion
from shared.attestation import Attestation, read_attestation
from shared.candidate import open_candidate
from shared.clock import parse_rfc3339
from shared.digests import PREFIX, digest_bytes, hex_of
from shared.errors import BadInput, PilotPlantError
from shared.keys import PublicKey, read_public
from shared.ledger import Entry, Head
from shared.record import attestation_path
from shared.room import Room
from shared.workspace import Workspace


@dataclass(slots=True)
class Verification:
    """What was verified, and everything that is wrong, each in a sentence that names the thing."""

    verified: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def verify(workspace: Workspace, digest: str | None = None) -> Verification:
    """Verifies the gate's record: everything, or one candidate with its attestation, and always the ledger."""
    result = Verification()
    try:
        room = open_promotion(workspace)
        decided = {str(e.body["candidate"]): e for e in room.entries() if e.kind == "decided"}
        known = _keys(room, workspace, result)
        chosen = [
            path for path in _folders(workspace, decided) if digest is None or path.name.startswith(hex_of(digest))
        ]
        witnesses = [head for path in chosen for head in _candidate(workspace, path, decided, known, result)]
        _rows(room, result)
        problems = room.problems(tuple(witnesses))
    except sa.exc.DatabaseError as error:
        problems = [f"the promotion ledger: the database is damaged ({error.orig})"]
        chosen = []
    except (PilotPlantError, ValueError, KeyError) as error:
        problems = [f"the promotion ledger: it cannot be read ({error})"]
        chosen = []
    if digest is not None and not chosen and not problems:
        raise BadInput(f"no candidate {digest} is known", expected="a digest of `pilotplant promote log`")
    result.problems += problems
    if not problems:
        result.verified.append("the promotion ledger: consistent from its first entry; completeness is not witnessed")
    return result


def _folders(workspace: Workspace, decided: dict[str, Entry]) -> list[Path]:
    """Candidates that are there, and those that were decided and should be."""
    present = {path for path in intake_folder(workspace).glob("*") if path.is_dir() and not path.name.startswith(".")}
    return sorted(present | {intake_folder(workspace) / hex_of(candidate) for candidate in decided})


def _candidate(
    workspace: Workspace,
    folder: Path,
    decided: dict[str, Entry],
    known: list[PublicKey],
    result: Verification,
) -> list[Head]:
    """Checks one candidate and its attestation; returns the ledger heads that the attestation witnesses."""
    digest = PREFIX + folder.name
    name = f"candidate {folder.name[:12]}"
    try:
        found = [f"{name}: {problem}" for problem in open_candidate(folder).tampered(digest)]
    except BadInput as error:
        found = [f"{name}: {error.what} ({error.where})"]
    result.problems += found
    if not found:
        result.verified.append(f"{name}: every file as sealed")
    entry = decided.get(digest)
    if entry is None:
        return []
    return _attestation(workspace, digest, entry, known, result)


def _attestation(
    workspace: Workspace, digest: str, entry: Entry, known: list[PublicKey], result: Verification
) -> list[Head]:
    name = f"attestation {hex_of(digest)[:12]}"
    path = attestation_path(workspace, digest)
    try:
        attestation = read_attestation(path)
    except BadInput as error:
        result.problems.append(f"{name}: {error.what} ({path.name})")
        return []
    problems = _against_ledger(attestation, digest, entry)
    # An attestation that has expired since is still a true record: it is judged as of its own time.
    problems += attestation.distrust(known, now=parse_rfc3339(attestation.predicate.time_verified))
    result.problems += [f"{name}: {problem}" for problem in problems]
    if not problems:
        decision = attestation.predicate.decision
        result.verified.append(f"{name}: {decision.word} on {entry.subject}, signed by the gate and {decision.owner}")
    head = attestation.predicate.ledgers["promotion"]
    return [Head(int(head["seq"]), str(head["hash"]))]


def _against_ledger(attestation: Attestation, digest: str, entry: Entry) -> list[str]:
    problems = []
    if attestation.digest != entry.body["attestation"]:
        problems.append("it is not the one that the ledger has")
    if attestation.candidate != digest:
        problems.append("it speaks of another candidate")
    if attestation.predicate.decision.model_dump(mode="json") != entry.body["decision"]:
        problems.append("its decision is not the one that the ledger has")
    return problems


def _keys(room: Room, workspace: Workspace, result: Verification) -> list[PublicKey]:
    """The enrolled keys that the ledger bears out."""
    ids = enrolled_ids(room)
    keys = read_public(keys_folder(workspace))
    good = [key for key in keys if ids.get(key.name) == key.key_id]
    result.problems += [
        f"key {key.name}: its record was changed after it was enrolled" for key in keys if key not in good
    ]
    result.problems += [f"key {name}: its record is missing" for name in ids if name not in {key.name for key in keys}]
    return good


def _rows(room: Room, result: Verification) -> None:
    """The table of decisions must say what the ledger says."""
    told = {
        e.subject: (str(e.body["candidate"]), str(e.body["attestation"])) for e in room.entries() if e.kind == "decided"
    }
    with room.transaction() as connection:
        rows = {
            row.pilot: (row.candidate, digest_bytes(row.envelope)) for row in connection.execute(sa.select(decisions))
        }
    for pilot in sorted(told.keys() | rows.keys()):
        if told.get(pilot) != rows.get(pilot):
            result.problems.append(f"decision on {pilot}: the table of decisions differs from the ledger")
