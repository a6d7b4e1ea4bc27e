"""Moments as people read them, in the team's zone; what is sealed, signed or said in JSON is UTC and says so.

A finding of the gate is signed as it was said, so the times in it are UTC as well.
"""

from __future__ import annotations

from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from shared.core.clock import parse_rfc3339

# In which people read times; None for UTC.
_zone: ContextVar[ZoneInfo | None] = ContextVar("zone", default=None)


def read_in(zone: ZoneInfo | None) -> None:
    """From now on moments are told in that zone; in UTC for None."""
    _zone.set(zone)


def date_time(moment: datetime | str | None) -> str:
    """A moment for people: to the minute, in the team's zone. What was recorded and is none is told as it is."""
    return _told(moment, "%Y-%m-%d %H:%M %Z")


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
        return known.astimezone(_zone.get() or UTC).strftime(form)
    except (ValueError, OverflowError):
        return str(moment)


def is_everywhere(zone: str) -> bool:
    """Whether a time zone is one for Python, DuckDB and Prefect alike, and on every machine.

    `localtime`, and names below `posix/` and `right/`, are files of this machine's tz database and no names of it.
    """
    return zone in available_timezones() and zone in _of_the_engine()


@cache
def _of_the_engine() -> frozenset[str]:
    """DuckDB brings a tz database of its own."""
    import duckdb

    return frozenset(name for (name,) in duckdb.sql("SELECT name FROM pg_timezone_names()").fetchall())
