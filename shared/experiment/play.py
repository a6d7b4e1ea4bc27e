"""A play: the production definition of an arm, what the Factory runs if the arm is promoted."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from itertools import takewhile
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from croniter import CroniterBadDateError, croniter
from pydantic import AfterValidator, Field

from shared.core.frozen import FrozenModel
from shared.core.timezone import TimeZone
from shared.experiment.precautions import Action, Review, Rollout

CRON_FIELDS = 5
# More than any change of the clock today: an hour, or two at the Troll station (tz database, Antarctica/Troll).
SHIFT_MAX = timedelta(hours=3)
# DESIGN: every release keeps a twentieth of its audience apart unless its play says otherwise.
HOLDOUT_FRAC = Decimal("0.05")


def _cron(text: str) -> str:
    # croniter draws the value of an `R` at random, another one at every call.
    if len(text.split()) != CRON_FIELDS or re.search(r"\br\b", text.lower()) or not croniter.is_valid(text):
        raise ValueError("a schedule has five cron fields, like `0 9 * * 1` for Mondays at nine")
    try:
        croniter(text).get_next()
    except CroniterBadDateError as error:
        raise ValueError("this schedule names no day that ever comes") from error
    return text


def is_scheduled(cron: str) -> bool:
    """Whether Prefect makes runs of a schedule that is one for us.

    Its croniter is older: it knows no `W`, and gives up where the day of the month never comes, whatever the weekday.
    """
    if re.search(r"\dw|w\d", cron.lower()):
        return False
    try:
        croniter(" ".join([*cron.split()[:-1], "*"])).get_next()
    except CroniterBadDateError:
        return False
    return True


def _file_name(name: str) -> str:
    if name.startswith(("/", ".")) or ".." in name or "\\" in name:
        raise ValueError("files lie beside the charter: a plain name like audience.sql")
    return name


FileName = Annotated[str, Field(min_length=1), AfterValidator(_file_name)]


class Schedule(FrozenModel):
    """When a play runs.

    Attributes:
        cron: five fields, read in `timezone`.
        timezone: an IANA name.
        grace_minutes: how late an occurrence may still be run; after that it is skipped and said so.
    """

    cron: Annotated[str, AfterValidator(_cron)]
    timezone: TimeZone = "UTC"
    grace_minutes: int = Field(default=60, ge=1)

    def latest(self, now: datetime) -> datetime:
        """The last occurrence at or before `now`."""
        walls = croniter(self.cron, self._wall(now) + SHIFT_MAX).all_prev(datetime)
        last = next(wall for wall in walls if self._moment(wall) <= now)
        near = [last, *takewhile(lambda wall: wall >= last - SHIFT_MAX, walls)]
        return max(moment for moment in map(self._moment, near) if moment <= now).astimezone(now.tzinfo)

    def next(self, now: datetime) -> datetime:
        """The first occurrence after `now`."""
        walls = croniter(self.cron, self._wall(now) - SHIFT_MAX).all_next(datetime)
        first = next(wall for wall in walls if self._moment(wall) > now)
        near = [first, *takewhile(lambda wall: wall <= first + SHIFT_MAX, walls)]
        return min(moment for moment in map(self._moment, near) if moment > now).astimezone(now.tzinfo)

    def between(self, start: datetime, end: datetime) -> frozenset[datetime]:
        """The occurrences after `start`, up to and with `end`; as `next` names them one after another."""
        walls = croniter(self.cron, self._wall(start) - SHIFT_MAX).all_next(datetime)
        within = takewhile(lambda wall: wall <= self._wall(end) + SHIFT_MAX, walls)
        return frozenset(moment for moment in map(self._moment, within) if start < moment <= end)

    def has(self, occurrence: datetime) -> bool:
        """Whether the schedule names this very moment."""
        # In one zone, Python compares clock faces: both passes of a repeated hour would be the same.
        moment = occurrence.astimezone(UTC)
        return self.latest(moment) == moment

    def _wall(self, moment: datetime) -> datetime:
        """What a clock on the wall shows."""
        return moment.astimezone(ZoneInfo(self.timezone)).replace(tzinfo=None)

    def _moment(self, wall: datetime) -> datetime:
        """When the clock shows it, in UTC, once: in the first pass of a repeated hour.

        A time that the clock leaves out is counted back from after the change: 02:30 becomes 01:30. Prefect's
        schedules do both as well, and an occurrence counts only if the two agree.
        """
        local = wall.replace(tzinfo=ZoneInfo(self.timezone))
        return min(local.replace(fold=fold).astimezone(UTC) for fold in (0, 1))

    def still_due(self, occurrence: datetime, now: datetime) -> bool:
        """Whether an occurrence has come and is not too late."""
        return occurrence <= now <= occurrence + timedelta(minutes=self.grace_minutes)


class Play(FrozenModel):
    """A campaign: one message to each unit of an audience, at every occurrence of a schedule.

    Attributes:
        kind: `campaign`; other kinds come later.
        audience: the file with one SELECT that returns `unit`s.
        subject: a one-line template.
        template: the file with the message's template.
        fields: columns of the population's table that the templates may use.
        channel: where messages go.
        schedule: when.
        holdout_frac: the share of the audience that is left alone.
        actions: what of it may do harm, besides writing to customers, which every campaign does.
        review: who looks before it reaches customers.
        rollout: how it grows, is watched and is taken back.
    """

    kind: Literal["campaign"]
    audience: FileName
    subject: str = Field(min_length=1)
    template: FileName
    fields: tuple[str, ...] = ()
    channel: Literal["file"] = "file"
    schedule: Schedule
    holdout_frac: Decimal = Field(default=HOLDOUT_FRAC, ge=0, lt=1)
    # Left out of what is dumped where they say nothing, so that charters without them keep their digests.
    actions: tuple[Action, ...] = Field(default=(), exclude_if=lambda actions: not actions)
    review: Review | None = Field(default=None, exclude_if=lambda review: review is None)
    rollout: Rollout | None = Field(default=None, exclude_if=lambda rollout: rollout is None)

    @property
    def risky(self) -> tuple[Action, ...]:
        """What of it may do harm, each once; a campaign writes to customers whether or not it says so."""
        return tuple(dict.fromkeys(("outbound", *self.actions)))

    @property
    def holdout(self) -> Fraction:
        """The holdout's share, exactly."""
        return Fraction(self.holdout_frac)

    @property
    def files(self) -> tuple[str, str]:
        """The files that belong to the play."""
        return self.audience, self.template
