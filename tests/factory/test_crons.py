"""Schedules: what our check takes, Prefect takes as well, at the very same moments."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.experiment.play import Schedule, is_scheduled

START = datetime(2026, 1, 30, 7, 31, tzinfo=UTC)  # Prefect counts its start as after it, and we do not
FIELDS = (
    ("0", "59", "*/15", "5/20", "50-10", "0,30"),
    ("9", "*", "23", "8-18/2", "22-2"),
    ("*", "1", "31", "L", "1,15", "10-20/3", "15W", "w1", "?", "30-31", "28-3", "R"),
    ("*", "2", "JAN", "FEB", "1-12/5", "11-2"),
    ("*", "0", "7", "1-5", "sat-mon", "fri#2", "L5", "?", "H"),
)


def ours(cron, zone):
    schedule, moment, found = Schedule(cron=cron, timezone=zone), START, []
    for _ in range(3):
        moment = schedule.next(moment)
        found.append(moment)
    return found


def theirs(cron, zone):
    """By the model with which Prefect's server makes runs."""
    from prefect.server.schemas.schedules import CronSchedule

    found = asyncio.run(CronSchedule(cron=cron, timezone=zone).get_dates(3, START))
    return [moment.astimezone(UTC) for moment in found]


@given(cron=st.tuples(*map(st.sampled_from, FIELDS)).map(" ".join))
@settings(max_examples=60, deadline=None)
def test_what_we_take_prefect_schedules_at_the_same_moments(cron):
    try:
        Schedule(cron=cron)
    except ValidationError:
        assume(False)
    assume(is_scheduled(cron))
    assert theirs(cron, "UTC") == ours(cron, "UTC")


@pytest.mark.parametrize("cron", ["0 9 15W * *", "0 9 w1 * 1", "0 9 31 2 1", "0 0 30-31 FEB mon-fri"])
def test_what_prefect_does_not_schedule_is_none_for_us(cron):
    Schedule(cron=cron)
    assert not is_scheduled(cron)
    with pytest.raises(ValueError, match=r"Invalid cron string|failed to find"):
        theirs(cron, "UTC")


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Asia/Kathmandu", "America/Argentina/Buenos_Aires"])
@pytest.mark.parametrize("cron", ["0 9 * * 1", "*/30 1-3 L * *", "0 0 29 2 *", "15 23 1 JAN fri"])
def test_a_schedule_has_the_same_moments_in_prefect(cron, zone):
    assert theirs(cron, zone) == ours(cron, zone)
