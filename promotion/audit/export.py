"""Exporting: a decided pilot in a folder that a stranger can verify, with nothing of this workspace at hand."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from promotion.audit.checkpoint import read_checkpoint
from promotion.audit.excerpt import excerpt
from promotion.decisions.handover import pack
from promotion.decisions.transaction import recorded, row_of
from promotion.keys.keyring import Keyring, keyring, records
from promotion.registry.nonces import registrations
from promotion.registry.receipts import receipt_doubts
from promotion.state import open_promotion
from shared.core.errors import BadInput, Refused
from shared.core.files import scratch_in, settle, write_atomically
from shared.core.printable import line
from shared.state.chain import Entry
from shared.state.workspace import Workspace
from shared.trust.attestation import Attestation
from shared.trust.candidates import candidates, find_candidate
from shared.trust.keys import GATE, write_public
from shared.trust.record import receipt_path
from shared.trust.registration import Registration

PACKAGE = "package"
KEYS = "keys"
LEDGER = "ledger.json"
RECEIPTS = "receipts"
CHECKPOINT = "checkpoint.json"
README = "README.md"


@dataclass(frozen=True, slots=True)
class Exported:
    """What was written, and whether the same was there already."""

    pilot: str
    candidate: str
    attestation: str
    folder: Path
    files: tuple[str, ...]
    repeated: bool


def export(workspace: Workspace, name: str, out: Path, *, checkpoint: Path | None = None) -> Exported:
    """Writes package, public keys, the ledger's excerpt and a checkpoint into a new folder, in full or not at all.

    Raises BadInput where the pilot is not decided, Refused where the ledger does not verify, the candidate was changed,
    or the folder holds something else. The same once more is a no-op.
    """
    if out.exists() and not out.is_dir():
        raise BadInput("there is a file of that name", where=str(out), expected="a new folder", remedy="choose another")
    room = open_promotion(workspace)
    pilot = _pilot(workspace, name)
    attestation = recorded(room, pilot)
    if attestation is None:
        raise BadInput(
            f"{pilot} is not decided, so there is nothing to show",
            where=f"pilot {pilot}",
            remedy=f"decide first: pilotplant promote decide {pilot} WORD",
        )
    problems = room.problems()
    if problems:
        raise Refused("a ledger that does not verify is not shown: " + "; ".join(problems), remedy="promote verify")
    entries, names = room.entries(), _names(attestation)
    if checkpoint is not None:
        read_checkpoint(checkpoint, workspace)
    with scratch_in(out.resolve().parent) as scratch:
        candidate = find_candidate(workspace, attestation.candidate)
        pack(scratch / PACKAGE, candidate, row_of(room, pilot).envelope)
        _write_keys(scratch / KEYS, keyring(entries, workspace), names)
        (scratch / LEDGER).write_bytes(excerpt(workspace, entries, pilot, names).as_bytes())
        receipts = _write_receipts(workspace, scratch / RECEIPTS, entries, pilot)
        if checkpoint is not None:
            shutil.copyfile(checkpoint, scratch / CHECKPOINT)
        (scratch / README).write_text(
            _readme(attestation, with_checkpoint=checkpoint is not None, with_receipts=bool(receipts)), encoding="utf-8"
        )
        files = _files(scratch)
        repeated = not settle(scratch, out)
        if repeated and {path: (out / path).read_bytes() for path in _files(out)} != {
            path: (scratch / path).read_bytes() for path in files
        }:
            raise Refused("the folder holds something else", where=str(out), remedy="name a new folder with --out")
    return Exported(pilot, attestation.candidate, attestation.digest, out, files, repeated)


def _pilot(workspace: Workspace, name: str) -> str:
    """The pilot that a name or a digest means, also where a later candidate of it came after the decision."""
    known = {candidate.manifest.pilot for candidate in candidates(workspace)}
    return name if name in known else find_candidate(workspace, name).manifest.pilot


def _names(attestation: Attestation) -> list[str]:
    """Whose keys it takes: those of all who signed anything in it."""
    signed = [one.name for one in attestation.predicate.signatories]
    waived = [one.waived.by for one in attestation.predicate.findings if one.waived]
    return list(dict.fromkeys([*signed, *waived]))


def _write_keys(folder: Path, ring: Keyring, names: list[str]) -> None:
    for name in names:
        for stem, key in records(ring, name).items():
            write_public(folder, key, stem=stem)


def _write_receipts(workspace: Workspace, folder: Path, entries: list[Entry], pilot: str) -> list[Registration]:
    """Every receipt of the pilot; raises Refused where one is not signed yet, or not to be believed."""
    found = [one for one in registrations(entries, workspace.id, workspace.mode) if one.pilot == pilot]
    keys = keyring(entries, workspace).keys.get(GATE, ())
    for one in found:
        path = receipt_path(workspace, one.promise)
        problems = receipt_doubts(path, one, keys)
        if problems:
            raise Refused(
                f"the receipt for {pilot} is not to be believed: {'; '.join(problems)}",
                where=str(path),
                remedy="have the gate sign what waits: pilotplant promote checkpoint; else look: promote verify",
            )
        write_atomically(folder / path.name, path.read_bytes())
    return found


def _files(folder: Path) -> tuple[str, ...]:
    return tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()))


def _readme(attestation: Attestation, *, with_checkpoint: bool, with_receipts: bool) -> str:
    said = attestation.predicate
    keys = "\n".join(f"- {line(one.name)} ({one.role}): `{one.key_id}`" for one in said.signatories)
    told = f"{said.decision.word} {said.decision.arm or ''}".rstrip()
    last = (
        "- `checkpoint.json`: the ends of the rooms' ledgers at one moment, signed by the gate.\n"
        if with_checkpoint
        else ""
    )
    drawn = (
        "- `receipts/`: when the gate took in each version of the plan, and the nonce that drew the arms, signed.\n"
        if with_receipts
        else ""
    )
    option = f" --checkpoint {CHECKPOINT}" if with_checkpoint else ""
    return f"""# {line(said.pilot)}: {told}

Decided by {line(said.decision.owner)} at {said.decision.at}, in a {said.mode} workspace. In this folder:

- `package/candidate/`: what was judged, every file by its digest in `manifest.json`.
- `package/attestation.json`: verdict, findings and decision, signed (in-toto statement in a DSSE envelope).
- `keys/`: the public keys of all who signed.
- `ledger.json`: the gate's ledger. Each entry's hash covers its body by digest; bodies of others' entries are left out.
{drawn}{last}
To verify, with Pilot Plant installed and no workspace:

    pilotplant promote verify --package . --keys keys{option}

A key that comes with what it signed proves nothing of whose it is. Ask each person, by a way you trust, for the id of
their key, and compare:

{keys}

More in `docs/verify.md` of Pilot Plant.
"""
