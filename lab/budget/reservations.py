"""Reservations: money is held before a cost comes, and settled with what it really was, or released.

What is held is not left to spend. Nothing can be reserved past the pilot's end; a bill that comes later settles what
was held, until the decision's deadline. A reservation that is open then stays bound in full: nobody said otherwise.
"""

from __future__ import annotations

import shlex
from decimal import Decimal

import sqlalchemy as sa

from lab.budget.accounts import account
from lab.budget.spend_ledger import Spent, find_cost, insert_cost, key_taken, require_left, require_purpose
from lab.pilots.personal_data import require_impersonal
from lab.pilots.pilot import Pilot, locked_pilot, require_undecided
from lab.state import open_lab, reservations
from shared.core.clock import rfc3339
from shared.core.errors import BadInput, Refused
from shared.core.money import Money
from shared.core.times import date_time
from shared.state.room import Room
from shared.state.workspace import Workspace

Row = sa.Row[tuple[object, ...]]


def reserve(workspace: Workspace, name: str, amount: Decimal, purpose: str, *, key: str | None = None) -> Spent:
    """Holds money for a cost to come; its key is its purpose unless it is given one. The same again is a no-op.

    Raises Refused above the budget or past the end, and where the key stands for something else.
    """
    require_purpose(purpose)
    room, key = open_lab(workspace), key or purpose
    with locked_pilot(room, name) as pilot, room.transaction() as connection:
        require_impersonal(pilot, purpose, where="--for")
        require_impersonal(pilot, key, where="--id")
        money = Money(amount=amount, currency=pilot.reserved.currency)
        before = _find(connection, pilot, key)
        if before is not None:
            _require_same(pilot, before, money, purpose)
            return Spent(key, account(connection, pilot), repeated=True)
        cost = find_cost(connection, pilot, key)
        if cost is not None:
            raise key_taken(pilot, cost)
        pilot.require_open(room.now(), "reservations")
        require_undecided(room, pilot)
        require_left(pilot, money, account(connection, pilot).left)
        said = {"amount": str(money.amount), "currency": money.currency, "purpose": purpose}
        connection.execute(reservations.insert().values(pilot=name, id=key, at=rfc3339(room.now()), **said))
        room.write(connection, "reserved", name, {"id": key, "money": money.as_json(), "purpose": purpose})
        return Spent(key, account(connection, pilot), repeated=False)


def settle(workspace: Workspace, name: str, key: str, amount: Decimal) -> Spent:
    """Turns a reservation into the cost that it became; what it held beyond that is free again.

    Raises BadInput where there is none of that key; Refused past the deadline, where it was released or settled
    otherwise, and where the cost is more than what it held and the budget has left together.
    """
    room = open_lab(workspace)
    with locked_pilot(room, name) as pilot, room.transaction() as connection:
        held = _get(connection, pilot, key)
        money = Money(amount=amount, currency=pilot.reserved.currency)
        if held.closed_by == "settled":
            cost = find_cost(connection, pilot, key)
            if cost is None or cost.amount != str(money.amount):
                raise _closed(pilot, held, f"with {cost.amount} {cost.currency}" if cost else "")
            return Spent(key, account(connection, pilot), repeated=True)
        if held.closed_by is not None:
            raise _closed(pilot, held)
        _require_in_time(room, pilot, held)
        require_left(pilot, money, account(connection, pilot).left + _money(held))
        _close(room, connection, pilot, held, "settled")
        insert_cost(connection, pilot, key, rfc3339(room.now()), money, str(held.purpose))
        body = {"id": key, "money": money.as_json(), "purpose": held.purpose, "held": _money(held).as_json()}
        room.write(connection, "settled", name, body)
        return Spent(key, account(connection, pilot), repeated=False)


