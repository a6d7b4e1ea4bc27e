"""The ledger: a room's append-only record, each entry chained to the one before by its hash."""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from shared.core.clock import rfc3339
from shared.core.digests import canonical, digest_bytes
from shared.state.chain import GENESIS, Dated, Entry, Head, Witness, entry_hash

LEDGER = "ledger"
# By what entries are asked for, other than all of them in order.
_INDEXES = {"ledger_by_kind": ("kind", "subject"), "ledger_by_subject": ("subject", "kind")}
# What SQLite's triggers refuse. INSERT OR REPLACE would delete a row without firing a trigger on deletion.
_REFUSED = {
    "ledger_no_update": "UPDATE ON ledger",
    "ledger_no_delete": "DELETE ON ledger",
    "ledger_no_replace": "INSERT ON ledger WHEN EXISTS"
    " (SELECT 1 FROM ledger WHERE seq >= NEW.seq OR prev = NEW.prev OR hash = NEW.hash)",
}


def ledger_table(metadata: sa.MetaData) -> sa.Table:
    """The ledger's table, with triggers that refuse every change but an addition at the end."""
    table = sa.Table(
        LEDGER,
        metadata,
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("at", sa.String, nullable=False),
        sa.Column("kind", sa.String, nullable=False),
        sa.Column("subject", sa.String, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("prev", sa.String, nullable=False, unique=True),
        sa.Column("hash", sa.String, nullable=False, unique=True),
    )
    for name, columns in _INDEXES.items():
        sa.Index(name, *(table.c[column] for column in columns))
    for name, event in _REFUSED.items():
        trigger = sa.DDL(f"CREATE TRIGGER {name} BEFORE {event} BEGIN SELECT RAISE(ABORT, 'append only'); END")  # type: ignore[no-untyped-call]
        sa.event.listen(table, "after_create", trigger.execute_if(dialect="sqlite"))
    return table


def append(
    connection: sa.Connection, table: sa.Table, *, at: datetime, kind: str, subject: str, body: dict[str, Any]
) -> Head:
    """Adds one entry inside the caller's transaction, so that record and state change together."""
    last, text = head(connection, table), canonical(body)
    seq, moment = last.seq + 1, rfc3339(at)
    hashed = entry_hash(seq=seq, at=moment, kind=kind, subject=subject, body=digest_bytes(text), prev=last.hash)
    row = {"seq": seq, "at": moment, "kind": kind, "subject": subject, "prev": last.hash, "hash": hashed}
    connection.execute(table.insert().values({**row, "body": text.decode()}))
    return Head(seq, hashed)


def head(connection: sa.Connection, table: sa.Table) -> Head:
    """The chain's present end."""
    row = connection.execute(sa.select(table.c.seq, table.c.hash).order_by(table.c.seq.desc()).limit(1)).first()
    return Head(row.seq, row.hash) if row else Head(0, GENESIS)


def dates(connection: sa.Connection, table: sa.Table) -> list[Dated]:
    """What of every entry the order of time is about, from the first to the last."""
    query = sa.select(table.c.seq, table.c.at, table.c.kind).order_by(table.c.seq)
    return [Dated(*row) for row in connection.execute(query)]


def last(connection: sa.Connection, table: sa.Table) -> Dated | None:
    """The same of the entry at the chain's present end; None for an empty one."""
    query = sa.select(table.c.seq, table.c.at, table.c.kind).order_by(table.c.seq.desc()).limit(1)
    row = connection.execute(query).first()
    return None if row is None else Dated(*row)


def latest(connection: sa.Connection, table: sa.Table, subject: str, *kinds: str) -> Entry | None:
    """The last entry of a subject that is of one of these kinds; None where there is none."""
    query = _of(table, subject, kinds).order_by(None).order_by(table.c.seq.desc()).limit(1)
    return next((_entry(row) for row in connection.execute(query)), None)


def has_kind(connection: sa.Connection, table: sa.Table, kind: str) -> bool:
    """Whether the ledger has an entry of a kind."""
    return connection.execute(sa.select(table.c.seq).where(table.c.kind == kind).limit(1)).first() is not None


def entries(
    connection: sa.Connection, table: sa.Table, *, subject: str | None = None, kinds: Collection[str] = ()
) -> list[Entry]:
    """The entries from the first to the last, of one subject and some kinds or of all; their hashes are not checked.

    An entry whose body is no object says nothing; `problems` names it.
    """
    return [_entry(row) for row in connection.execute(_of(table, subject, kinds))]


def _entry(row: Any) -> Entry:
    body = json.loads(row.body)
    return Entry(row.seq, row.at, row.kind, row.subject, body if isinstance(body, dict) else {}, row.prev, row.hash)


def legible(
    connection: sa.Connection, table: sa.Table, *, subject: str | None = None, kinds: Collection[str] = ()
) -> list[Entry]:
    """The same entries without those whose body cannot be read, which are `problems`' to name."""
    found = []
    for row in connection.execute(_of(table, subject, kinds)):
        try:
            body = json.loads(row.body)
        except (ValueError, TypeError, RecursionError):
            continue
        if isinstance(body, dict):
            found.append(Entry(row.seq, row.at, row.kind, row.subject, body, row.prev, row.hash))
    return found


def _of(table: sa.Table, subject: str | None, kinds: Collection[str]) -> sa.Select[Any]:
    query = sa.select(table).order_by(table.c.seq)
    if subject is not None:
        query = query.where(table.c.subject == subject)
    return query.where(table.c.kind.in_(kinds)) if kinds else query


def problems(connection: sa.Connection, table: sa.Table, *, name: str, witnesses: tuple[Head, ...] = ()) -> list[str]:
    """Everything wrong with a chain, in words that name the entry; an empty list means consistent.

    `witnesses` are heads seen from outside (in attestations or checkpoints): a chain that no longer
    contains one of them was cut or restored.
    """
    found: list[str] = []
    prev, seq, hashes = GENESIS, 0, {0: GENESIS}
    for row in connection.execute(sa.select(table).order_by(table.c.seq)):
        seq += 1
        if row.seq != seq:
            found.append(f"{name}: entry {seq} is missing")
            seq = row.seq
        if row.prev != prev:
            found.append(f"{name}: entry {row.seq} does not continue the one before it")
        if _recomputed(row) != row.hash:
            found.append(f"{name}: entry {row.seq} ({row.kind}) was changed after it was written")
        prev = hashes[row.seq] = row.hash
    missed = [witness for witness in witnesses if hashes.get(witness.seq) != witness.hash]
    for seen in missed:
        by = f" by {seen.by}" if isinstance(seen, Witness) and seen.by else ""
        found.append(f"{name}: entry {seen.seq} is not the one that was witnessed{by}; the chain was cut or replaced")
    return list(dict.fromkeys(found))


def _recomputed(row: Any) -> str | None:
    try:
        said = json.loads(row.body)
        if not isinstance(said, dict) or canonical(said).decode() != row.body:
            return None
        body = digest_bytes(row.body.encode())
        return entry_hash(seq=row.seq, at=row.at, kind=row.kind, subject=row.subject, body=body, prev=row.prev)
    except (ValueError, TypeError, RecursionError, AttributeError):
        # No content of ours: canonical JSON has no form for it.
        return None
