"""A stretch of weeks as a scale: moments become places in per cent, as a drawing of any width needs them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta

from shared.core.times import zone

PAST_WEEKS, WEEKS = 4, 16
# Each week has a line, and every so many its day.
NAMED_EVERY = 4


@dataclass(frozen=True, slots=True)
class Tick:
    """A Monday: its place, its day in words, and whether a narrow drawing names it as well."""

    at: float
    day: str
    narrow: bool


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of time as far as it lies inside: where it begins and how long it is, in per cent."""

    left: float
    width: float


@dataclass(frozen=True, slots=True)
class Weeks:
    """Whole weeks from one Monday on, in the team's zone."""

    start: datetime
    end: datetime

    def holds(self, begin: datetime, end: datetime) -> bool:
        """Whether any of a stretch lies inside."""
        return begin < self.end and end > self.start

    def at(self, moment: datetime) -> float | None:
        """Where a moment is; None outside."""
        return self._place(moment) if self.start <= moment < self.end else None

    def span(self, begin: datetime, end: datetime) -> Span | None:
        """Where a stretch is; None where nothing of it lies inside."""
        if begin >= end or not self.holds(begin, end):
            return None
        left, right = self._place(max(begin, self.start)), self._place(min(end, self.end))
        return Span(left, round(right - left, 2))

    def ticks(self) -> Iterator[Tick]:
        """Its Mondays."""
        for week in range(WEEKS):
            day = _midnight(self.start, week)
            here = day.astimezone(zone())
            yield Tick(self._place(day), f"{here.day} {here:%b}", week % NAMED_EVERY == 0)

    def _place(self, moment: datetime) -> float:
        return round(100 * ((moment - self.start) / (self.end - self.start)), 2)


def around(now: datetime, shift: int = 0) -> Weeks:
    """The weeks around a moment, or so many weeks later; raises OverflowError where the calendar ends."""
    here = now.astimezone(zone())
    monday = here - timedelta(days=here.weekday())
    return Weeks(_midnight(monday, shift - PAST_WEEKS), _midnight(monday, shift - PAST_WEEKS + WEEKS))


def _midnight(day: datetime, weeks: int) -> datetime:
    """The beginning of the day so many weeks later, by the clock on the wall."""
    there = day.astimezone(zone()).date() + timedelta(weeks=weeks)
    # In one zone Python subtracts clock faces, in which an hour may be missing or come twice.
    return datetime.combine(there, time(), zone()).astimezone(UTC)
