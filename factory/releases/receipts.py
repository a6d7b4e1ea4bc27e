"""Receipts: each follows from the Factory's ledger, so that one that is missing or damaged is simply written again."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from factory.state.tables import ADMITTED
from shared.core.digests import PREFIX
from shared.core.errors import PilotPlantError
from shared.core.files import write_atomically
from shared.state.chain import Entry
from shared.state.ledger import legible
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.receipt import Receipt, receipt_path, receipts_folder

REFUSED = "refused_package"
_PACKAGE = re.compile(r"[0-9a-f]{64}")


def lay_out(room: Room) -> list[Path]:
    """Writes every receipt that is not there as the ledger has it; returns which were written."""
    written = []
    for receipt in expected(room).values():
        path = receipt_path(room.workspace, receipt.package)
        if not _holds(path, receipt):
            write_atomically(path, receipt.as_bytes())
            written.append(path)
    return written


def problems(room: Room) -> list[str]:
    """Every receipt that is not, to the byte, what the ledger says of its package, in words that name it."""
    wanted, found = expected(room), []
    for package, receipt in wanted.items():
        path = receipt_path(room.workspace, package)
        if not path.exists():
            found.append(f"receipt {path.stem[:12]}: it is missing; `pilotplant factory admit` writes it again")
        elif not _holds(path, receipt):
            found.append(f"receipt {path.stem[:12]}: it was changed after it was written ({path.name})")
    known = {receipt_path(room.workspace, package) for package in wanted}
    strangers = sorted(set(receipts_folder(room.workspace).glob("[!.]*")) - known)
    return found + [f"receipt {path.name}: the Factory's ledger knows nothing of it" for path in strangers]


def expected(room: Room) -> dict[str, Receipt]:
    """By package, the receipt that follows from the last entry on it: once admitted it stays admitted."""
    with room.read() as connection:
        told = legible(connection, room.entries_table, kinds=[ADMITTED, REFUSED])
    found: dict[str, Receipt] = {}
    for receipt in _each(told, room.workspace):
        before = found.get(receipt.package)
        if before is None or before.outcome == "refused":
            found[receipt.package] = receipt
    return found


def _each(told: list[Entry], workspace: Workspace) -> Iterator[Receipt]:
    """A receipt for each entry on a package; an entry that says something else is `pilotplant verify`'s to name."""
    for entry in told:
        common: dict[str, Any] = {"workspace": workspace.id, "mode": workspace.mode, "at": entry.at}
        common["ledger"] = {"seq": entry.seq, "hash": entry.hash}
        with suppress(PilotPlantError, KeyError, ValueError, TypeError):
            if entry.kind == ADMITTED:
                admitted = {name: entry.body[name] for name in ("package", "attestation")}
                yield Receipt(outcome="admitted", release=entry.subject, **admitted, **common)
            elif _PACKAGE.fullmatch(entry.subject):
                reasons = tuple(entry.body["reasons"])
                yield Receipt(package=PREFIX + entry.subject, outcome="refused", reasons=reasons, **common)


def _holds(path: Path, receipt: Receipt) -> bool:
    try:
        return path.read_bytes() == receipt.as_bytes()
    except OSError:
        return False
