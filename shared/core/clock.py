"""The one clock: real in a live workspace, and settable in a rehearsal (invariant 4)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from shared.core.errors import BadInput, Refused
from shared.core.files import write_atomically

# What a workspace plans and records lies between these years: beyond them a day more may be no date any longer.
YEARS = range(2000, 2200)


@dataclass(frozen=True, slots=True)
class Clock:
    """Tells the time in UTC.

    Attributes:
        offset_file: where a rehearsal keeps its distance from real time; None in a live workspace.
    """

    offset_file: Path | None = None

    def now(self) -> datetime:
        """This moment, UTC, to the microsecond; raises BadInput where a rehearsal's clock shows none that can be."""
        offset, real, where = self._offset(), datetime.now(UTC), str(self.offset_file)
        if not offset:
            return real
        try:
            found = real + offset
        except OverflowError as error:
            raise BadInput(
                "the rehearsal's clock shows no moment",
                where=where,
                remedy="bring it back to the present: pilotplant clock now",
            ) from error
        _require_year(found, where)
        return found

    def set(self, moment: datetime) -> None:
        """Moves a rehearsal's clock to `moment`, from where it runs on.

        Raises Refused in a live workspace, BadInput for a moment outside the years that a workspace can be in.
        """
        _require_year(moment, "MOMENT")
        self._write(moment - datetime.now(UTC))

    def follow_real_time(self) -> None:
        """Brings a rehearsal's clock back to the present."""
        self._write(timedelta(0))

    def _offset(self) -> timedelta:
        if self.offset_file is None or not self.offset_file.exists():
            return timedelta(0)
        try:
            return timedelta(seconds=float(json.loads(self.offset_file.read_text())["offset_s"]))
        except (ValueError, KeyError, TypeError, OverflowError) as error:
            raise BadInput(
                "the rehearsal's clock file cannot be read",
                where=str(self.offset_file),
                expected='{"offset_s": <seconds>}',
                remedy="delete the file: the rehearsal then follows real time",
            ) from error

    def _write(self, offset: timedelta) -> None:
        if self.offset_file is None:
            raise Refused(
                "the clock of a live workspace cannot be set", remedy="use a rehearsal: pilotplant init DIR --rehearsal"
            )
        write_atomically(self.offset_file, json.dumps({"schema_version": 1, "offset_s": offset.total_seconds()}))


def _require_year(moment: datetime, where: str) -> None:
    if moment.year not in YEARS:
        raise BadInput(
            f"a rehearsal's clock cannot show the year {moment.year}",
            where=where,
            expected=f"a year from {YEARS[0]} to {YEARS[-1]}",
            remedy="bring it back to the present: pilotplant clock now",
        )


def whole_minute(moment: datetime) -> datetime:
    """The minute a moment lies in, as a plain datetime in UTC: cron knows no seconds.

    Libraries' own subclasses of datetime have been seen to lose their time zone on the way through arithmetic.
    """
    return datetime.fromtimestamp(moment.timestamp(), UTC).replace(second=0, microsecond=0)


def rfc3339(moment: datetime) -> str:
    """A moment as every file and `--json` carries it: RFC 3339, UTC, microseconds only where there are some."""
    text = moment.astimezone(UTC).isoformat(timespec="microseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")


def parse_rfc3339(text: str) -> datetime:
    """The moment in a text that `rfc3339` wrote; raises ValueError for anything without an offset."""
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError(f"a time without its offset from UTC: {text}")
    return moment.astimezone(UTC)
