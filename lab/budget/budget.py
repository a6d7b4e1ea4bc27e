"""The Lab's own budget, and what its pilots bind of it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from decimal import Decimal

import sqlalchemy as sa

from lab.budget.accounts import held_by_pilot, spent_by_pilot
from lab.state import pilots, read_settings
from shared.core.clock import parse_rfc3339
from shared.core.files import locked
from shared.core.money import Money
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.record import decisions


def reserving(workspace: Workspace) -> AbstractContextManager[None]:
    """Waits until nobody else reserves of the Lab's budget: two together could promise the same money twice."""
    return locked(workspace.lab / ".launch.lock")


def committed(room: Room, *, except_for: str | None = None) -> Money:
    """What the Lab's pilots bind of its budget: their reserve while open, what they cost once decided.

    What a decided pilot still holds is bound as well: somebody has promised that money, and the bill is to come.
    """
    currency = read_settings(room.workspace).budget.currency
    closed, now = decisions(room.workspace), room.now()
    total = Decimal(0)
    with room.read() as connection:
        paid, held = spent_by_pilot(connection), held_by_pilot(connection)
        for row in connection.execute(sa.select(pilots).where(pilots.c.name != (except_for or ""))):
            open_still = row.name not in closed and now < parse_rfc3339(row.deadline)
            total += Decimal(row.reserved) if open_still else paid.get(row.name, 0) + held.get(row.name, 0)
    return Money(amount=total, currency=currency)
