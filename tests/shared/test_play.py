"""Plays: schedules that name moments, and files that stay beside the charter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.play import Play, Schedule
from tests.makers import make_charter

PLAY = make_charter().play("letter").model_dump(mode="json")
MONDAYS = Schedule(cron="0 9 * * 1")
CRONS = ["0 9 * * 1", "*/15 * * * *", "30 2 1 * *", "0 0 * * *", "59 23 29 2 *", "0 8-18/2 * * 1-5"]
moments = st.datetimes(datetime(2026, 1, 1), datetime(2031, 1, 1)).map(lambda moment: moment.replace(tzinfo=UTC))


def utc(*parts):
    return datetime(*parts, tzinfo=UTC)


@pytest.mark.parametrize(
    "cron",
    ["", "daily", "@daily", "* * * *", "* * * * * *", "60 * * * *", "0 9 * * 8", "H H * * *", "R 9 * * *", "r r * * *"],
)
def test_what_names_no_certain_moments_is_no_schedule(cron):
    with pytest.raises(ValidationError, match="five cron fields"):
        Schedule(cron=cron)


@pytest.mark.parametrize("cron", ["0 0 30 2 *", "0 0 31 4,6,9,11 *"])
def test_a_day_that_never_comes_is_no_schedule(cron):
    with pytest.raises(ValidationError, match="no day that ever comes"):
        Schedule(cron=cron)


@pytest.mark.parametrize("cron", ["0 9 * * FRI", "0 9 1 MAR *", "0 9 29 2 *"])
def test_names_of_months_and_days_are_taken(cron):
    assert Schedule(cron=cron).cron == cron


@pytest.mark.parametrize("zone", ["", "Mars", "Europe", "../etc", "a" * 300, "/etc/localtime", "x\0y"])
def test_a_time_zone_that_does_not_exist_is_refused(zone):
    with pytest.raises(ValidationError, match="no such time zone"):
        Schedule(cron="0 9 * * 1", timezone=zone)


# 2 February 2026 is a Monday.
@pytest.mark.parametrize(
    ("now", "latest"),
    [
        (utc(2026, 2, 2, 9), utc(2026, 2, 2, 9)),
        (utc(2026, 2, 2, 9, 0, 0, 1), utc(2026, 2, 2, 9)),
        (utc(2026, 2, 2, 8, 59, 59, 999_999), utc(2026, 1, 26, 9)),
        (utc(2026, 2, 8, 23), utc(2026, 2, 2, 9)),
    ],
)
def test_the_latest_occurrence_is_at_or_before_now(now, latest):
    assert MONDAYS.latest(now) == latest


@pytest.mark.parametrize(
    ("now", "following"),
    [
        (utc(2026, 2, 2, 9), utc(2026, 2, 9, 9)),
        (utc(2026, 2, 2, 8, 59, 59, 999_999), utc(2026, 2, 2, 9)),
        (utc(2026, 2, 2, 9, 0, 0, 1), utc(2026, 2, 9, 9)),
    ],
)
def test_the_next_occurrence_is_after_now(now, following):
    assert MONDAYS.next(now) == following


@given(cron=st.sampled_from(CRONS), now=moments)
def test_now_lies_between_the_latest_and_the_next_occurrence(cron, now):
    schedule = Schedule(cron=cron)
    assert schedule.latest(now) <= now < schedule.next(now)


@given(cron=st.sampled_from(CRONS), now=moments)
def test_a_schedule_has_its_own_occurrences(cron, now):
    schedule = Schedule(cron=cron)
    assert schedule.has(schedule.latest(now))
    assert schedule.has(schedule.next(now))


@given(cron=st.sampled_from(CRONS), now=moments)
def test_nothing_happens_between_two_occurrences(cron, now):
    schedule = Schedule(cron=cron)
    assert schedule.next(schedule.latest(now)) == schedule.next(now)


@pytest.mark.parametrize("moment", [utc(2026, 2, 2, 9, 1), utc(2026, 2, 3, 9), utc(2026, 2, 2, 9, 0, 0, 1)])
def test_a_schedule_has_no_other_moments(moment):
    assert not MONDAYS.has(moment)


@pytest.mark.parametrize(
    ("now", "latest"), [(utc(2026, 1, 5, 12), utc(2026, 1, 5, 8)), (utc(2026, 7, 6, 12), utc(2026, 7, 6, 7))]
)
def test_nine_in_berlin_is_eight_utc_in_winter_and_seven_in_summer(now, latest):
    assert Schedule(cron="0 9 * * *", timezone="Europe/Berlin").latest(now) == latest


@pytest.mark.parametrize(("minutes", "due"), [(-1, False), (0, True), (60, True), (61, False)])
def test_an_occurrence_is_due_from_its_moment_to_the_end_of_its_grace(minutes, due):
    occurrence = utc(2026, 2, 2, 9)
    assert MONDAYS.still_due(occurrence, occurrence + timedelta(minutes=minutes)) == due


@pytest.mark.parametrize("name", ["", "/etc/passwd", "../secret", "a/../b", ".hidden", "a\\b"])
def test_a_file_that_is_not_beside_the_charter_is_refused(name):
    with pytest.raises(ValidationError):
        Play.model_validate({**PLAY, "audience": name})


def test_a_play_keeps_a_twentieth_apart_unless_it_says_otherwise():
    assert Play.model_validate({key: PLAY[key] for key in PLAY if key != "holdout_frac"}).holdout == Fraction(1, 20)


@pytest.mark.parametrize("share", [1, -0.1, "NaN", "Infinity"])
def test_a_holdout_of_everybody_or_nobody_knows_whom_is_refused(share):
    with pytest.raises(ValidationError):
        Play.model_validate({**PLAY, "holdout_frac": share})


def test_the_files_of_a_play_are_its_audience_and_its_template():
    assert Play.model_validate(PLAY).files == ("audience.sql", "message.txt")
