"""A room's state: its database with its ledger, whose first entry says which workspace and mode it is of.

Beside the database lies a mark with the hash of that entry: it tells a database that is new from one that was emptied,
or that another one took the place of.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from shared.core.digests import canonical
from shared.core.errors import Refused
from shared.core.files import write_atomically
from shared.state import ledger, order
from shared.state.chain import End, Entry, Head
from shared.state.db import connect, is_empty, is_prepared, make_tables, reading, shown, writing
from shared.state.order import BEGUN, CORRECTED, Corrections, OutOfOrder, dated, moment_of
from shared.state.provision import rights_over_ledger
from shared.state.workspace import Workspace

GENESIS_KIND = "opened"
MARK = "ledger.json"
# What a room writes only once its ledger is begun: it tells of earlier life where there is no mark, as in a workspace
# that an earlier build made.
_LIFE = {
    "lab": ("pilots/*", "snapshot-users/*"),
    "promotion": ("attestations/*",),
    "factory": ("receipts/*", "outgoing/*", "permits/*"),
}


@dataclass(frozen=True, slots=True)
class Room:
    """An open room.

    Attributes:
        name: lab, promotion or factory.
        workspace: whose room it is.
        engine: its database.
        entries_table: its ledger.
        corrections: what knows corrections of the clock, which are signed.
    """

    name: str
    workspace: Workspace
    engine: sa.Engine
    entries_table: sa.Table
    corrections: Corrections

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One unit of work, and no other at the same time: everything inside is kept, or nothing."""
        with writing(self.engine) as connection:
            yield connection

    @contextmanager
    def read(self) -> Iterator[sa.Connection]:
        """A look at the database as it is now, for which nobody waits; nothing can be written in it."""
        with reading(self.engine) as connection:
            yield connection

    def write(
        self,
        connection: sa.Connection,
        kind: str,
        subject: str,
        body: dict[str, Any],
        *,
        at: datetime | None = None,
        halts: bool = False,
    ) -> Head:
        """Adds an entry to the ledger within the transaction, `at` a moment that `moment` has told or now.

        What `halts` something is written whatever the clock shows, at the moment of the entry before it. Raises
        OutOfOrder where anything else would be earlier than that.
        """
        if self.workspace.mode == "live" and kind != GENESIS_KIND:
            at = self._in_order(connection, at, halts=halts)
            if not ledger.has_kind(connection, self.entries_table, BEGUN):
                self._append(connection, BEGUN, self.name, {}, at)
        return self._append(connection, kind, subject, body, at or self.now())

    def moment(self, connection: sa.Connection) -> datetime:
        """The time of what is written within the transaction: the clock's, and in a live workspace in order.

        A correction of the clock that two persons have signed is taken where it is needed. Raises OutOfOrder where the
        clock is behind the last entry and there is none.
        """
        if self.workspace.mode == "rehearsal":
            return self.now()
        now, last = self.now(), ledger.last(connection, self.entries_table)
        try:
            return dated(now, last, self._ledger)
        except OutOfOrder:
            if not self._corrected(connection, now):
                raise
            return now

    def _in_order(self, connection: sa.Connection, at: datetime | None, *, halts: bool) -> datetime:
        last = ledger.last(connection, self.entries_table)
        try:
            return self.moment(connection) if at is None else dated(at, last, self._ledger)
        except OutOfOrder:
            if not halts or last is None:
                raise
            return moment_of(last, self._ledger)

    def _corrected(self, connection: sa.Connection, now: datetime) -> bool:
        """Whether a correction of the clock was there to be taken, and was."""
        body = self.corrections.due(
            self.workspace, self.name, lambda: ledger.entries(connection, self.entries_table), now
        )
        if body is not None:
            self._append(connection, CORRECTED, self.name, body, now)
        return body is not None

    def _append(self, connection: sa.Connection, kind: str, subject: str, body: dict[str, Any], at: datetime) -> Head:
        return ledger.append(connection, self.entries_table, at=at, kind=kind, subject=subject, body=body)

    @property
    def _ledger(self) -> str:
        return f"the {self.name} ledger"

    def head(self, connection: sa.Connection) -> Head:
        """The ledger's present end."""
        return ledger.head(connection, self.entries_table)

    def end(self) -> End | None:
        """The ledger's last entry; None for an empty one."""
        with self.read() as connection:
            dated = ledger.last(connection, self.entries_table)
            return None if dated is None else End(self.head(connection), dated)

    def entries(self, subject: str | None = None, *, kinds: Collection[str] = ()) -> list[Entry]:
        """The ledger's entries, of one subject and some kinds or of all."""
        with self.read() as connection:
            return ledger.entries(connection, self.entries_table, subject=subject, kinds=kinds)

    def latest(self, subject: str, *kinds: str) -> Entry | None:
        """The last of a subject's entries that is of one of these kinds; None where there is none."""
        with self.read() as connection:
            return ledger.latest(connection, self.entries_table, subject, *kinds)

    def problems(self, witnesses: tuple[Head, ...] = ()) -> list[str]:
        """Everything wrong with the ledger: its chain (`ledger.problems`), and, live, its order of time."""
        with self.read() as connection:
            found = ledger.problems(connection, self.entries_table, name=self._ledger, witnesses=witnesses)
            if self.workspace.mode == "live":
                found += order.problems(ledger.dates(connection, self.entries_table), self._ledger)
                found += self._false_corrections(connection)
        return found

    def _false_corrections(self, connection: sa.Connection) -> list[str]:
        """Entries by which time goes on from another moment, and which nobody could sign."""
        if not ledger.has_kind(connection, self.entries_table, CORRECTED):
            return []
        chain = ledger.legible(connection, self.entries_table)
        asked = [(number, entry) for number, entry in enumerate(chain) if entry.kind == CORRECTED]
        judged = (
            (entry, self.corrections.problem(entry, chain[:number], self.workspace, self.name))
            for number, entry in asked
        )
        return [
            f"{self._ledger}: entry {entry.seq} corrects the clock, and {wrong}" for entry, wrong in judged if wrong
        ]

    def now(self) -> datetime:
        """The workspace's time."""
        return self.workspace.clock.now()


