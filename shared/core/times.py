"""Moments as people read them, in the team's zone; what is sealed, signed or said in JSON is UTC and says so.

A finding of the gate is signed as it was said, so the times in it are UTC as well.
"""

from __future__ import annotations

from contextvars import ContextVar
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo

from shared.core.clock import parse_rfc3339

# In which people read times; None for UTC.
_zone: ContextVar[ZoneInfo | None] = ContextVar("zone", default=None)


def read_in(zone: ZoneInfo | None) -> None:
    """From now on moments are told in that zone; in UTC for None."""
    _zone.set(zone)


def date_time(moment: datetime | str | None) -> str:
    """A moment for people: to the minute, in the team's zone. What was recorded and is none is told as it is."""
    return _told(moment, "%Y-%m-%d %H:%M %Z")


def spoken(moment: datetime | str | None) -> str:
    """A moment as one says it, in the team's zone: `Friday 4 December 2026, 18:00`."""
    return _told(moment, "%A {day} %B %Y, %H:%M")


def spoken_day(moment: datetime | str | None) -> str:
    """Its day, as one says it: `Friday 4 December 2026`."""
    return _told(moment, "%A {day} %B %Y")


def zone() -> tzinfo:
    """The zone in which times are told."""
    return _zone.get() or UTC


def zone_name() -> str:
    """The name of the zone in which times are told."""
    return str(_zone.get() or "UTC")


def day(moment: datetime | str | None) -> str:
    """The day of a moment for people, in the team's zone."""
    return _told(moment, "%Y-%m-%d")


def last_day(end: datetime) -> str:
    """The last day of a time that ends at this moment, in the team's zone: of midnight that before it."""
    return day(end - timedelta(microseconds=1))


def _told(moment: datetime | str | None, form: str) -> str:
    if moment is None:
        return "–"
    try:
        known = parse_rfc3339(moment) if isinstance(moment, str) else moment
        here = known.astimezone(_zone.get() or UTC)
        # What strftime says for a day without its zero is not the same on every system.
        return here.strftime(form).replace("{day}", str(here.day))
    except (ValueError, OverflowError):
        return str(moment)
