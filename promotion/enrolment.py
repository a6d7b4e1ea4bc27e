"""Enrolment: the gate makes or takes the keys of decision owners, and its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from promotion.state import open_promotion
from shared.errors import BadInput, Refused
from shared.keys import FACTORY, GATE, KeyStore, PublicKey, Role, read_public, write_public
from shared.people import read_people
from shared.preflight import public_key_path
from shared.room import Room
from shared.workspace import Workspace
from shared.yamlfile import read_yaml

ENROLLED = "enrolled"
# Whoever has another name is a person, and enrolled as an owner.
_ROLES: dict[str, Role] = {GATE: "gate", FACTORY: "factory"}


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An enrolled key, and whether it had been enrolled before."""

    key: PublicKey
    file: Path
    repeated: bool


def keys_folder(workspace: Workspace) -> Path:
    """Where the gate keeps the public records of enrolled keys."""
    return workspace.promotion / "keys"


def enrol(workspace: Workspace, name: str, *, passphrase: str | None = None, public: Path | None = None) -> Enrolled:
    """Enrols a person's key, or the gate's own: a new pair, or a public record made elsewhere.

    The Factory makes its key itself; the gate takes the public record that the Factory has laid out, or `public`.
    Raises BadInput for somebody who is not in people.yaml, Refused where another key is enrolled for the name.
    """
    room = open_promotion(workspace)
    role = _ROLES.get(name, "owner")
    if role == "factory":
        public = public or _laid_out(workspace)
    if role == "owner":
        read_people(workspace).get(name)
    before = find_key(workspace, name)
    store = KeyStore(workspace, passphrase)
    if public is not None:
        key = _given(workspace, public, name, role)
    elif before is not None:
        key = before
    else:
        # A pair that was made, and not enrolled before the power went, is taken as it is.
        key = store.public(name, role) if store.has(name) else store.create(name, role)
    # The ledger remembers a key whose record was lost or replaced.
    enrolled = enrolled_ids(room).get(name)
    if enrolled not in {None, key.key_id} or before not in {None, key}:
        raise Refused(
            f"another key is enrolled for {name} ({(enrolled or key.key_id)[:12]}…)",
            where=str(keys_folder(workspace) / f"{name}.yaml"),
            remedy="sign with that key",
        )
    _remember(room, key)
    return Enrolled(key, write_public(keys_folder(workspace), key), repeated=before is not None)


def find_key(workspace: Workspace, name: str) -> PublicKey | None:
    """The enrolled key of a name, or None."""
    return next((key for key in read_public(keys_folder(workspace)) if key.name == name), None)


def enrolled_key(workspace: Workspace, name: str) -> PublicKey:
    """The enrolled key of a name; raises Refused where there is none, or not the one that the ledger has."""
    key = find_key(workspace, name)
    if key is None:
        raise Refused(
            f"no key is enrolled for {name}",
            where=str(keys_folder(workspace)),
            remedy=f"pilotplant promote enrol {name}",
        )
    if enrolled_ids(open_promotion(workspace)).get(name) != key.key_id:
        raise Refused(
            f"the record of the key of {name} was changed after it was enrolled",
            where=str(keys_folder(workspace) / f"{name}.yaml"),
            remedy="look: pilotplant promote verify",
        )
    return key


def enrolled_ids(room: Room) -> dict[str, str]:
    """The id of each enrolled key by name, as the ledger has it."""
    return {entry.subject: str(entry.body["key_id"]) for entry in room.entries() if entry.kind == ENROLLED}


def _laid_out(workspace: Workspace) -> Path:
    """Where the Factory has put its public record; raises Refused where it has made no key yet."""
    path = public_key_path(workspace)
    if not path.exists():
        raise Refused(
            "the Factory has made no key yet",
            where=str(path),
            remedy="pilotplant factory enrol; or name the record of a Factory on another machine with --public",
        )
    return path


def _given(workspace: Workspace, path: Path, name: str, role: Role) -> PublicKey:
    key = read_yaml(path, PublicKey)
    key.verifier()
    if (key.name, key.role, key.mode) != (name, role, workspace.mode):
        raise BadInput(
            f"this is the key of {key.name} ({key.role}, {key.mode})",
            where=str(path),
            expected=f"a key of {name} ({role}, {workspace.mode})",
        )
    return key


def _remember(room: Room, key: PublicKey) -> None:
    if key.name in enrolled_ids(room):
        return
    with room.transaction() as connection:
        room.write(connection, ENROLLED, key.name, {"key_id": key.key_id, "role": key.role})
