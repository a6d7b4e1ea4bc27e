"""Spending: each cost of a pilot is kept once, and none above its budget."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import sqlalchemy as sa

from lab.budget.accounts import Account, account
from lab.pilots.personal_data import require_impersonal
from lab.pilots.pilot import Pilot, locked_pilot, require_undecided
from lab.state import open_lab, reservations
from lab.state import spend as spend_table
from shared.core.clock import rfc3339
from shared.core.crashpoints import Point, reach
from shared.core.digests import digest_json, short
from shared.core.errors import BadInput, Refused
from shared.core.money import Money
from shared.state.room import Room
from shared.state.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Spent:
    """A pilot's account after a booking.

    Attributes:
        key: what the booking goes by.
        repeated: whether it had been made before, so that nothing was done.
    """

    key: str
    account: Account
    repeated: bool

    @property
    def spent(self) -> Money:
        """What the pilot has cost so far."""
        return self.account.spent

    @property
    def left(self) -> Money:
        """What it may still spend or reserve."""
        return self.account.left


def spend(workspace: Workspace, name: str, amount: Decimal, purpose: str, *, key: str | None = None) -> Spent:
    """Records a cost; the same amount for the same purpose again is the same cost, unless it has a key of its own.

    Raises Refused above the budget or past the end, and where the key was used for another cost.
    """
    require_purpose(purpose)
    room = open_lab(workspace)
    with locked_pilot(room, name) as pilot:
        require_impersonal(pilot, purpose, where="--for")
        require_impersonal(pilot, key or "", where="--id")
        return _spend(room, pilot, amount, purpose, key)


def require_purpose(purpose: str) -> None:
    """Raises BadInput where nothing is said."""
    if not purpose.strip():
        raise BadInput("a cost needs a purpose", where="--for", remedy="say what it was for")


def require_left(pilot: Pilot, money: Money, left: Money) -> None:
    """Raises Refused where an amount is more than what is left of the pilot's budget."""
    if money.amount > left.amount:
        raise Refused(
            f"{money} is more than the {left} that pilot {pilot.name} has left of {pilot.reserved}",
            where=f"pilot {pilot.name}",
            remedy="spend less, release what is held and not needed, or have the budget raised: edit the charter, then "
            f"pilotplant lab amend {pilot.name} --reason TEXT",
        )


def find_cost(connection: sa.Connection, pilot: Pilot, key: str) -> sa.Row[tuple[object, ...]] | None:
    """The cost of that key, or None."""
    query = sa.select(spend_table).where(spend_table.c.pilot == pilot.name, spend_table.c.id == key)
    return connection.execute(query).first()


def key_taken(pilot: Pilot, row: sa.Row[tuple[object, ...]]) -> Refused:
    """What is said of a key that stands for another cost."""
    return Refused(
        f"the key `{row.id}` was used for {row.amount} {row.currency}: {row.purpose}",
        where=f"pilot {pilot.name}",
        remedy="give this cost a key of its own with --id",
    )


def insert_cost(connection: sa.Connection, pilot: Pilot, key: str, at: str, money: Money, purpose: str) -> None:
    """Keeps a cost, within the caller's transaction."""
    connection.execute(
        spend_table.insert().values(
            pilot=pilot.name, id=key, at=at, amount=str(money.amount), currency=money.currency, purpose=purpose
        )
    )


def keep_cost(connection: sa.Connection, room: Room, pilot: Pilot, key: str, money: Money, purpose: str) -> None:
    """Keeps a cost that was spent now, and says so in the ledger, within the caller's transaction."""
    insert_cost(connection, pilot, key, rfc3339(room.now()), money, purpose)
    room.write(connection, "spent", pilot.name, {"id": key, "money": money.as_json(), "purpose": purpose})


def _spend(room: Room, pilot: Pilot, amount: Decimal, purpose: str, key: str | None) -> Spent:
    money = Money(amount=amount, currency=pilot.reserved.currency)
    identity = key or short(digest_json({"amount": str(amount), "purpose": purpose}))
    with room.transaction() as connection:
        before = find_cost(connection, pilot, identity)
        if before is not None:
            if (before.amount, before.purpose) != (str(money.amount), purpose):
                raise key_taken(pilot, before)
            return Spent(identity, account(connection, pilot), repeated=True)
        _require_not_reserved(connection, pilot, identity)
        pilot.require_open(room.now(), "costs", late=True)
        require_undecided(room, pilot)
        require_left(pilot, money, account(connection, pilot).left)
        keep_cost(connection, room, pilot, identity, money, purpose)
        found = account(connection, pilot)
        reach(Point.SPEND_WRITTEN)
    reach(Point.SPEND_RECORDED)
    return Spent(identity, found, repeated=False)


def _require_not_reserved(connection: sa.Connection, pilot: Pilot, key: str) -> None:
    """A cost beside its own reservation would count twice."""
    query = sa.select(reservations).where(reservations.c.pilot == pilot.name, reservations.c.id == key)
    found = connection.execute(query).first()
    if found is not None:
        raise Refused(
            f"the key `{key}` is that of a reservation of {found.amount} {found.currency}: {found.purpose}",
            where=f"pilot {pilot.name}",
            remedy=f"settle it: pilotplant lab spend {pilot.name} AMOUNT --settle {key}",
        )
