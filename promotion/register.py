"""The register of promises: what the Lab deposits at launch, stamped by the gate's clock."""

from __future__ import annotations

from datetime import datetime

import sqlalchemy as sa

from promotion.case import REGISTERED
from promotion.dates import ORDER_REMEDY, against_order
from promotion.policy import read_settings
from promotion.portfolio import next_place, place_of
from promotion.state import open_promotion, promises
from shared import ledger
from shared.charter import RULES, Promise
from shared.clock import parse_rfc3339, rfc3339
from shared.crashpoints import Point, reach
from shared.errors import Refused
from shared.ledger import Head
from shared.register import Receipt, TooLate
from shared.room import Room
from shared.workspace import Workspace


def register(workspace: Workspace, promise: Promise, lab: Head, *, before: datetime | None = None) -> Receipt:
    """Takes a promise in, once; the receipt of the first time stands.

    Raises TooLate for a new one from `before` on, and Refused for one under other rules than bind its pilot,
    or that would be older than its snapshot.
    """
    room = open_promotion(workspace)
    with room.transaction() as connection:
        row = connection.execute(sa.select(promises).where(promises.c.digest == promise.digest)).first()
        if row is not None:
            taken = Head(row.ledger_seq, row.ledger_hash)
            return Receipt(parse_rfc3339(row.at), taken, _first_heard(room, connection, promise.charter.pilot))
        _require_rules(room, connection, promise)
        now = room.moment(connection)
        _require_order(workspace, promise, now)
        if before is not None and now >= before:
            raise TooLate(f"the gate did not have it before {rfc3339(before)}", where=f"pilot {promise.charter.pilot}")
        body = {"promise": promise.digest, "lab": lab.as_json(), "rules": promise.rules}
        if promise.amends is not None:
            body["amends"] = promise.amends.model_dump(mode="json")
        written = ledger.entries(connection, room.entries_table)
        pilot = promise.charter.pilot
        # A live workspace scales no synthetic pilot, so that none uses up what others are tested by.
        counted = workspace.mode == "rehearsal" or not promise.charter.synthetic
        if counted and place_of(written, pilot) is None:
            body["portfolio"] = next_place(written, read_settings(workspace).portfolio.bound).as_json()
        head = room.write(connection, REGISTERED, promise.charter.pilot, body, at=now)
        connection.execute(
            promises.insert().values(
                digest=promise.digest,
                pilot=promise.charter.pilot,
                at=rfc3339(now),
                ledger_seq=head.seq,
                ledger_hash=head.hash,
            )
        )
        reach(Point.REGISTER_WRITTEN)
        heard = _first_heard(room, connection, promise.charter.pilot)
    return Receipt(now, head, heard)


def _require_order(workspace: Workspace, promise: Promise, now: datetime) -> None:
    """Raises Refused for a promise that would be older than the snapshot it was made on."""
    objection = against_order(promise, now, workspace.mode)
    if objection is not None:
        raise Refused(objection, where=f"pilot {promise.charter.pilot}", remedy=ORDER_REMEDY)


def _require_rules(room: Room, connection: sa.Connection, promise: Promise) -> None:
    """A pilot keeps the rules under which the gate first heard of it; a new one is under those of today."""
    entries = ledger.entries(connection, room.entries_table, subject=promise.charter.pilot)
    first = next((entry for entry in entries if entry.kind == REGISTERED), None)
    bound = RULES if first is None else first.body.get("rules", 1)
    if promise.rules != bound:
        raise Refused(
            f"the promise is made under the gate's rules {promise.rules}, and rules {bound} bind it",
            where=f"pilot {promise.charter.pilot}",
            remedy="give the command with the release that this workspace uses; what was frozen before stands",
        )


def _first_heard(room: Room, connection: sa.Connection, pilot: str) -> Head:
    """The Lab's head when a promise was first taken in under the pilot's name."""
    entries = ledger.entries(connection, room.entries_table, subject=pilot)
    return Head(**next(entry.body["lab"] for entry in entries if entry.kind == REGISTERED))
