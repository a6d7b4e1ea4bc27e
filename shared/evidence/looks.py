"""The look schedule: which of the looks that a charter agreed on are due, and whether the numbers may decide."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from shared.evidence.model import Standing
from shared.experiment.charter import Charter
from shared.experiment.sample_plan import AlwaysValid, GroupSequential


@dataclass(frozen=True, slots=True)
class DueLook:
    """A look that was agreed on, and is due: its share of the time box, and when it is taken."""

    share: float
    at: datetime


@dataclass(frozen=True, slots=True)
class LookSchedule:
    """Where in its looks a pilot is.

    Attributes:
        passed: the looks that are due; none for a method without fixed looks.
        until: where the evidence ends, the last of them; None for all data.
        standing: whether the charter lets the numbers decide now.
        complete: whether the time box is over, and all of it in the data.
    """

    passed: tuple[DueLook, ...]
    until: datetime | None
    standing: Standing
    complete: bool


def look_schedule(charter: Charter, covers_until: datetime | None = None) -> LookSchedule:
    """The schedule as of the first moment whose data is not there; None where all of it is.

    Data that came in after a look do not count before the next one: otherwise it would be a look that nobody agreed on.
    """
    box, looks = charter.time_box, charter.sample.looks
    complete = covers_until is None or covers_until >= box.ends
    if isinstance(looks, AlwaysValid):
        return LookSchedule((), None, "decisive", complete)
    if not isinstance(looks, GroupSequential):
        return LookSchedule((), None, "decisive" if complete else "descriptive", complete)
    agreed = (DueLook(share, box.starts + (box.ends - box.starts) * share) for share in looks.at)
    passed = tuple(look for look in agreed if complete or (covers_until is not None and look.at <= covers_until))
    if not passed:
        return LookSchedule((), None, "descriptive", complete)
    return LookSchedule(passed, passed[-1].at, "decisive", complete)
