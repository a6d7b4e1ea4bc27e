"""Plays: schedules that name moments, and files that stay beside the charter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from shared.experiment.play import Play, Schedule
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


# In 2026 Berlin's clocks go forward on 29 March and back on 25 October, both at 01:00 UTC; Lord Howe's by half an hour
# on 4 April (15:00 UTC) and 3 October (15:30 UTC).
CHANGES = [
    ("Europe/Berlin", utc(2026, 3, 29, 1)),
    ("Europe/Berlin", utc(2026, 10, 25, 1)),
    ("Australia/Lord_Howe", utc(2026, 4, 4, 15)),
    ("Australia/Lord_Howe", utc(2026, 10, 3, 15, 30)),
]
DAILY_AND_HOURLY = ["30 2 * * *", "0 * * * *", "0 2 * * *", "*/15 * * * *", "*/30 1-3 * * *", "0 */2 * * *"]


@given(
    cron=st.sampled_from(DAILY_AND_HOURLY),
    change=st.sampled_from(CHANGES),
    offset=st.integers(-26 * 3600, 26 * 3600).map(lambda seconds: timedelta(seconds=seconds)),
)
def test_latest_next_and_has_agree_where_the_clocks_change(cron, change, offset):
    zone, moment = change
    schedule, now = Schedule(cron=cron, timezone=zone), moment + offset
    latest, following = schedule.latest(now), schedule.next(now)
    assert latest <= now < following
    assert schedule.has(latest)
    assert schedule.has(following)
    assert schedule.next(latest) == following
    assert schedule.latest(following - timedelta(seconds=1)) == latest


def day(cron, start):
    """The occurrences of 30 hours."""
    schedule, moment, found = Schedule(cron=cron, timezone="Europe/Berlin"), start, []
    while (moment := schedule.next(moment)) <= start + timedelta(hours=30):
        found.append(moment)
    return found


def test_a_daily_play_runs_once_on_the_day_with_the_repeated_hour():
    assert day("30 2 * * *", utc(2026, 10, 24, 20)) == [utc(2026, 10, 25, 0, 30), utc(2026, 10, 26, 1, 30)]


def test_a_daily_play_is_not_lost_on_the_day_without_its_hour():
    assert day("30 2 * * *", utc(2026, 3, 28, 20)) == [utc(2026, 3, 29, 0, 30), utc(2026, 3, 30, 0, 30)]


def test_an_hourly_play_runs_once_for_each_hour_that_the_clock_shows():
    hours = [moment.hour for moment in day("0 * * * *", utc(2026, 10, 24, 22))]
    assert hours[:5] == [23, 0, 2, 3, 4]


def test_the_second_pass_of_a_repeated_hour_is_another_moment():
    schedule, zone = Schedule(cron="30 2 * * *", timezone="Europe/Berlin"), ZoneInfo("Europe/Berlin")
    passes = [datetime(2026, 10, 25, 2, 30, tzinfo=zone, fold=fold) for fold in (0, 1)]
    assert [schedule.has(moment) for moment in passes] == [True, False]


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


@pytest.mark.parametrize("cron", ["0 9 * * *", "30 2 * * *", "*/20 * * * *", "0 0 1 * *"])
@pytest.mark.parametrize(
    "start", ["2026-03-28T12:00:00+00:00", "2026-10-24T12:00:00+00:00", "2026-06-01T00:00:00+00:00"]
)
def test_the_occurrences_between_two_moments_are_those_that_follow_one_another(cron, start):
    """The clock in Berlin is changed within the first two spans: one hour is left out, one comes twice."""
    schedule = Schedule(cron=cron, timezone="Europe/Berlin")
    moment, end = datetime.fromisoformat(start), datetime.fromisoformat(start) + timedelta(days=2)
    found, after = set(), schedule.next(moment)
    while after <= end:
        found.add(after)
        after = schedule.next(after)
    assert schedule.between(moment, end) == found
