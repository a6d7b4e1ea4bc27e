"""Booking: what `lab spend` was asked for, and which of the four bookings that is."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from lab.budget.reservations import release, reserve, settle
from lab.budget.spend_ledger import Spent, spend
from shared.core.errors import BadInput
from shared.core.money import parse_amount
from shared.state.workspace import Workspace


@dataclass(frozen=True, slots=True)
class Wish:
    """A command line of `lab spend`; raises BadInput where it does not ask for one thing.

    Attributes:
        settle, release: the key of the reservation that is to be closed.
        key: a key of its own for a cost or a reservation.
    """

    amount: str | None
    purpose: str | None
    reserve: bool = False
    settle: str | None = None
    release: str | None = None
    key: str | None = None

    def __post_init__(self) -> None:
        _require_one_thing(self)

    def told(self, pilot: str, key: str, *, repeated: bool) -> str:
        """What was done, for people."""
        if self.reserve:
            back = f"pilotplant lab spend {pilot} AMOUNT --settle {shlex.quote(key)}"
            return ("Reserved before; nothing was done." if repeated else "Reserved.") + f" Once the bill is in: {back}"
        if self.settle is not None or self.release is not None:
            word = "Settled" if self.settle is not None else "Released"
            return f"{word} before; nothing was done." if repeated else f"{word}: {key}."
        if repeated:
            return "Recorded before; nothing was done. An equal cost that is another one needs --id."
        return "Recorded."


def book(workspace: Workspace, name: str, wish: Wish) -> Spent:
    """Does what was asked for; raises whatever that booking raises."""
    if wish.release is not None:
        return release(workspace, name, wish.release)
    amount = parse_amount(wish.amount or "")
    if wish.settle is not None:
        return settle(workspace, name, wish.settle, amount)
    return (reserve if wish.reserve else spend)(workspace, name, amount, wish.purpose or "", key=wish.key)


def _require_one_thing(wish: Wish) -> None:
    asked = {"--reserve": wish.reserve, "--settle": wish.settle is not None, "--release": wish.release is not None}
    named = [option for option, given in asked.items() if given]
    if len(named) > 1:
        raise BadInput(f"{' and '.join(named)} exclude each other", where="lab spend", expected="one of them, or none")
    closing = named[0] if named and named[0] != "--reserve" else None
    if closing is not None and (wish.purpose is not None or wish.key is not None):
        other = "--for" if wish.purpose is not None else "--id"
        raise BadInput(
            f"{closing} names the reservation already",
            where=other,
            expected=f"{closing} KEY",
            remedy=f"leave {other} away",
        )
    if wish.release is not None and wish.amount is not None:
        raise BadInput(
            "releasing frees all that is held",
            where="AMOUNT",
            remedy="leave the amount away, or --settle with what it cost",
        )
    if wish.release is None and wish.amount is None:
        raise BadInput("how much?", where="AMOUNT", expected="an amount in the pilot's currency, like 120.50")
    if closing is None and not (wish.purpose or "").strip():
        raise BadInput("a cost needs a purpose", where="--for", remedy="say what it is for")
