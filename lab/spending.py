"""Spending: each cost of a pilot is kept once, and none above its budget."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

import sqlalchemy as sa

from lab.pilots import Pilot, locked_pilot, spent
from lab.state import open_lab
from lab.state import spend as spend_table
from shared.clock import rfc3339
from shared.crashpoints import Point, reach
from shared.digests import digest_json, short
from shared.errors import BadInput, Refused
from shared.money import Money
from shared.room import Room
from shared.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Spent:
    """A pilot's account after a cost."""

    spent: Money
    left: Money
    repeated: bool


def spend(workspace: Workspace, name: str, amount: Decimal, purpose: str, *, key: str | None = None) -> Spent:
    """Records a cost; the same amount for the same purpose again is the same cost, unless it has a key of its own.

    Raises Refused above the budget or past the end, and where the key was used for another cost.
    """
    if not purpose.strip():
        raise BadInput("a cost needs a purpose", where="--for", remedy="say what it was for")
    room = open_lab(workspace)
    with locked_pilot(room, name) as pilot:
        return _spend(room, pilot, amount, purpose, key)


def _spend(room: Room, pilot: Pilot, amount: Decimal, purpose: str, key: str | None) -> Spent:
    name = pilot.name
    money = Money(amount=amount, currency=pilot.reserved.currency)
    identity = key or short(digest_json({"amount": str(amount), "purpose": purpose}))
    with room.transaction() as connection:
        before = connection.execute(
            sa.select(spend_table).where(spend_table.c.pilot == name, spend_table.c.id == identity)
        ).first()
        total = spent(connection, pilot)
        if before is not None:
            if (before.amount, before.purpose) != (str(money.amount), purpose):
                raise Refused(
                    f"the key `{identity}` was used for {before.amount} {before.currency}: {before.purpose}",
                    where=f"pilot {name}",
                    remedy="give this cost a key of its own with --id",
                )
            return Spent(total, pilot.reserved - total, repeated=True)
        pilot.require_open(room.now(), "costs")
        if (total + money).amount > pilot.reserved.amount:
            raise Refused(
                f"{money} is more than the {pilot.reserved - total} that pilot {name} has left of {pilot.reserved}",
                where=f"pilot {name}",
                remedy="spend less, or have the budget raised: edit the charter, then "
                f"pilotplant lab amend {name} --reason TEXT",
            )
        now = rfc3339(room.now())
        connection.execute(
            spend_table.insert().values(
                pilot=name, id=identity, at=now, amount=str(money.amount), currency=money.currency, purpose=purpose
            )
        )
        room.write(connection, "spent", name, {"id": identity, "money": money.as_json(), "purpose": purpose})
        reach(Point.SPEND_WRITTEN)
    reach(Point.SPEND_RECORDED)
    return Spent(total + money, pilot.reserved - total - money, repeated=False)
