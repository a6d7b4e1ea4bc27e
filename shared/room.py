"""A room's state: its database with its ledger, whose first entry says which workspace and mode it is of."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from shared import ledger
from shared.db import open_database, shown, translated
from shared.digests import canonical
from shared.errors import Refused
from shared.ledger import Entry, Head
from shared.provision import rights_over_ledger
from shared.workspace import Workspace

GENESIS_KIND = "opened"


@dataclass(frozen=True, slots=True)
class Room:
    """An open room.

    Attributes:
        name: lab, promotion or factory.
        workspace: whose room it is.
        engine: its database.
        entries_table: its ledger.
    """

    name: str
    workspace: Workspace
    engine: sa.Engine
    entries_table: sa.Table

    @contextmanager
    def transaction(self) -> Iterator[sa.Connection]:
        """One unit of work: everything inside is kept, or nothing."""
        with translated(self.engine), self.engine.begin() as connection:
            yield connection

    def write(
        self, connection: sa.Connection, kind: str, subject: str, body: dict[str, Any], *, at: datetime | None = None
    ) -> Head:
        """Adds an entry to the ledger within the transaction, `at` a moment already told to others or now."""
        moment = at or self.now()
        return ledger.append(connection, self.entries_table, at=moment, kind=kind, subject=subject, body=body)

    def head(self, connection: sa.Connection) -> Head:
        """The ledger's present end."""
        return ledger.head(connection, self.entries_table)

    def entries(self, subject: str | None = None) -> list[Entry]:
        """The ledger's entries, of one subject or all."""
        with self.transaction() as connection:
            return ledger.entries(connection, self.entries_table, subject=subject)

    def problems(self, witnesses: tuple[Head, ...] = ()) -> list[str]:
        """Everything wrong with the ledger; see `shared.ledger.problems`."""
        with self.transaction() as connection:
            return ledger.problems(connection, self.entries_table, name=f"the {self.name} ledger", witnesses=witnesses)

    def now(self) -> datetime:
        """The workspace's time."""
        return self.workspace.clock.now()


def open_room(name: str, workspace: Workspace, url: str, metadata: sa.MetaData, *, version: int) -> Room:
    """The room with its tables, and its ledger begun.

    Raises Refused where the ledger is another workspace's or room's, or a live one that its own role may change.
    """
    engine = open_database(url, workspace.root, metadata, version=version)
    room = Room(name, workspace, engine, metadata.tables["ledger"])
    with room.transaction() as connection:
        if engine.dialect.name == "postgresql" and workspace.mode == "live":
            _require_append_only(connection, name)
        table = room.entries_table
        first = connection.execute(sa.select(table.c.subject, table.c.body).where(table.c.seq == 1)).one_or_none()
        if first is None:
            # Writing a new beginning behind what is left of a ledger would make its loss look like its growth.
            if room.head(connection).seq:
                raise Refused(
                    f"the {name} ledger has lost its first entry",
                    where=str(workspace.root),
                    remedy="restore the database from a backup",
                )
            room.write(connection, GENESIS_KIND, name, workspace.genesis())
        elif first.body != canonical(workspace.genesis()).decode():
            raise Refused(
                f"the {name} ledger was begun in another workspace or mode: {first.body}",
                where=str(workspace.root),
                expected=canonical(workspace.genesis()).decode(),
                remedy="restore workspace.json; a workspace is live or rehearsal for ever",
            )
        elif first.subject != name:
            raise Refused(
                f"this is the database of another room: its ledger was begun by `{first.subject}`",
                where=shown(engine),
                expected=f"a database of the room `{name}` alone",
                remedy="give each room its own in configs/lab.yaml, gate.yaml and factory.yaml",
            )
    return room


def _require_append_only(connection: sa.Connection, name: str) -> None:
    """A live ledger is worth what nobody who writes to it can take back."""
    rights = rights_over_ledger(connection)
    if rights:
        raise Refused(
            f"the role that opens the {name} room could change its ledger: by {', '.join(rights)}",
            where=shown(connection.engine),
            expected="a role with SELECT and INSERT on the ledger, and no more",
            remedy="name such a role in configs/, and have the owner run: pilotplant init-database ROOM --role ROLE",
        )