def release(workspace: Workspace, name: str, key: str) -> Spent:
    """Frees what a reservation held: there was no cost. The same again is a no-op; raises as `settle` does."""
    room = open_lab(workspace)
    with locked_pilot(room, name) as pilot, room.transaction() as connection:
        held = _get(connection, pilot, key)
        if held.closed_by == "released":
            return Spent(key, account(connection, pilot), repeated=True)
        if held.closed_by is not None:
            raise _closed(pilot, held)
        _require_in_time(room, pilot, held)
        _close(room, connection, pilot, held, "released")
        room.write(connection, "released", name, {"id": key, "held": _money(held).as_json()})
        return Spent(key, account(connection, pilot), repeated=False)


def still_open(connection: sa.Connection, pilot: str | None = None) -> list[Row]:
    """The open reservations of a pilot, or of all, the oldest first."""
    query = sa.select(reservations).where(reservations.c.closed_at.is_(None))
    if pilot is not None:
        query = query.where(reservations.c.pilot == pilot)
    return list(connection.execute(query.order_by(reservations.c.at, reservations.c.id)))


def require_none_open(room: Room, pilot: Pilot) -> None:
    """Raises Refused where something is held: what a pilot cost cannot be judged before it is known."""
    with room.read() as connection:
        found = still_open(connection, pilot.name)
    if found:
        raise Refused(
            "it is not yet known what the pilot has cost; still held: "
            + ", ".join(f"{_money(held)} for {held.id}" for held in found),
            where=f"pilot {pilot.name}",
            expected="every reservation settled or released",
            remedy=f"pilotplant lab spend {pilot.name} AMOUNT --settle {shlex.quote(str(found[0].id))}, with what it "
            "cost or will cost at most; or --release it",
        )


def _find(connection: sa.Connection, pilot: Pilot, key: str) -> Row | None:
    query = sa.select(reservations).where(reservations.c.pilot == pilot.name, reservations.c.id == key)
    return connection.execute(query).first()


def _get(connection: sa.Connection, pilot: Pilot, key: str) -> Row:
    found = _find(connection, pilot, key)
    if found is None:
        known = ", ".join(f"`{held.id}`" for held in still_open(connection, pilot.name))
        raise BadInput(
            f"pilot {pilot.name} has no reservation `{key}`",
            where=f"pilot {pilot.name}",
            expected=f"one of: {known}" if known else "a reservation; none is open",
            remedy=f"see what is held: pilotplant lab show {pilot.name}",
        )
    return found


def _money(held: Row) -> Money:
    return Money(amount=held.amount, currency=held.currency)


def _require_same(pilot: Pilot, before: Row, money: Money, purpose: str) -> None:
    if (before.amount, before.purpose) != (str(money.amount), purpose):
        raise key_taken(pilot, before)
    if before.closed_by == "released":
        # To say "reserved before" would let a script believe that the money is held.
        raise _closed(pilot, before)


def _closed(pilot: Pilot, held: Row, how: str = "") -> Refused:
    return Refused(
        f"the reservation `{held.id}` of {_money(held)} was {held.closed_by} {how}".rstrip()
        + f", on {str(held.closed_at)[:10]}",
        where=f"pilot {pilot.name}",
        remedy="for another cost, reserve anew with --id and a key of its own",
    )


def _require_in_time(room: Room, pilot: Pilot, held: Row) -> None:
    deadline = pilot.charter.deadline
    if room.now() >= deadline:
        raise Refused(
            f"the deadline of {pilot.name} has passed ({date_time(deadline)}): the {_money(held)} held for "
            f"`{held.id}` stay bound in full",
            where=f"pilot {pilot.name}",
            expected="what was held to be settled or released before",
            remedy="nothing has to be done; if it cost less, the Lab's budget in configs/lab.yaml may be raised",
        )


def _close(room: Room, connection: sa.Connection, pilot: Pilot, held: Row, how: str) -> None:
    connection.execute(
        sa.update(reservations)
        .where(reservations.c.pilot == pilot.name, reservations.c.id == held.id)
        .values(closed_at=rfc3339(room.now()), closed_by=how)
    )
