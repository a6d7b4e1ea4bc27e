"""Reminders: who must do what until when, told from the clock alone; nothing runs in between and nothing is sent."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from lab.overview.portfolio import Line
from shared.core.clock import rfc3339
from shared.core.times import date_time
from shared.ui.phrases import days

# From here on the next cost may be the one that is refused.
NEARLY_SPENT_FRAC = Decimal("0.9")


@dataclass(frozen=True, slots=True)
class Reminder:
    """One thing that is due.

    Attributes:
        who: whose it is.
        what: what is to be done, and why.
        until: the first moment that is too late.
        days_left: days until then.
        next: the command to begin with.
    """

    pilot: str
    who: str
    what: str
    until: datetime
    days_left: float
    next: str

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "pilot": self.pilot,
            "for": self.who,
            "what": self.what,
            "until": rfc3339(self.until),
            "days_left": math.floor(10 * self.days_left) / 10,
            "next": self.next,
        }

    def told(self) -> str:
        """One line for people."""
        return f"{self.pilot}: {self.who}, {self.what} ({days(self.days_left)} left)"


def reminders(listed: list[Line], remind_days: int, now: datetime) -> list[Reminder]:
    """What is due, the most urgent first.

    A time box or a deadline is spoken of once it is `remind_days` away; what follows upon the end, from the end on.
    """
    found = [
        Reminder(line.name, who, what, line.until, line.days_left, f"pilotplant {command}")
        for line in listed
        if line.until is not None and line.days_left is not None
        for who, what, command in _of(line, now, near=line.days_left <= remind_days)
    ]
    return sorted(found, key=lambda reminder: (reminder.until, reminder.pilot))


def _of(line: Line, now: datetime, *, near: bool) -> Iterator[tuple[str, str, str]]:
    return _of_running(line, near=near) if line.state == "running" else _of_ended(line, now, near=near)


def _of_running(line: Line, *, near: bool) -> Iterator[tuple[str, str, str]]:
    """Who, what, and the command to begin with."""
    requester, account = line.pilot.charter.requester, line.account
    if near:
        yield requester, "record what is missing: the time box ends", f"lab record {line.name} FILE"
    if account.bound.amount > 0 and account.bound.amount >= NEARLY_SPENT_FRAC * account.budget.amount:
        what = f"{account.bound} of {account.budget} are spent or held, {account.left} are left"
        yield requester, what, f"lab show {line.name}"


def _of_ended(line: Line, now: datetime, *, near: bool) -> Iterator[tuple[str, str, str]]:
    charter = line.pilot.charter
    for key, money in line.open_reservations:
        what = f"settle or release the {money} held for {key}"
        yield charter.requester, what, f"lab spend {line.name} AMOUNT --settle {shlex.quote(key)}"
    if line.state == "decided":
        return
    if now < line.pilot.closes:
        until = date_time(line.pilot.closes)
        yield charter.requester, f"record what is late: it is taken until {until}", f"lab record {line.name} FILE"
    elif not line.submitted:
        yield charter.requester, "analyse and submit: no decision by then is *stop*", f"lab analyse {line.name}"
    if near:
        what = "decide: no decision by then is *stop*" + ("" if line.submitted else "; nothing has been submitted yet")
        yield charter.owner, what, f"promote decide {line.name} WORD --as {charter.owner} --reason TEXT"
