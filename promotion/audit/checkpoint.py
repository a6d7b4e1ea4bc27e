"""Checkpoints: the heads of the rooms' ledgers at one moment, signed by the gate, to be kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

import sqlalchemy as sa
from pydantic import ValidationError

from promotion.keys.keyring import keyring, keys_folder
from promotion.registry.receipts import gate_signer
from promotion.state import open_promotion
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.core.files import write_once
from shared.core.frozen import FrozenModel
from shared.core.yamlfile import read_yaml
from shared.doors.door import Request, ask
from shared.doors.requests import FactoryLedger, LabLedger, LedgerState
from shared.state.anchors import HeadRecord
from shared.state.chain import Entry, Head, Witness
from shared.state.ledger import legible
from shared.state.room import Room
from shared.state.workspace import Mode, Workspace
from shared.trust.keys import GATE, PublicKey, narrowed
from shared.trust.signed import Signed, parse, sign

KIND = "checkpoint"
WITNESSED = "witnessed"
OWN: Literal["promotion"] = "promotion"


class Checkpoint(FrozenModel):
    """What is signed.

    Attributes:
        at: by the gate's clock.
        ledgers: each room's head then; a room that could not be read is not there.
    """

    schema_version: Literal[1] = 1
    workspace: str
    mode: Mode
    at: str
    ledgers: dict[Literal["lab", "promotion", "factory"], HeadRecord]

    def witnesses(self) -> dict[str, Witness]:
        """What it says of each room."""
        return {
            room: Witness(head.seq, head.hash, f"the checkpoint of {self.at}") for room, head in self.ledgers.items()
        }


@dataclass(frozen=True, slots=True)
class Taken:
    """A checkpoint in its file, and whether the same one was there already."""

    checkpoint: Checkpoint
    file: Path
    repeated: bool


def heads(workspace: Workspace) -> tuple[dict[str, Head], dict[str, str]]:
    """The ledger heads of Lab and Factory, and why one of them cannot be read.

    Raises Refused where one of the ledgers does not verify: what is not sound is not witnessed.
    """
    found: dict[str, Head] = {}
    unread: dict[str, str] = {}
    asked: tuple[Request[LedgerState], ...] = (LabLedger(verified=True), FactoryLedger(verified=True))
    for request in asked:
        try:
            state = ask(workspace, request)
        except PilotPlantError as error:
            unread[request.room] = error.what
            continue
        if state.problems:
            raise Refused(
                "a ledger that does not verify gets no checkpoint: " + "; ".join(state.problems),
                remedy="look: pilotplant verify",
            )
        if state.end is not None:
            found[request.room] = state.end.head
    return found, unread


def take(workspace: Workspace, others: Mapping[str, Head], out: Path | None = None, *, passphrase: str | None) -> Taken:
    """Signs the present heads into a file, after the gate's ledger has written down those of the other rooms.

    Where nothing was written since the last one the same checkpoint comes out. Raises Refused where the gate's ledger
    does not verify, or the file holds something else.
    """
    room = open_promotion(workspace)
    signer = gate_signer(room, passphrase)
    problems = room.problems()
    if problems:
        raise Refused(
            "a ledger that does not verify gets no checkpoint: " + "; ".join(problems),
            remedy="look: pilotplant promote verify",
        )
    at, head = _witnessed(room, others)
    heads = {**others, OWN: head}
    ledgers = {name: found.as_json() for name, found in heads.items() if found.seq}
    checkpoint = Checkpoint.model_validate(
        {"workspace": workspace.id, "mode": workspace.mode, "at": at, "ledgers": ledgers}
    )
    raw = sign(KIND, checkpoint.model_dump(mode="json"), [signer])
    file = out or Path(f"pilotplant-checkpoint-{workspace.id}-{head.seq}.json")
    return Taken(checkpoint, file, repeated=not _written(file, raw))


def parse_checkpoint(path: Path) -> tuple[Checkpoint, Signed]:
    """What a file says that may be a checkpoint, with its signatures; raises BadInput for a file that is none."""
    try:
        signed = parse(path.read_bytes(), KIND, where=str(path))
        found = Checkpoint.model_validate(signed.content)
        parse_rfc3339(found.at)
    except OSError as error:
        raise BadInput("the checkpoint cannot be read", where=str(path), expected="a file") from error
    except (ValidationError, ValueError) as error:
        raise BadInput(
            "the checkpoint does not say what one says", where=str(path), expected="schema_version 1, and heads"
        ) from error
    return found, signed


def read_checkpoint(path: Path, workspace: Workspace) -> Checkpoint:
    """The checkpoint in a file.

    Raises BadInput for a file that is none, Refused for one of another workspace or without the gate's signature.
    """
    found, signed = parse_checkpoint(path)
    if (found.workspace, found.mode) != (workspace.id, workspace.mode):
        raise Refused(
            f"this is a checkpoint of another workspace: {found.workspace} ({found.mode})",
            where=str(path),
            expected=f"one of {workspace.id} ({workspace.mode})",
            remedy="name the file that was written here",
        )
    entries = _legible(workspace)
    doubts = distrust(found, signed, _gate_keys(workspace, entries), entries)
    if doubts:
        raise Refused(
            "the checkpoint is not signed by this workspace's gate: " + "; ".join(doubts),
            where=str(path),
            expected="a signature by a key of `gate` in var/promotion/keys or configs/trusted_keys",
            remedy="do not believe it; ask whoever gave it to you where it comes from",
        )
    return found


def _witnessed(room: Room, others: Mapping[str, Head]) -> tuple[str, Head]:
    """When the gate wrote down these very heads, which it does now unless it was its last word; and its own head."""
    body = {"ledgers": {name: head.as_json() for name, head in others.items() if head.seq}}
    last = room.entries()[-1]
    if last.kind == WITNESSED and last.body == body:
        return last.at, Head(last.seq, last.hash)
    with room.transaction() as connection:
        now = room.moment(connection)
        return rfc3339(now), room.write(connection, WITNESSED, room.workspace.id, body, at=now)


def _written(file: Path, raw: bytes) -> bool:
    if write_once(file, raw):
        return True
    if file.read_bytes() != raw:
        raise Refused("the file holds something else", where=str(file), remedy="choose another name with --out")
    return False


def distrust(found: Checkpoint, signed: Signed, keys: Sequence[PublicKey], entries: Iterable[Entry]) -> list[str]:
    """Why a checkpoint is not believed, given the gate's keys; empty where a key signed it that counted then.

    `entries` is the gate's ledger: the entry that a checkpoint is of, written at its very moment, is what dates the
    signature of a key that was revoked since; the checkpoint's own word does not.
    """
    good = signed.verified_by([key for key in keys if key.role == "gate" and key.mode == found.mode])
    if not good:
        return ["none of its signatures is by a key of the gate that is known here"]
    at, witnessed = parse_rfc3339(found.at), _entry_at(found, entries)
    doubts = [key.doubt(at, witnessed=witnessed) for key in good]
    return [] if None in doubts else [doubt for doubt in doubts if doubt]


def _entry_at(found: Checkpoint, entries: Iterable[Entry]) -> datetime | None:
    """When the ledger wrote the entry that a checkpoint is of; None where it holds no such entry."""
    head = found.ledgers.get(OWN)
    if head is None:
        return None
    for entry in entries:
        if (entry.seq, entry.hash, entry.kind, entry.at) == (head.seq, head.hash, WITNESSED, found.at):
            return parse_rfc3339(entry.at)
    return None


def _legible(workspace: Workspace) -> list[Entry]:
    """The gate's ledger as far as it can be read: a checkpoint is asked for just where something is wrong with it."""
    try:
        room = open_promotion(workspace)
        with room.read() as connection:
            return legible(connection, room.entries_table)
    except (PilotPlantError, sa.exc.DatabaseError):
        return []


def _gate_keys(workspace: Workspace, entries: Iterable[Entry]) -> list[PublicKey]:
    """Every key of the gate that this workspace has a record of, each with the narrowest dates that any record gives.

    A record that cannot be read is none: what the ledger and the other records say of the key still counts.
    """
    found = list(keyring(entries, workspace).keys.get(GATE, ()))
    for folder in (keys_folder(workspace), workspace.configs / "trusted_keys"):
        for path in sorted(folder.glob("*.yaml")):
            try:
                found.append(read_yaml(path, PublicKey))
            except PilotPlantError:
                continue
    ours = [key for key in found if key.role == "gate" and key.mode == workspace.mode]
    return [narrowed(key, ours) for key in {key.key_id: key for key in reversed(ours)}.values()]
