"""Enrolment: the Factory makes the key that signs its reports, and lays its public half where others find it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from factory.state.room import open_factory
from shared.core.errors import Refused
from shared.state.workspace import Workspace
from shared.trust.keys import FACTORY, KeyStore, PublicKey, read_public, write_public
from shared.trust.preflight import public_key_path

ENROLLED = "enrolled"


@dataclass(frozen=True, slots=True)
class FactoryKey:
    """The Factory's key, the file of its public half, and whether it had been made before."""

    key: PublicKey
    file: Path
    repeated: bool


def enrol_factory(workspace: Workspace, *, passphrase: str | None = None) -> FactoryKey:
    """The Factory's key, made at the first call; the ledger keeps its id.

    Raises Refused where the key at hand, or its public record, is another one than the ledger has.
    """
    room, path = open_factory(workspace), public_key_path(workspace)
    noted, before = room.latest(FACTORY, ENROLLED), find_key(workspace)
    known = str(noted.body["key_id"]) if noted else None
    if before is not None and before.key_id == known:
        return FactoryKey(before, path, repeated=True)
    store = KeyStore(workspace, passphrase)
    # A pair that was made, and not noted before the power went, is taken as it is; one that was noted is never remade.
    has_one = store.has(FACTORY) or known is not None
    key = store.public(FACTORY, "factory") if has_one else store.create(FACTORY, "factory")
    if known not in {None, key.key_id}:
        raise Refused(
            "the Factory's private key is not the one that its ledger has",
            where=str(store.folder),
            expected=f"key {known}",
            remedy="restore that key from a backup",
        )
    if known is None:
        with room.transaction() as connection:
            room.write(connection, ENROLLED, FACTORY, {"key_id": key.key_id, "role": key.role})
    return FactoryKey(key, write_public(path.parent, key), repeated=False)


def find_key(workspace: Workspace) -> PublicKey | None:
    """The public record of the Factory's key, or None."""
    return next((key for key in read_public(public_key_path(workspace).parent) if key.name == FACTORY), None)
