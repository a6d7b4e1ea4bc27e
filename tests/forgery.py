"""Forgery: what somebody with a hand on a room's files can do to them, and to the ledger in its database."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

from shared.core.digests import digest_bytes
from shared.state.chain import GENESIS, entry_hash

# What a table of the long tests calls them.
FLIPPED = "files, each at start, middle and end"


def flipped(path: Path) -> Iterator[int]:
    """The file with one bit changed at its start, in its middle and at its end, one after the other; where it is."""
    sound = path.read_bytes()
    try:
        for position in sorted({0, len(sound) // 2, len(sound) - 1}):
            path.write_bytes(sound[:position] + bytes([sound[position] ^ 1]) + sound[position + 1 :])
            yield position
    finally:
        path.write_bytes(sound)


def rewrite(connection: sqlite3.Connection, said: Callable[[int, str], str | None]) -> None:
    """Changes the time of the entries of which `said`, asked by number and kind, names another; rehashes everything."""
    rows = connection.execute("SELECT seq, at, kind, subject, body FROM ledger ORDER BY seq").fetchall()
    prev = GENESIS
    with connection:
        connection.execute("DELETE FROM ledger")
        for seq, at, kind, subject, body in rows:
            moment = said(seq, kind) or at
            digest = digest_bytes(body.encode())
            fresh = entry_hash(seq=seq, at=moment, kind=kind, subject=subject, body=digest, prev=prev)
            connection.execute(
                "INSERT INTO ledger (seq, at, kind, subject, body, prev, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
                (seq, moment, kind, subject, body, prev, fresh),
            )
            prev = fresh
