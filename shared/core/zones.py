"""Names of time zones, and whether everything that reads one knows it."""

from __future__ import annotations

from functools import cache
from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("no such time zone; expected a name like Europe/Berlin or UTC") from error
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]


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
