"""The Lab's own budget, and what its pilots bind of it."""

from __future__ import annotations

from contextlib import AbstractContextManager

import sqlalchemy as sa

from lab.state import pilots, read_settings, spend
from shared.clock import parse_rfc3339
from shared.files import locked
from shared.money import Money
from shared.record import decisions
from shared.room import Room
from shared.workspace import Workspace


def reserving(workspace: Workspace) -> AbstractContextManager[None]:
    """Waits until nobody else reserves of the Lab's budget: two together could promise the same money twice."""
    return locked(workspace.lab / ".launch.lock")


def committed(room: Room, *, except_for: str | None = None) -> Money:
    """What the Lab's pilots bind of its budget: their reserve while open, what they cost once decided."""
    budget = read_settings(room.workspace).budget
    closed, now = decisions(room.workspace), room.now()
    total = Money(amount=budget.amount * 0, currency=budget.currency)
    with room.transaction() as connection:
        for row in connection.execute(sa.select(pilots).where(pilots.c.name != (except_for or ""))):
            costs = connection.execute(sa.select(spend.c.amount).where(spend.c.pilot == row.name)).scalars()
            used = sum((Money(amount=cost, currency=budget.currency) for cost in costs), total - total)
            open_still = row.name not in closed and now < parse_rfc3339(row.deadline)
            total += Money(amount=row.reserved, currency=budget.currency) if open_still else used
    return total
