"""Costs from a file: every one under the id it comes with, taken once however often the file does."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

import sqlalchemy as sa

from lab.budget.accounts import Account, account
from lab.budget.spend_ledger import keep_cost
from lab.pilots.personal_data import Guard
from lab.pilots.pilot import Pilot, entries, locked_pilot, require_undecided
from lab.state import open_lab, reservations
from shared.core.crashpoints import Point, reach
from shared.core.errors import BadInput, Refused
from shared.core.money import Money, parse_amount
from shared.data.contracts import Column
from shared.data.readers import ROW, read_raw
from shared.data.tabular import connect, require_columns
from shared.state.room import Room
from shared.state.workspace import Workspace
from shared.trust.candidate import SpendEntry

COLUMNS = ("event_id", "amount", "purpose")
_COLUMNS = {name: Column(name=name, type="number" if name == "amount" else "string") for name in COLUMNS}


@dataclass(frozen=True, slots=True)
class RecordedCosts:
    """What became of a file of costs.

    Attributes:
        accepted: costs that are new.
        duplicates: costs that were on record, word for word.
        spent, left: the pilot's account afterwards.
        hashed: values that looked like personal data, and are kept as hashes.
    """

    accepted: int
    duplicates: int
    spent: Money
    left: Money
    hashed: int = 0


@dataclass(frozen=True, slots=True)
class _Cost:
    key: str
    amount: Decimal
    purpose: str


def record_costs(workspace: Workspace, name: str, file: Path) -> RecordedCosts:
    """Takes a file of costs in the pilot's currency, whole or not at all; what is on record already is left as it is.

    Raises BadInput naming the row that is no cost, Refused where an id stands for another cost, above the budget, past
    the pilot's end, and once it was decided on.
    """
    room = open_lab(workspace)
    with locked_pilot(room, name) as pilot:
        costs, hashed = _read(room, pilot, file)
        return _booked(room, pilot, costs, hashed, file)


def _booked(room: Room, pilot: Pilot, costs: dict[str, _Cost], hashed: int, file: Path) -> RecordedCosts:
    with room.transaction() as connection:
        fresh = _fresh(connection, pilot, costs, file)
        if fresh:
            pilot.require_open(room.now(), "costs", late=True)
            require_undecided(room, pilot)
            _require_left(pilot, fresh, account(connection, pilot), file)
            for cost in fresh:
                keep_cost(connection, room, pilot, cost.key, _money(pilot, cost.amount), cost.purpose)
            reach(Point.SPEND_WRITTEN)
        after = account(connection, pilot)
    reach(Point.SPEND_RECORDED)
    return RecordedCosts(len(fresh), len(costs) - len(fresh), after.spent, after.left, hashed)


def _fresh(connection: sa.Connection, pilot: Pilot, costs: dict[str, _Cost], file: Path) -> list[_Cost]:
    """The costs that are not on record; raises Refused where an id stands for something else."""
    known = {entry.id: entry for entry in entries(connection, pilot)}
    held = set(connection.execute(sa.select(reservations.c.id).where(reservations.c.pilot == pilot.name)).scalars())
    fresh = {key: cost for key, cost in costs.items() if not _is_known(cost, known.get(key), file)}
    if taken := sorted(fresh.keys() & held):
        raise Refused(
            f"the id `{taken[0]}` is that of a reservation",
            where=str(file),
            remedy=f"settle it (pilotplant lab spend {pilot.name} AMOUNT --settle {taken[0]}) and leave it out, or "
            "give the cost another id; nothing was taken from this file",
        )
    return list(fresh.values())


def _require_left(pilot: Pilot, fresh: list[_Cost], before: Account, file: Path) -> None:
    wanted = _money(pilot, sum((cost.amount for cost in fresh), Decimal(0)))
    if wanted.amount > before.left.amount:
        raise Refused(
            f"the {len(fresh)} new costs come to {wanted}, and pilot {pilot.name} has {before.left} left of "
            f"{pilot.reserved}",
            where=str(file),
            remedy="nothing was taken from this file; have the budget raised: edit the charter, then "
            f"pilotplant lab amend {pilot.name} --reason TEXT",
        )


def _money(pilot: Pilot, amount: Decimal) -> Money:
    return Money(amount=amount, currency=pilot.reserved.currency)


def _read(room: Room, pilot: Pilot, file: Path) -> tuple[dict[str, _Cost], int]:
    """The file's costs by their ids, the same row twice being one cost, and how many values were hashed."""
    with connect() as connection:
        require_columns(file, read_raw(connection, file, "raw", [*_COLUMNS.values()]), list(COLUMNS), [])
        hashed = Guard(room, pilot, connection, file, _COLUMNS).applied()
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
    return costs, hashed


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
