"""Crossing the witnesses: each room's ledger is held against what the other two, and a checkpoint, have seen of it.

The rooms never open each other's databases; the front door asks all three.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import sqlalchemy as sa

from factory.releases import receipts
from factory.state.room import open_factory
from lab.state import open_lab
from pilotplant.soundness import Soundness, soundness
from promotion.audit import verification
from promotion.audit.checkpoint import read_checkpoint
from promotion.state import open_promotion
from shared.core.clock import parse_rfc3339
from shared.core.errors import Damaged, Fault, PilotPlantError, Refused
from shared.state.anchors import ROOMS, anchors, head_of
from shared.state.chain import Witness
from shared.state.ledger import legible
from shared.state.order import CORRECTED
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.candidates import candidates, digest_named
from shared.trust.clock_correction import taken, trusted
from shared.ui.console import counted

OPENERS: dict[str, Callable[[Workspace], Room]] = {
    "lab": open_lab,
    "promotion": open_promotion,
    "factory": open_factory,
}
# A database that breaks off in the middle of its answer.
_UNREADABLE = (sa.exc.DatabaseError, Fault)


def verify(workspace: Workspace, checkpoint: Path | None = None) -> Soundness:
    """Verifies all three ledgers, and the gate's record with them.

    Raises BadInput or Refused for a checkpoint that is none of this workspace's.
    """
    result = Soundness()
    outside = read_checkpoint(checkpoint, workspace).witnesses() if checkpoint else {}
    opened = {name: _opened(name, workspace) for name in ROOMS}
    # Every witness is heard before any ledger is read: what is written meanwhile then takes nobody by surprise.
    seen = _seen(workspace, opened)
    for name in ("lab", "factory"):
        room = opened[name]
        if isinstance(room, PilotPlantError):
            _unread(name, room, result)
            continue
        _hold(room, seen[name], outside.get(name), result)
        if name == "factory":
            _receipts(room, result)
    _gate(workspace, checkpoint, seen["promotion"], opened["promotion"], result)
    soundness(workspace, opened, result)
    return result


def _gate(
    workspace: Workspace, checkpoint: Path | None, seen: list[Witness], room: Room | PilotPlantError, result: Soundness
) -> None:
    try:
        gate = verification.verify(workspace, checkpoint=checkpoint, witnesses=seen)
    except Fault as error:
        result.unread.append(f"the promotion ledger: it cannot be read ({error.what})")
        return
    result.verified += gate.verified
    result.problems += gate.problems
    if not gate.problems and not isinstance(room, PilotPlantError):
        result.verified += _corrections(room)


def _corrections(room: Room) -> list[str]:
    """Each time that a clock was corrected, with who signed it and why."""
    found = []
    for entry in room.entries(room.name, kinds=[CORRECTED]):
        signed, keys = taken(entry), trusted(room.workspace, room.name, at=parse_rfc3339(entry.at))
        by, why = " and ".join(signed.persons(keys)), signed.correction.reason
        found.append(f"the {room.name} ledger: its clock was corrected at {entry.at} by {by}: {why}")
    return found


def _receipts(room: Room, result: Soundness) -> None:
    try:
        found, problems = len(receipts.expected(room)), receipts.problems(room)
    except _UNREADABLE:
        return  # `_hold` says why
    result.problems += problems
    if found and not problems:
        result.verified.append(f"receipts: {counted(found, 'package')}, each as the Factory's ledger has it")


def _opened(name: str, workspace: Workspace) -> Room | PilotPlantError:
    try:
        return OPENERS[name](workspace)
    except PilotPlantError as error:
        return error
    except sa.exc.DatabaseError as error:
        return Damaged(f"the {name} database is damaged ({error.orig})")


def _unread(name: str, error: PilotPlantError, result: Soundness) -> None:
    # What is refused is there and wrong; what cannot be reached may well be right.
    told = result.problems if isinstance(error, Refused | Damaged) else result.unread
    told.append(f"the {name} ledger: it cannot be read ({error.what})")


def _seen(workspace: Workspace, opened: dict[str, Room | PilotPlantError]) -> dict[str, list[Witness]]:
    """By room, what the other rooms' ledgers and the candidates before the gate have seen of its ledger."""
    found: dict[str, list[Witness]] = {name: [] for name in ROOMS}
    for name, room in opened.items():
        if isinstance(room, PilotPlantError):
            continue
        with suppress(*_UNREADABLE), room.read() as connection:  # `_hold` says why
            for other, witnesses in anchors(f"the {name} ledger", legible(connection, room.entries_table)).items():
                found[other] += witnesses
    for candidate in candidates(workspace):
        head = head_of(candidate.manifest.ledger)
        if head is not None and candidate.digest == digest_named(candidate):
            found["lab"].append(Witness(head.seq, head.hash, f"candidate {candidate.folder.name[:12]}"))
    return found


def _hold(room: Room, seen: list[Witness], outside: Witness | None, result: Soundness) -> None:
    ledger = f"the {room.name} ledger"
    try:
        problems = room.problems((*seen, *([outside] if outside else [])))
    except Damaged as error:
        problems = [f"{ledger}: {error.what}"]
    except Fault as error:
        _unread(room.name, error, result)
        return
    except sa.exc.DatabaseError as error:
        problems = [f"{ledger}: the database is damaged ({error.orig})"]
    result.problems += problems
    if not problems:
        known = max((witness.seq for witness in seen), default=0)
        inside = f"; the other rooms have seen it up to entry {known}" if known else ""
        result.verified.append(f"{ledger}: {verification.completeness(outside)}{inside}")
        result.verified += _corrections(room)
