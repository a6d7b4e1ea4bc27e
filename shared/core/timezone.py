"""The name of a time zone, as settings and charters give it; read apart from what words a time."""

from __future__ import annotations

from typing import Annotated
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator


def _known_zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError("no such time zone; expected a name like Europe/Berlin or UTC") from error
    return name


TimeZone = Annotated[str, AfterValidator(_known_zone)]
