"""Pseudonyms: HMAC-SHA-256 of an identity under a key that one room alone holds, its first 128 bits.

The Factory makes the Lab's units of its customers' ids; the Lab makes of what should not have come what it can keep.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from pathlib import Path

import sqlalchemy as sa

from shared.core.digests import digest_bytes
from shared.core.errors import BadInput, Refused
from shared.core.files import write_once
from shared.state.ledger import entries
from shared.state.room import Room

KEY_BYTES = 32
# HMAC pads its key to SHA-256's block (RFC 2104).
BLOCK_BYTES = 64
PREFIX = "u_"
PSEUDONYM_HEX = 32


def pseudonym(key: bytes, identity: str, prefix: str = PREFIX) -> str:
    """The pseudonym of one identity."""
    return prefix + hmac.new(key, identity.encode(), hashlib.sha256).hexdigest()[:PSEUDONYM_HEX]


def pseudonym_sql(key: bytes, column: str, prefix: str = PREFIX) -> str:
    """The DuckDB expression of `pseudonym` over a column's SQL."""
    padded = key.ljust(BLOCK_BYTES, b"\0")
    inner, outer = (bytes(byte ^ pad for byte in padded).hex() for pad in (0x36, 0x5C))
    text = f"encode(CAST({column} AS VARCHAR))"
    hashed = f"sha256(from_hex('{outer}') || from_hex(sha256(from_hex('{inner}') || {text})))"
    return f"CASE WHEN {column} IS NULL THEN NULL ELSE '{prefix}' || substr({hashed}, 1, {PSEUDONYM_HEX}) END"


def drawn_key(room: Room, path: Path, drawn: str, *, lost: str) -> bytes:
    """The key at `path`, drawn at its first use; the room's ledger keeps its digest in an entry of kind `drawn`.

    Raises Refused where the key is gone, or is not the one first used; `lost` says what that means.
    """
    with room.transaction() as connection:
        first_used = _first_used(room, connection, path.name, drawn)
    if first_used is None:
        write_once(path, secrets.token_hex(KEY_BYTES))
    elif not path.exists():
        raise _refusal("the pseudonym key is missing", path, first_used, lost)
    key = _read_key(path)
    digest = digest_bytes(key)
    if digest != (first_used or _remember(room, digest, path.name, drawn)):
        raise _refusal(f"the pseudonym key is another one: {digest}", path, first_used, lost)
    return key


def _read_key(path: Path) -> bytes:
    try:
        key = bytes.fromhex(path.read_text().strip())
    except ValueError as error:
        raise BadInput(
            "the pseudonym key is damaged", where=str(path), remedy="restore it from a backup; a new one would not fit"
        ) from error
    if len(key) != KEY_BYTES:
        raise BadInput("the pseudonym key is damaged", where=str(path), expected=f"{KEY_BYTES} bytes in hexadecimal")
    return key


def _first_used(room: Room, connection: sa.Connection, subject: str, drawn: str) -> str | None:
    """The digest of the key that was used first."""
    found = entries(connection, room.entries_table, subject=subject, kinds=[drawn])
    return str(found[0].body["digest"]) if found else None


def _remember(room: Room, digest: str, subject: str, drawn: str) -> str:
    """Writes the digest down unless another process has just done so; returns what the ledger has."""
    with room.transaction() as connection:
        known = _first_used(room, connection, subject, drawn)
        if known is None:
            room.write(connection, drawn, subject, {"digest": digest})
        return known or digest


def _refusal(what: str, path: Path, digest: str | None, lost: str) -> Refused:
    return Refused(
        what,
        where=str(path),
        expected=f"the key of digest {digest}" if digest else "the key that was used first",
        remedy=f"restore it from a backup; {lost}",
    )
