"""Verifying: do candidates, attestations, keys and ledger still say what they said when it was decided?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from promotion.audit.checkpoint import read_checkpoint
from promotion.decisions.pending_decision import problems as pending_problems
from promotion.gate.preflight import verify_report
from promotion.keys.keyring import keyring, keys_folder, records
from promotion.keys.passkey_uses import problems as passkey_problems
from promotion.registry.nonces import registrations
from promotion.registry.receipts import receipt_doubts, waiting
from promotion.state import DECIDED, decisions, open_promotion, promises
from shared.core.clock import parse_rfc3339
from shared.core.digests import PREFIX, digest_bytes, hex_of
from shared.core.errors import BadInput, Damaged, Fault, PilotPlantError, Refused
from shared.state.chain import Entry, Head, Witness
from shared.state.ledger import legible
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.attestation import Attestation, read_attestation
from shared.trust.candidate import open_candidate
from shared.trust.candidates import intake_folder
from shared.trust.keys import PublicKey, record_bytes
from shared.trust.preflight import reports_folder
from shared.trust.record import attestation_path, receipt_path, receipts_folder
from shared.ui.console import counted

LEDGER = "the promotion ledger"


@dataclass(slots=True)
class Verification:
    """What was verified, and everything that is wrong, each in a sentence that names the thing."""

    verified: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def verify(
    workspace: Workspace,
    digest: str | None = None,
    *,
    checkpoint: Path | None = None,
    witnesses: Sequence[Witness] = (),
) -> Verification:
    """Verifies the gate's record: everything, or one candidate with its attestation, and always the ledger.

    A checkpoint, and `witnesses` from the other rooms, say what the ledger must still hold. Raises BadInput for a
    digest that is not known, Fault where the disk keeps the record from being read; of the checkpoint see
    `read_checkpoint`.
    """
    result = Verification()
    outside = read_checkpoint(checkpoint, workspace).witnesses().get("promotion") if checkpoint else None
    room = _room(workspace, result)
    if room is not None:
        try:
            _examine(room, digest, result, outside, witnesses)
        except Damaged as error:
            result.problems.append(f"{LEDGER}: {error.what}")
        except sa.exc.DatabaseError as error:
            result.problems.append(f"{LEDGER}: the database is damaged ({error.orig})")
    return result


def _room(workspace: Workspace, result: Verification) -> Room | None:
    try:
        return open_promotion(workspace)
    except Refused as error:  # opening compares the first entry with the workspace's mark
        result.problems.append(f"{LEDGER}: entry 1 cannot be believed ({error.what})")
    except Damaged as error:
        result.problems.append(f"{LEDGER}: {error.what}")
    except Fault:
        raise
    except PilotPlantError as error:
        result.problems.append(f"{LEDGER}: it cannot be read ({error})")
    except sa.exc.DatabaseError as error:
        result.problems.append(f"{LEDGER}: the database is damaged ({error.orig})")
    return None


def _examine(
    room: Room, digest: str | None, result: Verification, outside: Witness | None, others: Sequence[Witness]
) -> None:
    workspace = room.workspace
    with room.read() as connection:
        told = legible(connection, room.entries_table)
    decided = {str(entry.body.get("candidate")): entry for entry in told if entry.kind == DECIDED}
    known = _keys(workspace, told, result)
    folders = _folders(workspace, decided)
    chosen = [path for path in folders if digest is None or path.name.startswith(hex_of(digest))]
    if digest is not None and not chosen:
        raise BadInput(f"no candidate {digest} is known", expected="a digest of `pilotplant promote log`")
    witnesses: list[Head] = [head for path in chosen for head in _candidate(workspace, path, decided, known, result)]
    _strangers(workspace, decided, result)
    _receipts(workspace, told, known, result)
    result.problems += [f"{LEDGER}: {problem}" for problem in pending_problems(told, known)]
    result.problems += [f"{LEDGER}: {problem}" for problem in passkey_problems(told, known)]
    reports = reports_folder(workspace)
    for path in (
        sorted(reports.glob("*.json")) if digest is None else [reports / f"{each.name}.json" for each in chosen]
    ):
        verify_report(workspace, path, known, result.verified, result.problems)
    _tables(room, told, result)
    problems = room.problems((*witnesses, *others, *([outside] if outside else [])))
    result.problems += problems
    if not problems:
        result.verified.append(f"{LEDGER}: {completeness(outside)}")


def enrolled_keys(room: Room) -> list[PublicKey]:
    """Every enrolled key whose record is as it was enrolled."""
    with room.read() as connection:
        told = legible(connection, room.entries_table)
    return _keys(room.workspace, told, Verification())


# What no ledger can say of itself.
NOT_WITNESSED = "whether entries at its end were removed cannot be told without a checkpoint kept elsewhere"


def completeness(outside: Witness | None) -> str:
    """What can be said of a ledger without a problem, with a checkpoint or without."""
    if outside is None:
        return f"unbroken from its first entry; {NOT_WITNESSED}"
    return f"unbroken from its first entry, and complete up to entry {outside.seq}, as {outside.by} witnesses"


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
    except (OSError, ValueError) as error:
        found = [f"{name}: it cannot be read ({error})"]
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
    try:
        # An attestation that has expired since is still a true record: it is judged as of its own time.
        at = parse_rfc3339(attestation.predicate.time_verified)
        # The ledger's own entry is the witness that dates the signatures.
        problems += attestation.distrust(known, now=at, witnessed=parse_rfc3339(entry.at))
    except ValueError as error:
        problems.append(f"its times cannot be read ({error})")
    result.problems += [f"{name}: {problem}" for problem in problems]
    if problems:
        return []  # what is not believed is no witness
    decision = attestation.predicate.decision
    result.verified.append(f"{name}: {decision.word} on {entry.subject}, signed by the gate and {decision.owner}")
    head = attestation.predicate.ledgers["promotion"]
    return [Head(int(head["seq"]), str(head["hash"]))]


def _strangers(workspace: Workspace, decided: dict[str, Entry], result: Verification) -> None:
    """Attestations that the ledger knows nothing of: the other rooms read every file there."""
    expected = {attestation_path(workspace, candidate) for candidate in decided}
    found = set((workspace.promotion / "attestations").glob("*.json")) - expected
    result.problems += [f"attestation {path.name}: the ledger has no such decision" for path in sorted(found)]


def _receipts(workspace: Workspace, told: list[Entry], known: list[PublicKey], result: Verification) -> None:
    """Each receipt must say what the ledger says, signed by the gate; one that is not there waits for that."""
    said = registrations(told, workspace.id, workspace.mode)
    paths = {receipt_path(workspace, one.promise): one for one in said}
    signed = 0
    for path, one in paths.items():
        if not path.exists():
            continue
        problems = receipt_doubts(path, one, known)
        result.problems += [f"receipt {path.stem[:12]} of {one.pilot}: {problem}" for problem in problems]
        signed += not problems
    strangers = sorted(set(receipts_folder(workspace).glob("*.json")) - paths.keys())
    result.problems += [f"receipt {path.stem[:12]}: the ledger has no such registration" for path in strangers]
    unsigned = len(waiting(workspace, told))
    if signed:
        result.verified.append(
            f"receipts: {counted(signed, 'registration')} signed by the gate, as the ledger has them"
        )
    if unsigned:
        result.verified.append(
            f"receipts: {counted(unsigned, 'registration')} waiting for the gate's signature; `pilotplant promote "
            "checkpoint` gives it"
        )


def _against_ledger(attestation: Attestation, digest: str, entry: Entry) -> list[str]:
    problems = []
    if attestation.digest != entry.body.get("attestation"):
        problems.append("it is not the one that the ledger has")
    if attestation.candidate != digest:
        problems.append("it speaks of another candidate")
    if attestation.predicate.decision.model_dump(mode="json") != entry.body.get("decision"):
        problems.append("its decision is not the one that the ledger has")
    return problems


def _keys(workspace: Workspace, told: list[Entry], result: Verification) -> list[PublicKey]:
    """The enrolled keys whose records are, to the byte, what the ledger says of them."""
    ring = keyring(told, workspace)
    expected = {stem: key for name in ring.keys for stem, key in records(ring, name).items()}
    good, seen = [], set()
    for path in sorted(keys_folder(workspace).glob("*.yaml")):
        seen.add(path.stem)
        key = expected.get(path.stem)
        if key is None or not _is_record(path, key):
            result.problems.append(f"key {path.stem}: its record was changed after it was enrolled ({path.name})")
        else:
            good.append(key)
    result.problems += [f"key {name}: its record is missing" for name in sorted(expected.keys() - seen)]
    for key in good:
        if key.revoked_since is not None:
            why = ring.reasons.get(key.key_id)
            result.verified.append(f"key {key.key_id[:12]} of {key.name}: revoked since {key.revoked_since} ({why})")
    return good


def _is_record(path: Path, key: PublicKey) -> bool:
    try:
        key.verifier()
        return path.read_bytes() == record_bytes(key)
    except (PilotPlantError, OSError, ValueError):
        return False


def _tables(room: Room, told: list[Entry], result: Verification) -> None:
    """The tables of decisions and of promises must say what the ledger says."""
    with room.read() as connection:
        decided = connection.execute(sa.select(decisions)).all()
        promised = connection.execute(sa.select(promises)).all()
    result.problems += _differing(
        "decision on",
        {e.subject: (e.body.get("candidate"), e.body.get("attestation")) for e in told if e.kind == DECIDED},
        {row.pilot: (row.candidate, digest_bytes(row.envelope)) for row in decided},
    )
    result.problems += _differing(
        "promise",
        {str(e.body.get("promise")): (e.subject, e.at, e.seq, e.hash) for e in told if e.kind == "registered"},
        {row.digest: (row.pilot, row.at, row.ledger_seq, row.ledger_hash) for row in promised},
    )


def _differing(what: str, told: dict[str, Any], rows: dict[str, Any]) -> list[str]:
    names = sorted(told.keys() | rows.keys())
    return [f"{what} {name}: its table differs from the ledger" for name in names if told.get(name) != rows.get(name)]
