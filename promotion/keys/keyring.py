"""The keyring: every key that was ever enrolled, with the moments from and to which the gate's ledger lets it count."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from shared.core.clock import parse_rfc3339
from shared.core.errors import PilotPlantError
from shared.state.chain import Entry
from shared.state.workspace import Mode, Workspace
from shared.trust.keys import PublicKey, Role, record_bytes, record_name, write_public
from shared.trust.passkey import Passkey

ENROLLED = "enrolled"
REVOKED = "revoked"
# The entries that say of keys.
KEY_KINDS = (ENROLLED, REVOKED)


@dataclass(frozen=True, slots=True)
class Keyring:
    """Every enrolled key by name, the first one first; the last of a name is the one that signs now.

    Attributes:
        reasons: why a key was revoked, by its id.
    """

    keys: dict[str, tuple[PublicKey, ...]]
    reasons: dict[str, str]

    def current(self, name: str) -> PublicKey | None:
        """The key with which a name signs now, revoked or not; None where none was enrolled."""
        held = self.keys.get(name)
        return held[-1] if held else None

    def every(self) -> tuple[PublicKey, ...]:
        """All keys."""
        return tuple(key for held in self.keys.values() for key in held)


def keyring(entries: Iterable[Entry], workspace: Workspace) -> Keyring:
    """What the ledger says of keys; an entry that cannot be read says nothing here, and `promote verify` names it."""
    return ring_of(entries, workspace.mode)


def ring_of(entries: Iterable[Entry], mode: Mode) -> Keyring:
    """The same of the ledger of any workspace of that mode."""
    ring = Keyring({}, {})
    for entry in entries:
        try:
            if entry.kind == ENROLLED:
                _enrol(ring, entry, mode)
            elif entry.kind == REVOKED:
                _revoke(ring, entry)
        except (PilotPlantError, KeyError, ValueError, TypeError):
            continue
    return ring


def recorded_ring(entries: Iterable[Entry], workspace: Workspace) -> Keyring:
    """The same, without keys whose public record is not, to the byte, what the ledger says of them.

    A record and its entry are written by one command. Whoever writes an entry alone enrols nobody.
    """
    ring = keyring(entries, workspace)
    expected = {key.key_id: stem for name in ring.keys for stem, key in records(ring, name).items()}

    def is_recorded(key: PublicKey) -> bool:
        try:
            return (keys_folder(workspace) / f"{expected[key.key_id]}.yaml").read_bytes() == record_bytes(key)
        except OSError:
            return False

    kept = {name: tuple(key for key in held if is_recorded(key)) for name, held in ring.keys.items()}
    return Keyring({name: held for name, held in kept.items() if held}, ring.reasons)


def lay_out(workspace: Workspace, ring: Keyring) -> None:
    """Writes the public record of every key of the ring, as the ledger has it."""
    for name in ring.keys:
        for stem, key in records(ring, name).items():
            write_public(keys_folder(workspace), key, stem=stem)


def keys_folder(workspace: Workspace) -> Path:
    """Where the gate keeps the public records of enrolled keys."""
    return workspace.promotion / "keys"


def records(ring: Keyring, name: str) -> dict[str, PublicKey]:
    """The records of a name's keys by file stem: the current key has the name, one that ended has its id as well."""
    *ended, last = ring.keys[name]
    return {record_name(key): key for key in ended} | {name: last}


def _enrol(ring: Keyring, entry: Entry, mode: Mode) -> None:
    body, name = entry.body, entry.subject
    role: Role = body["role"]
    parse_rfc3339(entry.at)
    *ended, last = ring.keys.get(name, (None,))
    # The clock of a rehearsal may be set to before its first keys were made.
    since = None if mode == "rehearsal" and last is None and body.get("undated") is True else entry.at
    key = PublicKey(
        name=name,
        role=role,
        mode=mode,
        key_id=body["key_id"],
        public=body["public"],
        passkey=Passkey.model_validate(body["passkey"]) if "passkey" in body else None,
        valid_from=since,
    )
    # A key ends at the very moment from which the next one counts.
    before = () if last is None else (*ended, last.model_copy(update={"ends": entry.at}))
    ring.keys[name] = (*(one for one in before if one is not None), key)


def _revoke(ring: Keyring, entry: Entry) -> None:
    key_id, since = entry.body["key_id"], entry.body.get("since") or entry.at
    moment = parse_rfc3339(since)
    held = []
    for key in ring.keys[entry.subject]:
        earlier = key.revoked_since is None or moment < parse_rfc3339(key.revoked_since)
        held.append(key.model_copy(update={"revoked_since": since}) if key.key_id == key_id and earlier else key)
    ring.keys[entry.subject] = tuple(held)
    ring.reasons[key_id] = str(entry.body["reason"])
