"""The journal: a night in lines, from a moment on, of everything or of one release."""

from datetime import UTC, datetime, timedelta

import pytest

from factory.releases.releases import pause, resume, resume_all, stop_all
from factory.runtime.campaign import run_now
from factory.runtime.journal import journal, moment_of
from factory.state.room import open_factory
from factory.warehouse.load import load
from shared.core.errors import BadInput
from tests.makers import RELEASE, at_work, customers_csv

NOW = datetime(2026, 2, 2, 9, 10, tzinfo=UTC)


@pytest.fixture
def night(one_release, tmp_path):
    """A release ran, was paused and resumed, everything was stopped and went on, and a table was loaded."""
    workspace = at_work(one_release, tmp_path / "workspace")
    run_now(workspace, RELEASE)
    pause(workspace, RELEASE, reason="a typo")
    resume(workspace, RELEASE, reason="corrected")
    stop_all(workspace, reason="complaints")
    resume_all(workspace, reason="answered")
    load(workspace, "customers", customers_csv(tmp_path / "customers.csv", rows=210))
    return workspace


def test_a_night_is_told_in_order(night):
    found = [(event.subject, event.what) for event in journal(night)]
    mine = [what for subject, what in found if subject == RELEASE]
    assert mine[0] == "admitted"
    assert mine[1].startswith("run of 2026-02-02T09:00:00Z done: ")
    assert [what.split(" by ")[0] for what in mine[2:]] == ["paused", "live again", "paused", "live again"]
    assert [what.rsplit(": ", 1)[1] for what in mine[2:]] == ["a typo", "corrected", "complaints", "answered"]
    assert any(what.startswith("EVERYTHING STOPPED") for _, what in found)
    assert found[-1] == ("customers", "loaded: 210 rows, 0 quarantined")


def test_of_one_release_what_concerned_all_is_told_too(night):
    assert {event.subject for event in journal(night, release=RELEASE)} == {RELEASE, "stop-all"}


def test_only_what_happened_since_is_told(night):
    night.clock.set(open_factory(night).now() + timedelta(hours=2))
    pause(night, RELEASE, reason="again")
    assert [event.what.split(": ")[-1] for event in journal(night, since="1h", release=RELEASE)] == ["again"]


def test_a_release_that_nobody_has_is_named_with_those_there_are(night):
    with pytest.raises(BadInput) as caught:
        journal(night, release="spring")
    assert caught.value.expected == f"one of: {RELEASE}"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("today", datetime(2026, 2, 2, tzinfo=UTC)), ("yesterday", datetime(2026, 2, 1, tzinfo=UTC)),
        ("90m", NOW - timedelta(minutes=90)), ("12h", NOW - timedelta(hours=12)), ("3d", NOW - timedelta(days=3)),
        ("2w", NOW - timedelta(weeks=2)), ("2026-01-31", datetime(2026, 1, 31, tzinfo=UTC)),
        ("2026-01-31T10:00:00+02:00", datetime(2026, 1, 31, 8, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_since_when_may_be_said_in_words_spans_and_moments(text, moment):
    assert moment_of(text, NOW) == moment


@pytest.mark.parametrize("text", ["", "tomorrow", "12", "12x", "-3d", "99999d", "2026-02-30", "2026-01-31T10:00", "x"])
def test_what_names_no_moment_is_refused(text):
    with pytest.raises(BadInput, match="names no moment"):
        moment_of(text, NOW)
