"""The clock: real where a workspace is live, settable in a rehearsal; and how moments are written."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone

import pytest
import time_machine
from hypothesis import given
from hypothesis import strategies as st

from shared.core.clock import Clock, parse_rfc3339, rfc3339
from shared.core.errors import BadInput, Refused

REAL = datetime(2026, 2, 2, 9, tzinfo=UTC)


@pytest.fixture
def clock(tmp_path):
    return Clock(tmp_path / "clock.json")


def test_a_live_clock_tells_real_time():
    with time_machine.travel(REAL, tick=False):
        assert Clock().now() == REAL


def test_a_clock_tells_the_time_in_utc():
    assert Clock().now().tzinfo is UTC


def test_a_live_clock_cannot_be_set():
    with pytest.raises(Refused, match="cannot be set"):
        Clock().set(REAL)


def test_a_live_clock_ignores_that_it_should_follow():
    with pytest.raises(Refused):
        Clock().follow_real_time()


def test_a_rehearsal_tells_real_time_until_it_is_set(clock):
    with time_machine.travel(REAL, tick=False):
        assert clock.now() == REAL


def test_a_set_clock_runs_on_from_there(clock):
    with time_machine.travel(REAL, tick=False) as real:
        clock.set(datetime(2030, 1, 1, tzinfo=UTC))
        real.shift(timedelta(minutes=5))
        assert clock.now() == datetime(2030, 1, 1, 0, 5, tzinfo=UTC)


def test_a_set_clock_is_the_same_for_every_process_that_reads_it(clock):
    with time_machine.travel(REAL, tick=False):
        clock.set(datetime(2020, 1, 1, tzinfo=UTC))
        assert Clock(clock.offset_file).now() == datetime(2020, 1, 1, tzinfo=UTC)


def test_a_set_clock_can_be_brought_back(clock):
    with time_machine.travel(REAL, tick=False):
        clock.set(datetime(2030, 1, 1, tzinfo=UTC))
        clock.follow_real_time()
        assert clock.now() == REAL


def test_the_file_of_a_set_clock_says_its_schema_version(clock):
    clock.set(REAL)
    assert json.loads(clock.offset_file.read_text())["schema_version"] == 1


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"offset_s": "x"}', '{"offset_s": NaN}', '{"offset_s": 1e999}', '{"offset_s": null}']
)
def test_a_damaged_clock_file_is_bad_input_and_never_real_time(clock, content):
    clock.offset_file.write_text(content)
    with pytest.raises(BadInput, match="clock file cannot be read"):
        clock.now()


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2026, 2, 2, 9, tzinfo=UTC), "2026-02-02T09:00:00Z"),
        (datetime(2026, 2, 2, 9, 0, 0, 5, tzinfo=UTC), "2026-02-02T09:00:00.000005Z"),
        # RFC 3339, section 5.8: 16:39:57 at eight hours behind UTC.
        (datetime(1996, 12, 19, 16, 39, 57, tzinfo=timezone(timedelta(hours=-8))), "1996-12-20T00:39:57Z"),
    ],
)
def test_a_moment_is_written_in_utc(moment, text):
    assert rfc3339(moment) == text


@given(st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)), st.integers(-14 * 60, 14 * 60))
def test_a_moment_survives_its_text(moment, minutes):
    moment = moment.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert parse_rfc3339(rfc3339(moment)) == moment


@pytest.mark.parametrize("text", ["2026-02-02T09:00:00", "2026-02-02", "today", ""])
def test_a_text_without_offset_is_no_moment(text):
    with pytest.raises(ValueError):
        parse_rfc3339(text)
