"""Costs from a file: every one under the id it comes with, taken once however often the file does."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa

from lab.accounts import Account, account
from lab.pilots import entries, get_pilot
from lab.spending import Spent, spend
from lab.state import open_lab, reservations
from shared.candidate import SpendEntry
from shared.errors import BadInput, Refused
from shared.money import Money, parse_amount
from shared.tabular import ROW, connect, read_raw, require_columns
from shared.workspace import Workspace

COLUMNS = ("event_id", "amount", "purpose")


@dataclass(frozen=True, slots=True)
class RecordedCosts:
    """What became of a file of costs.

    Attributes:
        accepted: costs that are new.
        duplicates: costs that were on record, word for word.
        spent, left: the pilot's account afterwards.
    """

    accepted: int
    duplicates: int
    spent: Money
    left: Money


@dataclass(frozen=True, slots=True)
class _Cost:
    key: str
    amount: Decimal
    purpose: str


def record_costs(workspace: Workspace, name: str, file: Path) -> RecordedCosts:
    """Takes a file of costs in the pilot's currency; what is on record already is left as it is.

    Everything is looked at before the first cost is kept, and a file that was cut off is finished by the same command.
    Raises BadInput naming the row that is no cost, Refused where an id stands for another cost, above the budget, and
    past the pilot's end.
    """
    costs = _read(file)
    room = open_lab(workspace)
    pilot = get_pilot(room, name)
    with room.transaction() as connection:
        known = {entry.id: entry for entry in entries(connection, pilot)}
        before = account(connection, pilot)
        held = set(connection.execute(sa.select(reservations.c.id).where(reservations.c.pilot == name)).scalars())
    fresh = {key: cost for key, cost in costs.items() if not _is_known(cost, known.get(key), file)}
    if taken := sorted(fresh.keys() & held):
        raise Refused(
            f"the id `{taken[0]}` is that of a reservation",
            where=str(file),
            remedy=f"settle it (pilotplant lab spend {name} AMOUNT --settle {taken[0]}) and leave it out, or give the "
            "cost another id; nothing was taken from this file",
        )
    wanted = Money(amount=sum((cost.amount for cost in fresh.values()), Decimal(0)), currency=before.left.currency)
    if fresh:
        pilot.require_open(room.now(), "costs")
    if wanted.amount > before.left.amount:
        raise Refused(
            f"the {len(fresh)} new costs come to {wanted}, and pilot {name} has {before.left} left of {pilot.reserved}",
            where=str(file),
            remedy="nothing was taken from this file; have the budget raised: edit the charter, then "
            f"pilotplant lab amend {name} --reason TEXT",
        )
    booked = [spend(workspace, name, cost.amount, cost.purpose, key=key) for key, cost in fresh.items()]
    return _result(booked, len(costs) - len(fresh), before)


def _result(booked: list[Spent], known: int, before: Account) -> RecordedCosts:
    """Whoever records at the same moment may have booked some of these costs first."""
    new = sum(not each.repeated for each in booked)
    after = booked[-1].account if booked else before
    return RecordedCosts(new, known + len(booked) - new, after.spent, after.left)


def _read(file: Path) -> dict[str, _Cost]:
    """The file's costs by their ids; the same row twice is one cost."""
    with connect() as connection:
        require_columns(file, read_raw(connection, file, "raw"), list(COLUMNS), [])
        names = ", ".join(COLUMNS)
        rows = connection.execute(f"SELECT {ROW}, {names} FROM raw ORDER BY {ROW}").fetchall()
    costs: dict[str, _Cost] = {}
    for number, *values in rows:
        cost = _cost(values, where=f"{file}, row {number}")
        if costs.setdefault(cost.key, cost) != cost:
            raise BadInput(
                f"the id `{cost.key}` stands for two costs",
                where=f"{file}, row {number}",
                remedy="give each cost an id of its own; nothing was taken from this file",
            )
    return costs


def _cost(values: list[str | None], *, where: str) -> _Cost:
    for column, value in zip(COLUMNS, values, strict=True):
        if value is None or not value.strip():
            raise BadInput(f"`{column}` is missing", where=where, remedy="fill it in; nothing was taken from this file")
    key, amount, purpose = (str(value) for value in values)
    try:
        return _Cost(key, parse_amount(amount), purpose)
    except BadInput as error:
        error.where = where
        raise


def _is_known(cost: _Cost, entry: SpendEntry | None, file: Path) -> bool:
    if entry is None:
        return False
    if (entry.money.amount, entry.purpose) != (cost.amount, cost.purpose):
        raise Refused(
            f"the id `{cost.key}` was used for {entry.money}: {entry.purpose}",
            where=str(file),
            expected=f"{cost.amount} for {cost.purpose}, as the file says",
            remedy="give the new cost an id of its own; nothing was taken from this file",
        )
    return True
