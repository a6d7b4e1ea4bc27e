"""Accounts: what a pilot has spent, what it holds for costs still to come, and what is left."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import Decimal

import sqlalchemy as sa

from lab.pilots.pilot import Pilot
from lab.state import reservations, spend
from shared.core.money import Money


@dataclass(frozen=True, slots=True)
class Account:
    """A pilot's money.

    Attributes:
        budget: what it may cost, by its charter.
        spent: what it has cost.
        held: what open reservations keep for costs still to come.
    """

    budget: Money
    spent: Money
    held: Money

    @property
    def bound(self) -> Money:
        """What is no longer free: spent or held."""
        return self.spent + self.held

    @property
    def left(self) -> Money:
        """What may still be spent or reserved."""
        return self.budget - self.bound


def account(connection: sa.Connection, pilot: Pilot) -> Account:
    """The account of one pilot."""
    return accounts(connection, [pilot])[pilot.name]


def accounts(connection: sa.Connection, pilots: list[Pilot]) -> dict[str, Account]:
    """The account of each pilot, by name, in two queries."""
    only = pilots[0].name if len(pilots) == 1 else None
    paid, kept = spent_by_pilot(connection, only), held_by_pilot(connection, only)

    def money(pilot: Pilot, amounts: dict[str, Decimal]) -> Money:
        return Money(amount=amounts.get(pilot.name, Decimal(0)), currency=pilot.reserved.currency)

    return {pilot.name: Account(pilot.reserved, money(pilot, paid), money(pilot, kept)) for pilot in pilots}


def spent_by_pilot(connection: sa.Connection, only: str | None = None) -> dict[str, Decimal]:
    """The sum of the costs of each pilot that has some, or of one, in the Lab's currency."""
    return _sums(connection, sa.select(spend.c.pilot, spend.c.amount), spend.c.pilot, only)


def held_by_pilot(connection: sa.Connection, only: str | None = None) -> dict[str, Decimal]:
    """The sum of the open reservations of each pilot that has some, or of one, in the Lab's currency."""
    query = sa.select(reservations.c.pilot, reservations.c.amount).where(reservations.c.closed_at.is_(None))
    return _sums(connection, query, reservations.c.pilot, only)


def _sums(
    connection: sa.Connection, query: sa.Select[tuple[str, str]], pilot: sa.Column[str], only: str | None
) -> dict[str, Decimal]:
    # Amounts are texts, so that no database makes floats of them; they are added up here.
    found: defaultdict[str, Decimal] = defaultdict(Decimal)
    for name, amount in connection.execute(query if only is None else query.where(pilot == only)):
        found[name] += Decimal(amount)
    return found
