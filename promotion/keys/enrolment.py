"""Enrolment: the gate makes or takes the keys of decision owners, and its own; one key takes another's place."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from promotion.keys.keyring import ENROLLED, KEY_KINDS, Keyring, keyring, keys_folder, lay_out
from promotion.state import open_promotion
from shared.core.crashpoints import Point, reach
from shared.core.errors import BadInput, Refused
from shared.core.yamlfile import read_yaml
from shared.experiment.people import read_people
from shared.state import ledger
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.keys import FACTORY, GATE, KeyStore, PublicKey, Role
from shared.trust.passkey import key_id_of, read_registration
from shared.trust.preflight import public_key_path

# Whoever has another name is a person, and enrolled as an owner.
_ROLES: dict[str, Role] = {GATE: "gate", FACTORY: "factory"}


@dataclass(frozen=True, slots=True)
class Enrolled:
    """An enrolled key, and whether it had been enrolled before.

    Attributes:
        replaces: the id of the key whose place it took now; None where there was none.
    """

    key: PublicKey
    file: Path
    repeated: bool
    replaces: str | None = None


@dataclass(frozen=True, slots=True)
class PasskeyFile:
    """A passkey that a browser registered, and the site that it has to be for.

    Attributes:
        file: `{"challenge": …, "credential": …}`, as the browser gave it.
        origins: the pages on which its owner will sign.
    """

    file: Path
    rp_id: str
    origins: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Given:
    """A key that was made elsewhere, and what the ledger keeps of it beside its record."""

    key: PublicKey
    kept: dict[str, Any]


def enrol(
    workspace: Workspace,
    name: str,
    *,
    passphrase: str | None = None,
    public: Path | None = None,
    passkey: PasskeyFile | None = None,
    rotate: bool = False,
    undated: bool = False,
) -> Enrolled:
    """Enrols a person's key, or the gate's own: a new pair, a public record made elsewhere, or a person's passkey.

    With `rotate` the new key takes the place of the enrolled one, which ends at that moment. `undated` is for the first
    key of a name in a rehearsal, and has it count whatever the clock is set to. The Factory makes its key
    itself; the gate takes the public record that the Factory has laid out, or `public`. Raises BadInput for somebody
    who is not in people.yaml, Refused where another key is enrolled for the name and `rotate` is not said.
    """
    room = open_promotion(workspace)
    store = KeyStore(workspace, passphrase)
    undated = undated and workspace.mode == "rehearsal"
    return _enrol(room, name, store, public, passkey, rotate=rotate, undated=undated)


def _enrol(
    room: Room,
    name: str,
    store: KeyStore,
    public: Path | None,
    passkey: PasskeyFile | None,
    *,
    rotate: bool,
    undated: bool,
) -> Enrolled:
    workspace = room.workspace
    role = _ROLES.get(name, "owner")
    _require_one_way(role, public, passkey)
    if role == "factory":
        public = public or _laid_out(workspace)
    if role == "owner":
        name = read_people(workspace).get(name).email
    held = keyring(room.entries(kinds=KEY_KINDS), workspace).keys.get(name, ())
    before = held[-1] if held else None
    given = None if public is None else _Given(_given(workspace, public, name, role), {})
    if passkey is not None:
        given = _registered(workspace, passkey, name)
    if rotate:
        if before is None:
            raise Refused(
                f"no key is enrolled for {name} whose place another could take",
                where=str(keys_folder(workspace)),
                remedy=f"pilotplant promote enrol {name}",
            )
        return _rotate(room, store, before, given)
    if before is None:
        # A pair that was made, and not enrolled before the power went, is taken as it is.
        key = given.key if given else store.public(name, role) if store.has(name) else store.create(name, role)
    else:
        _finish(store, before)
        key = given.key if given else before
    _require_the_same(workspace, name, held, key)
    kept = (given.kept if given else {}) | ({"undated": True} if undated else {})
    return _enrolled(room, key, repeated=before is not None, kept=kept)


def find_key(workspace: Workspace, name: str) -> PublicKey | None:
    """The enrolled key of a name as its record has it, or None."""
    path = keys_folder(workspace) / f"{name}.yaml"
    return read_yaml(path, PublicKey) if path.exists() else None


def enrolled_key(workspace: Workspace, name: str) -> PublicKey:
    """The key with which a name signs now.

    Raises Refused where there is none, where its record is not what the ledger has, or where it is revoked.
    """
    key, ring = find_key(workspace, name), keyring(open_promotion(workspace).entries(kinds=KEY_KINDS), workspace)
    if key is None:
        raise Refused(
            f"no key is enrolled for {name}",
            where=str(keys_folder(workspace)),
            remedy=f"pilotplant promote enrol {name}",
        )
    current = ring.current(name)
    if current is not None and current.revoked_since is not None:
        raise Refused(
            f"the key of {name} is revoked since {current.revoked_since}: {ring.reasons[current.key_id]}",
            where=f"key {current.key_id}",
            expected="a key that counts now",
            remedy=f"make another one: pilotplant promote enrol {name} --rotate",
        )
    if current != key:
        raise Refused(
            f"the record of the key of {name} was changed after it was enrolled",
            where=str(keys_folder(workspace) / f"{name}.yaml"),
            remedy="look: pilotplant promote verify",
        )
    return key


def _rotate(room: Room, store: KeyStore, before: PublicKey, given: _Given | None) -> Enrolled:
    """The new key in the place of `before`; one whose rotation was cut off is finished, and no other is made."""
    name = before.name
    if (given is not None and given.key.key_id == before.key_id) or _finish(store, before):
        return _enrolled(room, before, repeated=True)
    if given is not None:
        key = given.key
    else:
        key = store.next(name, before.role) if store.has_next(name) else store.create(name, before.role, as_next=True)
    _write(room, key, {"replaces": before.key_id, **(given.kept if given else {})})
    reach(Point.ROTATE_RECORDED)
    if given is None:
        store.settle_next(name)
    return _enrolled(room, key, repeated=False, replaces=before.key_id)


def _finish(store: KeyStore, current: PublicKey) -> bool:
    """Puts the private half of a key that has taken another's place where it belongs; says whether that was due."""
    if not store.has_next(current.name) or store.next(current.name, current.role).key_id != current.key_id:
        return False
    store.settle_next(current.name)
    return True


