"""The register of promises: what the Lab deposits at launch, stamped by the gate's clock."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

import sqlalchemy as sa

from promotion.registry.dates import ORDER_REMEDY, against_order
from promotion.registry.fingerprint import Fingerprint, fingerprint
from promotion.registry.line import LINE, entry_of, line_of
from promotion.registry.nonces import NONCE, drawing, first_registered
from promotion.registry.portfolio import next_place, place_of
from promotion.registry.receipts import sign_waiting
from promotion.settings import read_room_settings
from promotion.state import DECIDED, REGISTERED, open_promotion, promises
from shared.core.clock import parse_rfc3339, rfc3339
from shared.core.crashpoints import Point, reach
from shared.core.errors import Refused
from shared.experiment.charter import RULES, Promise
from shared.experiment.line import require_carried
from shared.state import ledger
from shared.state.chain import Head
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.register import Receipt, TooLate


def register(
    workspace: Workspace,
    promise: Promise,
    lab: Head,
    *,
    before: datetime | None = None,
    texts: Mapping[str, bytes] | None = None,
) -> Receipt:
    """Takes a promise in, once; the receipt of the first time stands.

    The first promise of a pilot's name draws the nonce that draws its arms, in this very transaction: whatever is
    registered under the name afterwards gets the same one. Where the gate's key opens without a question, the receipt
    is signed at once, and else by whatever the gate signs next. `texts` are the bytes of the promise's files, by which
    the gate knows earlier pilots again; without them it cannot tell.

    Raises TooLate for a new one from `before` on, Refused for one under other rules than bind its pilot, that is older
    than its snapshot, or that would draw other arms than the first one, and Uncarried for one that continues earlier
    pilots and does not carry what they have spent.
    """
    known_by = None if texts is None or promise.rules == 1 else fingerprint(promise, texts)
    room = open_promotion(workspace)
    receipt = _taken_in(room, promise, lab, before, known_by)
    sign_waiting(room)
    return receipt


def _taken_in(
    room: Room, promise: Promise, lab: Head, before: datetime | None, known_by: Fingerprint | None
) -> Receipt:
    workspace, settings = room.workspace, read_room_settings(room.workspace)
    with room.transaction() as connection:
        row = connection.execute(sa.select(promises).where(promises.c.digest == promise.digest)).first()
        if row is not None:
            return _receipt(room, connection, promise, parse_rfc3339(row.at), Head(row.ledger_seq, row.ledger_hash))
        _require_rules(room, connection, promise)
        drawn = drawing(
            ledger.entries(connection, room.entries_table, subject=promise.charter.pilot), promise, settings.nonce_seed
        )
        now = room.moment(connection)
        _require_order(workspace, promise, now)
        if before is not None and now >= before:
            raise TooLate(f"the gate did not have it before {rfc3339(before)}", where=f"pilot {promise.charter.pilot}")
        body = {"promise": promise.digest, "lab": lab.as_json(), "rules": promise.rules, **drawn}
        if promise.amends is not None:
            body["amends"] = promise.amends.model_dump(mode="json")
        written = ledger.entries(connection, room.entries_table, kinds=[REGISTERED, DECIDED])
        pilot = promise.charter.pilot
        if known_by is not None:
            found = line_of(written, promise, known_by)
            require_carried(found, promise.charter)
            body[LINE] = entry_of(promise, known_by, found)
        # A live workspace scales no synthetic pilot, so that none uses up what others are tested by.
        counted = workspace.mode == "rehearsal" or not promise.charter.synthetic
        if counted and place_of(written, pilot) is None:
            body["portfolio"] = next_place(written, settings.portfolio.bound).as_json()
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
        receipt = _receipt(room, connection, promise, now, head)
    reach(Point.REGISTER_RECORDED)
    return receipt


def _require_order(workspace: Workspace, promise: Promise, now: datetime) -> None:
    """Raises Refused for a promise that would be older than the snapshot it was made on."""
    objection = against_order(promise, now, workspace.mode)
    if objection is not None:
        raise Refused(objection, where=f"pilot {promise.charter.pilot}", remedy=ORDER_REMEDY)


def _require_rules(room: Room, connection: sa.Connection, promise: Promise) -> None:
    """A pilot keeps the rules under which the gate first heard of it; a new one is under those of today."""
    first = first_registered(ledger.entries(connection, room.entries_table, subject=promise.charter.pilot))
    bound = RULES if first is None else first.body.get("rules", 1)
    if promise.rules != bound:
        raise Refused(
            f"the promise is made under the gate's rules {promise.rules}, and rules {bound} bind it",
            where=f"pilot {promise.charter.pilot}",
            remedy="give the command with the release that this workspace uses; what was frozen before stands",
        )


def _receipt(room: Room, connection: sa.Connection, promise: Promise, at: datetime, head: Head) -> Receipt:
    """What the Lab is told: its own head when the gate first heard of the pilot, and the nonce that was drawn then."""
    first = first_registered(ledger.entries(connection, room.entries_table, subject=promise.charter.pilot))
    said = first.body if first else {}
    return Receipt(at, head, Head(**said["lab"]), said.get(NONCE))
