"""The calendar: what lies when, who shares whose customers by the Lab's own rule, and what is to be decided."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from lab.launch.launch import launch
from lab.pilots.layers import clashes
from lab.pilots.promise import freeze
from lab.state import open_lab
from pilotplant.desk.desk import Desk
from pilotplant.desk.views.calendar import _scheduled, calendar
from pilotplant.desk.views.weeks import WEEKS, around
from shared.core.clock import parse_rfc3339
from shared.core.times import read_in
from shared.experiment.play import Schedule
from tests.desk import at
from tests.lab_makers import BEFORE, CARD, DEADLINE, ENDS, OWNER, PILOT, STARTS, draft, stage_copy

RELEASE = f"{PILOT}-letter"
LAYER = "time_box:", "layer: {{name: mail, start: {}, end: {}}}\ntime_box:"
LATER = ("time_box: {start: 2026-01-05, end: 2026-01-19}", "time_box: {start: 2026-01-19, end: 2026-02-02}")


@pytest.fixture
def launched(request, tmp_path):
    return stage_copy(request, tmp_path / "workspace", "launched")


def slice_of(start: str, end: str) -> tuple[str, str]:
    return LAYER[0], LAYER[1].format(start, end)


def test_a_pilots_bar_lies_where_its_days_are(launched):
    found = calendar(launched)
    [bar] = found.pilots
    weeks = WEEKS * 7 * 86_400
    # By hand: the scale begins four weeks before the Monday of the present week.
    monday = datetime(2026, 1, 5, tzinfo=UTC) - timedelta(days=7)
    begin = monday - timedelta(weeks=4)
    assert found.starts == begin
    assert bar.span.left == pytest.approx(100 * (STARTS - begin).total_seconds() / weeks, abs=0.01)
    assert bar.span.width == pytest.approx(100 * (ENDS - STARTS).total_seconds() / weeks, abs=0.02)
    assert bar.due == pytest.approx(100 * (DEADLINE - begin).total_seconds() / weeks, abs=0.01)
    assert [item.at for item in found.deadlines] == [DEADLINE]


def test_what_lies_in_no_week_shown_is_not_shown(launched):
    later = calendar(launched, shift=60)
    assert (later.pilots, later.now, later.overlaps) == ((), None, ())
    assert calendar(launched, shift=2).pilots


def test_two_that_may_meet_are_named_and_so_does_the_forecast(launched):
    draft(launched, "summer-mail", (CARD, ""))
    [found] = calendar(launched).overlaps
    assert {found.one, found.other} == {PILOT, "summer-mail"}
    assert (found.starts, found.ends, found.apart) == (STARTS, ENDS, False)
    told = clashes(open_lab(launched), freeze(launched, "summer-mail"))
    assert any(PILOT in clash for clash in told)


def test_slices_apart_share_nobody_and_the_same_slice_does(launched):
    draft(launched, "north-mail", slice_of("0", "0.5"), (CARD, ""))
    draft(launched, "south-mail", slice_of("0.5", "1"), (CARD, ""))
    draft(launched, "north-again", slice_of("0.25", "0.5"), (CARD, ""))
    found = {frozenset((one.one, one.other)): one.apart for one in calendar(launched).overlaps}
    assert found[frozenset(("north-mail", "south-mail"))] is True
    assert found[frozenset(("north-again", "south-mail"))] is True
    assert found[frozenset(("north-mail", "north-again"))] is False
    assert found[frozenset(("north-mail", PILOT))] is False


def test_pilots_one_after_the_other_are_no_overlap(launched):
    draft(launched, "later-mail", (CARD, ""), LATER, ("decide_by: 2026-01-26", "decide_by: 2026-02-09"))
    assert calendar(launched).overlaps == ()


def test_a_launched_pilot_is_no_draft_any_more(launched):
    draft(launched, "summer-mail", (CARD, ""))
    assert {bar.name: bar.kind for bar in calendar(launched).pilots}["summer-mail"] == "draft"
    launched.clock.set(BEFORE)
    launch(launched, "summer-mail")
    assert {bar.name: bar.kind for bar in calendar(launched).pilots}["summer-mail"] == "running"


def test_a_draft_that_cannot_be_read_is_named_with_the_reason(launched):
    draft(launched, "broken-mail").write_text("pilot: [")
    found = calendar(launched)
    assert [name for name, _ in found.unread] == ["broken-mail"]
    assert [bar.name for bar in found.pilots] == [PILOT]


def test_a_release_has_its_runs_and_meets_a_draft_of_its_customers(desk):
    workspace = desk.workspace
    now = workspace.clock.now()
    draft(workspace, "next-mail", (CARD, ""), LATER, ("decide_by: 2026-01-26", "decide_by: 2026-02-09"))
    found = calendar(workspace)
    [bar] = found.releases
    assert bar.name == RELEASE
    # Every Monday at nine, as the play says, from now until it ends or the weeks do.
    last = min(bar.ends, found.ends)
    mondays = [
        day for n in range(400)
        if now < (day := datetime(2026, 1, 5, 9, tzinfo=UTC) + timedelta(weeks=n)) < last
    ]  # fmt: skip
    assert bar.runs == len(mondays) == len(bar.dots) > 0
    assert [(one.one, one.other) for one in found.overlaps] == [("next-mail", RELEASE)]
    assert any(item.href == f"/factory/{RELEASE}" for item in found.deadlines) is (bar.ends < found.ends)


def test_a_week_keeps_its_days_where_clocks_change():
    read_in(ZoneInfo("Europe/Berlin"))
    try:
        scale = around(datetime(2026, 3, 25, 12, tzinfo=UTC))
        assert [tick.day for tick in scale.ticks()][:6] == ["23 Feb", "2 Mar", "9 Mar", "16 Mar", "23 Mar", "30 Mar"]
        # Sixteen weeks, of which one lacks the hour that Berlin leaves out on 29 March 2026.
        assert scale.end - scale.start == timedelta(weeks=WEEKS, hours=-1)
        assert scale.start == datetime(2026, 2, 22, 23, tzinfo=UTC)
    finally:
        read_in(None)


def test_the_page_keeps_to_its_weeks_and_is_anew_when_a_plan_is_edited(launched):
    path = draft(launched, "summer-mail", (CARD, ""))
    with at(Desk(launched), OWNER) as browser:
        page = browser.page("/calendar?weeks=2")
        assert 'href="/calendar.json?weeks=2&amp;page=1"' in page
        assert 'hx-get="/calendar?weeks=2&amp;page=1"' in page
        assert "One pair shares customers" in page
        assert re.search(r'role="img" aria-label="Summer mail, draft', page)
        path.write_text(path.read_text().replace(*LATER).replace("2026-01-26", "2026-02-09"))
        data = browser.data("/calendar.json?weeks=2")
        assert data["overlaps"] == []
        assert parse_rfc3339(data["pilots"][-1]["starts"]) == ENDS
        assert browser.client.get("/calendar?weeks=9999").status_code == 422


@pytest.mark.parametrize(("cron", "runs"), [("0 9 * * *", WEEKS * 7), ("*/5 * * * *", None)])
def test_of_a_schedule_that_fires_often_the_runs_are_counted_as_far_as_one_can(cron, runs):
    scale = around(datetime(2026, 1, 7, tzinfo=UTC))
    found = _scheduled(Schedule(cron=cron), scale.start, scale.end)
    assert (found and len(found)) == runs
