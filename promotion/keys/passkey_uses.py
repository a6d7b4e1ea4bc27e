"""Uses of passkeys: each answer counts on from the one before it, by the gate's ledger, where its authenticator counts.

A counter that does not go on is the one sign of a copied passkey (https://www.w3.org/TR/webauthn-2/#sctn-sign-counter).
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterable, Iterator, Sequence

import sqlalchemy as sa

from promotion.keys.keyring import ENROLLED, KEY_KINDS, recorded_ring
from shared.core.digests import digest_json
from shared.core.errors import Refused
from shared.state import ledger
from shared.state.chain import Entry
from shared.state.room import Room
from shared.trust.keys import PublicKey
from shared.trust.passkey import PART, Answer
from shared.trust.signed import Signed, verifies

# The entries that hold what persons have signed: proposals, second signatures and waivers.
SIGNED_KINDS = ("proposed", "seconded", "waived")


def backwards(entries: Iterable[Entry], keys: Sequence[PublicKey]) -> dict[str, str]:
    """By the digest of what a passkey among `keys` has signed: why its counter says that the passkey was copied.

    Entries in their order, those of `KEY_KINDS` and `SIGNED_KINDS`. A copy of an entry is no use, and neither is what
    does not verify: whoever writes entries alone moves nobody's counter.
    """
    passkeys = {key.key_id: key for key in keys if key.kind == "passkey"}
    last: dict[str, int] = {}
    found: dict[str, str] = {}
    seen: set[str] = set()
    for entry in entries if passkeys else ():
        if entry.kind == ENROLLED and entry.body.get("key_id") in passkeys:
            last[str(entry.body["key_id"])] = _at_enrolment(entry)
        for key, count, digest in _uses(entry, passkeys) if entry.kind in SIGNED_KINDS else ():
            if digest in seen:
                continue
            seen.add(digest)
            before = last.get(key.key_id, 0)
            if count <= before and (count, before) != (0, 0):
                found[digest] = (
                    f"the passkey of {key.name} had counted to {before} before, and says {count}: it may have been "
                    "copied"
                )
            last[key.key_id] = max(before, count)
    return found


def is_backwards(room: Room, signed: Signed) -> str | None:
    """Why the counter of a passkey that has signed a statement says that it was copied; None where it does not."""
    if not _by_passkey(signed):
        return None
    with room.read() as connection:
        return _told(connection, room).get(signed.digest)


def require_forward(connection: sa.Connection, room: Room, signed: Signed) -> None:
    """Raises Refused where a passkey has not counted on, or has signed this statement before.

    Asked within the transaction that records the statement, after it was written: a refusal undoes it.
    """
    if not _by_passkey(signed):
        return
    told = ledger.legible(connection, room.entries_table, kinds=SIGNED_KINDS)
    payload = signed.envelope.to_dict()["payload"]
    if sum(_payload(entry) == payload for entry in told) > 1:
        raise Refused(
            "this very statement was signed and recorded before, and something else has taken its place since",
            where=f"key {next(iter(signed.envelope.signatures))}",
            expected="an answer to a statement that is new",
            remedy="prepare the statement once more, and sign that",
        )
    reason = _told(connection, room).get(signed.digest)
    if reason is not None:
        raise Refused(
            reason,
            where=f"key {next(iter(signed.envelope.signatures))}",
            expected="a counter that has gone on since the last answer that the ledger has, or none",
            remedy="ask its owner which answers were theirs, then: pilotplant promote revoke KEY_ID, and enrol anew",
        )


def problems(entries: Iterable[Entry], keys: Sequence[PublicKey]) -> list[str]:
    """Every answer in the ledger whose counter did not go on."""
    return list(backwards(entries, keys).values())


def _told(connection: sa.Connection, room: Room) -> dict[str, str]:
    told = ledger.legible(connection, room.entries_table, kinds=(*KEY_KINDS, *SIGNED_KINDS))
    return backwards(told, recorded_ring(told, room.workspace).every())


def _by_passkey(signed: Signed) -> bool:
    return any(PART in one.unrecognized_fields for one in signed.envelope.signatures.values())


def _payload(entry: Entry) -> object:
    envelope = entry.body.get("envelope")
    return envelope.get("payload") if isinstance(envelope, dict) else None


def _at_enrolment(entry: Entry) -> int:
    count = entry.body.get("sign_count")
    return count if isinstance(count, int) else 0


def _uses(entry: Entry, passkeys: dict[str, PublicKey]) -> Iterator[tuple[PublicKey, int, str]]:
    """Each passkey's good signature in an entry, with its counter, and the digest of what it signed."""
    from securesystemslib.dsse import Envelope

    try:
        content = entry.body["envelope"]
        digest = digest_json(content)
        envelope = Envelope.from_dict({**content, "signatures": [dict(one) for one in content["signatures"]]})
        for key_id, signature in envelope.signatures.items():
            key = passkeys.get(key_id)
            if key is not None and verifies(envelope, key):
                data = b64decode(signature.unrecognized_fields[PART]["authenticator_data"])
                yield key, Answer("", data, b"", b"").sign_count, digest
    except (ValueError, KeyError, TypeError, AttributeError):
        return  # a damaged entry is `promote verify`'s to name
