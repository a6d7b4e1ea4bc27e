"""The recording: whether all of the time box is in the data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise

from shared.core.clock import parse_rfc3339
from shared.evidence.health.context import HealthContext
from shared.evidence.model import Symptom

# So improbable a silence between outcomes that the recording, and not chance, is to be asked about.
SILENCE_P_MIN = 0.001
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


# A mail that was sent again to a few because it had bounced is still one mail; and it goes out within two days.
ONCE_MAX, ONCE_WITHIN = 1.05, timedelta(days=2)


def were_exposed_once(exposures: int, units: int, first: str | None, last: str | None) -> bool:
    """Whether units were reached once, and all of them at about the same time."""
    if not units or first is None or last is None:
        return False
    return exposures <= ONCE_MAX * units and parse_rfc3339(last) - parse_rfc3339(first) <= ONCE_WITHIN


def _once(context: HealthContext) -> bool:
    told = context.summary
    return context.charter.exposure == "once" and were_exposed_once(
        told.exposures, sum(told.units.values()), told.first_exposure, told.last_exposure
    )


def recording_gaps(context: HealthContext) -> Iterator[Symptom]:
    """The longest run of days without an outcome between two that have some, against a steady stream of them."""
    if _once(context):
        reason = "units are exposed once, by the plan: outcomes die away, and silence between them says nothing"
        yield Symptom(check="recording_gaps", state="good", measured=1.0, threshold=SILENCE_P_MIN, reason=reason)
        return
    check, days = "recording_gaps", sorted(date.fromisoformat(day) for day in context.summary.outcome_days)
    if len(days) < 2:  # noqa: PLR2004 - between two days
        yield Symptom(check=check, state="unevaluable", reason="there are outcomes of fewer than two days")
        return
    longest, start = max((after - before - timedelta(1), before) for before, after in pairwise(days))
    span = (days[-1] - days[0]).days + 1
    per_day = sum(context.summary.outcome_days.values()) / span
    # Poisson: that a given run is empty, times the places where it could begin.
    chance = min(1.0, span * math.exp(-per_day * longest.days)) if longest.days else 1.0
    strange = chance < SILENCE_P_MIN
    yield Symptom(
        check=check,
        state="warning" if strange else "good",
        where=(start + timedelta(1)).isoformat() if strange else None,
        measured=chance,
        threshold=SILENCE_P_MIN,
        reason=f"no outcome for {longest.days} days from {start + timedelta(1)} on: was the recording down?"
        if strange
        else "outcomes came in without a gap that chance does not explain",
    )


def weekdays(context: HealthContext) -> Iterator[Symptom]:
    """Whether every day of the week is in the data."""
    check = "weekdays_complete"
    if _once(context):
        yield Symptom(
            check=check, state="good", reason="units are exposed once, by the plan: no day of the week is asked for"
        )
        return
    if not context.complete:
        yield Symptom(check=check, state="unevaluable", reason="the time box is not over")
        return
    active = {date.fromisoformat(day) for day in context.summary.outcome_days}
    active |= {date.fromisoformat(str(day)) for _, day in context.summary.day_units}
    silent = [WEEKDAYS[n] for n in range(len(WEEKDAYS)) if n not in {day.weekday() for day in active}]
    yield Symptom(
        check=check,
        state="warning" if silent else "good",
        measured=float(len(WEEKDAYS) - len(silent)),
        threshold=float(len(WEEKDAYS)),
        reason=f"nothing was ever recorded on a {', '.join(silent)}"
        if silent
        else "every day of the week is in the data",
    )