def _require_the_same(workspace: Workspace, name: str, held: tuple[PublicKey, ...], key: PublicKey) -> None:
    """Raises Refused for another key than the name's last one, or where its record is of a key that it never had."""
    record = find_key(workspace, name)
    known = {one.key_id for one in held}
    others = [one.key_id for one in held[-1:] if one.key_id != key.key_id]
    if record is not None and record.key_id not in known | {key.key_id}:
        others.append(record.key_id)
    if others:
        raise Refused(
            f"another key is enrolled for {name} ({others[0][:12]}…)",
            where=str(keys_folder(workspace) / f"{name}.yaml"),
            remedy=f"sign with that key; a new one takes its place with `pilotplant promote enrol {name} --rotate`",
        )


def _enrolled(
    room: Room, key: PublicKey, *, repeated: bool, replaces: str | None = None, kept: dict[str, Any] | None = None
) -> Enrolled:
    ring = keyring(room.entries(kinds=KEY_KINDS), room.workspace)
    if ring.current(key.name) is None:
        _write(room, key, kept or {})
        ring = keyring(room.entries(kinds=KEY_KINDS), room.workspace)
    lay_out(room.workspace, Keyring({key.name: ring.keys[key.name]}, {}))
    current = ring.keys[key.name][-1]
    return Enrolled(current, keys_folder(room.workspace) / f"{key.name}.yaml", repeated, replaces)


def _write(room: Room, key: PublicKey, more: dict[str, Any]) -> None:
    with room.transaction() as connection:
        known = keyring(ledger.entries(connection, room.entries_table, kinds=KEY_KINDS), room.workspace)
        # One passkey has another id for each site that it is enrolled for.
        if any(key.public == one.public for one in known.every()):
            raise Refused(
                f"the key {key.key_id[:12]}… was enrolled before",
                where=f"the key of {key.name}",
                expected="a key that nobody has signed with",
                remedy=f"make a new one: pilotplant promote enrol {key.name} --rotate",
            )
        body: dict[str, Any] = {"key_id": key.key_id, "role": key.role, "public": key.public}
        if key.passkey is not None:
            body["passkey"] = key.passkey.model_dump(mode="json")
        room.write(connection, ENROLLED, key.name, body | more)


def _require_one_way(role: Role, public: Path | None, passkey: PasskeyFile | None) -> None:
    """Raises BadInput where a key is given in two ways, or a passkey for what is no person."""
    if passkey is None:
        return
    if public is not None:
        raise BadInput("one key is enrolled at a time", where="--public", remedy="leave --public or --passkey away")
    if role != "owner":
        raise BadInput(
            f"a passkey is a person's: the {role} signs where nobody can touch an authenticator",
            where="--passkey",
            remedy=f"leave it away, and have the {role} make a key",
        )


def _registered(workspace: Workspace, passkey: PasskeyFile, name: str) -> _Given:
    try:
        raw = passkey.file.read_bytes()
    except OSError as error:
        raise BadInput("the registration cannot be read", where=str(passkey.file), expected="a file") from error
    found = read_registration(raw, passkey.rp_id, passkey.origins, where=str(passkey.file))
    key = PublicKey(
        name=name,
        role="owner",
        mode=workspace.mode,
        key_id=key_id_of(found.public, found.passkey),
        public=found.public,
        passkey=found.passkey,
    )
    return _Given(key, {"sign_count": found.sign_count})


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
