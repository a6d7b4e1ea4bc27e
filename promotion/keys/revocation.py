"""Revocation: from a moment on a key counts no more, and the ledger says since when and why."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from promotion.keys.keyring import KEY_KINDS, REVOKED, Keyring, keyring, lay_out
from promotion.state import open_promotion
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.crashpoints import Point, reach
from shared.core.errors import BadInput, Refused
from shared.state import ledger
from shared.state.order import OutOfOrder
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.keys import PublicKey

PREFIX_MIN = 8


@dataclass(frozen=True, slots=True)
class Revoked:
    """A revoked key, why, and whether the same had been said before."""

    key: PublicKey
    reason: str
    repeated: bool


def revoke(workspace: Workspace, key_id: str, reason: str, *, since: datetime | None = None) -> Revoked:
    """Revokes a key from `since` on, or from now; said again for the same key it may only move further back.

    Raises BadInput for an id that is not known, a moment that is still to come or no reason, and Refused where the key
    is revoked already, and since no later a moment or for another reason.
    """
    if not reason.strip():
        raise BadInput("why is the key revoked?", where="--reason", remedy='add --reason "the laptop was stolen"')
    room = open_promotion(workspace)
    if since is not None and since > room.now():
        raise BadInput("this moment is still to come", where="--since", expected=f"no later than {rfc3339(room.now())}")
    with room.transaction() as connection:
        ring = keyring(ledger.entries(connection, room.entries_table, kinds=KEY_KINDS), workspace)
        key = _named(ring, key_id)
        repeated = _is_said(ring, key, reason, since)
        if not repeated:
            body = {"key_id": key.key_id, "reason": reason}
            since = since or _behind(room, connection)
            room.write(connection, REVOKED, key.name, body | ({"since": rfc3339(since)} if since else {}), halts=True)
            reach(Point.REVOKE_WRITTEN)
    reach(Point.REVOKE_RECORDED)
    ring = keyring(room.entries(kinds=KEY_KINDS), workspace)
    lay_out(workspace, Keyring({key.name: ring.keys[key.name]}, {}))
    return Revoked(_named(ring, key.key_id), reason, repeated)


def _behind(room: Room, connection: sa.Connection) -> datetime | None:
    """The clock's time where it is behind the ledger, whose own moment would let the key count until then."""
    try:
        room.moment(connection)
    except OutOfOrder:
        return room.now()
    return None


def _named(ring: Keyring, key_id: str) -> PublicKey:
    found = [key for key in ring.every() if key.key_id.startswith(key_id)]
    known = ", ".join(f"{key.key_id[:12]} ({key.name})" for key in ring.every())
    if len(key_id) < PREFIX_MIN or len(found) != 1:
        raise BadInput(
            f"no enrolled key is known as {key_id}",
            where="KEY_ID",
            expected=f"one of: {known or '(none yet)'}",
            remedy=f"give its id, or at least the first {PREFIX_MIN} characters of it",
        )
    return found[0]


def _is_said(ring: Keyring, key: PublicKey, reason: str, since: datetime | None) -> bool:
    """Whether this was said before; raises Refused where something else was."""
    if key.revoked_since is None:
        return False
    before = parse_rfc3339(key.revoked_since)
    if since is not None and since < before:
        return False
    if reason == ring.reasons[key.key_id] and since in {None, before}:
        return True
    raise Refused(
        f"the key {key.key_id[:12]} of {key.name} is revoked already, since {key.revoked_since}: "
        f"{ring.reasons[key.key_id]}",
        where=f"key {key.key_id}",
        expected="an earlier --since, or the same once more",
        remedy="a revoked key never counts again; a new one is made with "
        f"`pilotplant promote enrol {key.name} --rotate`",
    )
