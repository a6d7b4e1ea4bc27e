"""Forgery: what somebody with a hand on a room's database can do to its ledger."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

from shared.digests import digest_bytes
from shared.ledger import GENESIS, entry_hash


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