def open_room(
    name: str, workspace: Workspace, url: str, metadata: sa.MetaData, *, version: int, corrections: Corrections
) -> Room:
    """The room with its tables, and its ledger begun.

    Raises Refused where the ledger is another workspace's or room's, was emptied or replaced, or is a live one that its
    own role may change.
    """
    mark, engine = workspace.root / "var" / name / MARK, connect(url, workspace.root)
    begun, lived = _begun(mark), has_lived(name, workspace)
    if not is_prepared(engine, metadata, version=version):
        if lived and is_empty(engine):
            raise _emptied(name, engine)
        with writing(engine) as connection:
            make_tables(connection, metadata, version=version)
    room = Room(name, workspace, engine, metadata.tables[ledger.LEDGER], corrections)
    with room.read() as connection:
        # A live ledger is worth what nobody who writes to it can take back.
        asked = engine.dialect.name == "postgresql" and workspace.mode == "live"
        if asked and (rights := rights_over_ledger(connection)):
            raise Refused(
                f"the role that opens the {name} room could change its ledger: by {', '.join(rights)}",
                where=shown(engine),
                expected="a role with SELECT and INSERT on the ledger, and no more",
                remedy="name such a role in configs/, and have the owner run: "
                "pilotplant init-database ROOM --role ROLE",
            )
        first = _first_entry(room, connection, begun)
    if first is None:
        with room.transaction() as connection:
            first = _first_entry(room, connection, begun) or _begin_ledger(room, connection, lived=lived)
    if first != begun:
        # A disk that takes no mark now takes it with a later command.
        with suppress(OSError):
            write_atomically(mark, json.dumps({"schema_version": 1, "first": first}) + "\n")
    return room


def has_lived(name: str, workspace: Workspace) -> bool:
    """Whether what lies in a room's folder says that it had a ledger."""
    folder = workspace.root / "var" / name
    return _begun(folder / MARK) is not None or any(any(folder.glob(pattern)) for pattern in _LIFE[name])


def _begin_ledger(room: Room, connection: sa.Connection, *, lived: bool) -> str:
    """Writes the ledger's first entry, and returns its hash; raises Refused where the room is not new."""
    # Writing a new beginning behind what is left of a ledger would make its loss look like its growth.
    if room.head(connection).seq:
        raise Refused(
            f"the {room.name} ledger has lost its first entry",
            where=str(room.workspace.root),
            remedy="restore the database from a backup",
        )
    if lived:
        raise _emptied(room.name, room.engine)
    return room.write(connection, GENESIS_KIND, room.name, room.workspace.genesis()).hash


def _first_entry(room: Room, connection: sa.Connection, begun: str | None) -> str | None:
    """The hash of the ledger's first entry, which is of this room and workspace; None where there is none yet."""
    name, workspace, table = room.name, room.workspace, room.entries_table
    columns = (table.c.subject, table.c.body, table.c.hash)
    first = connection.execute(sa.select(*columns).where(table.c.seq == 1)).one_or_none()
    if first is None:
        return None
    if first.body != canonical(workspace.genesis()).decode():
        raise Refused(
            f"the {name} ledger was begun in another workspace or mode: {first.body}",
            where=str(workspace.root),
            expected=canonical(workspace.genesis()).decode(),
            remedy="restore workspace.json; a workspace is live or rehearsal for ever",
        )
    if first.subject != name:
        raise Refused(
            f"this is the database of another room: its ledger was begun by `{first.subject}`",
            where=shown(room.engine),
            expected=f"a database of the room `{name}` alone",
            remedy="give each room its own in configs/lab.yaml, gate.yaml and factory.yaml",
        )
    if begun not in {None, first.hash}:
        raise Refused(
            f"the {name} database was replaced: its ledger is not the one that was begun here",
            where=shown(room.engine),
            expected=f"a ledger whose first entry has the hash {begun}, as var/{name}/{MARK} says",
            remedy="restore the database from a backup",
        )
    return str(first.hash)


def _begun(mark: Path) -> str | None:
    """The hash of the first entry that the room's ledger was begun with; None where no mark says it."""
    try:
        first = json.loads(mark.read_bytes())["first"]
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return None
    return first if isinstance(first, str) else None


def _emptied(name: str, engine: sa.Engine) -> Refused:
    return Refused(
        f"the {name} database was emptied: it holds no ledger, and this room had one",
        where=shown(engine),
        expected="the database that the room has worked with so far",
        remedy="restore it from a backup; a new one would forget all that was promised, decided and stopped",
    )
