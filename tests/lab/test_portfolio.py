"""The Lab at a glance: states that the clock alone decides, and measures that add up."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lab.insights.insights import insights
from lab.launch.launch import end
from lab.overview.measures import measures
from lab.overview.portfolio import drafts, lines
from lab.state import open_lab
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from shared.core.jsonable import jsonable
from shared.core.money import Money
from tests.lab_makers import AFTER, DEADLINE, INSIDE, PILOT, draft

INSIGHT = "Letters bring visits, and cards do not."


def line(workspace):
    """The one pilot's line."""
    [found] = lines(open_lab(workspace))
    return found


def stop(workspace):
    """The owner stops the pilot."""
    decide(workspace, PILOT, Asked("stop", "owner@example.com", "nothing to scale here", insight=INSIGHT))


def test_the_clock_alone_moves_a_pilot_from_running_to_ended_to_decided(submitted):
    seen = []
    for moment in (INSIDE, AFTER, DEADLINE - timedelta(minutes=1), DEADLINE):
        submitted.clock.set(moment)
        found = line(submitted)
        seen.append((found.state, found.word, found.waits_for, found.until))
    ends, deadline = AFTER - timedelta(hours=10), DEADLINE
    assert seen == [
        ("running", None, "requester@example.com (data)", ends),
        ("ended", None, "owner@example.com (decision)", deadline),
        ("ended", None, "owner@example.com (decision)", deadline),
        ("decided", "stop", None, None),
    ]


def test_before_submission_it_is_the_requesters_move(recorded):
    recorded.clock.set(AFTER)
    assert line(recorded).waits_for == "requester@example.com (submission)"


def test_closing_early_ends_it(recorded):
    end(recorded, PILOT, "the printer broke")
    assert line(recorded).state == "ended"


def test_a_line_counts_what_came_in_and_what_it_cost(recorded):
    found = jsonable(line(recorded))
    # Three arms of 150 planned units.
    assert (found["exposures"], found["planned_units"]) == (600, 450)
    assert found["spent"] == {"amount": "40.00", "currency": "USD"}
    assert found["budget"] == {"amount": "100.00", "currency": "USD"}
    assert found["ends"] == "2026-01-19T00:00:00Z"


def test_what_was_decided_is_decided_at_once_and_its_insight_can_be_found(submitted):
    stop(submitted)
    assert (line(submitted).state, line(submitted).word) == ("decided", "stop")
    room = open_lab(submitted)
    [found] = insights(room)
    assert (found.pilot, found.word, found.claim, found.owner) == (PILOT, "stop", INSIGHT, "owner@example.com")
    assert len(insights(room, "VISITS letters")) == 1
    assert insights(room, "visits billboards") == []


def test_silence_past_the_deadline_is_stop_and_teaches_only_that(submitted):
    submitted.clock.set(DEADLINE)
    [found] = insights(open_lab(submitted))
    assert (found.word, found.claim, found.at) == ("stop", "no decision was made", "2026-01-27T00:00:00Z")


def test_measures_add_up(submitted):
    draft(submitted, "autumn-mail")
    before = measures(open_lab(submitted))
    assert before.pilots == {"running": 0, "ended": 1, "decided": 0}
    assert (before.drafts, before.insights, before.days_to_decision) == (1, 0, None)
    assert before.cost_per_insight is None
    # 20,000 less the 100 that an open pilot reserves.
    assert before.budget_left == Money(amount=19900, currency="USD")
    stop(submitted)
    after = measures(open_lab(submitted))
    assert after.decisions == {"scale": 0, "revise": 0, "stop": 1}
    assert after.lapsed == 0
    # Launched on the 4th at noon, decided on the 19th at ten: 14 days and 22 hours.
    assert after.days_to_decision == pytest.approx(14.9)
    assert after.cost_per_insight == Money(amount=40, currency="USD")
    # Once it is decided, a pilot binds what it has cost.
    assert after.budget_left == Money(amount=19960, currency="USD")
    assert after.waiting == ()


def test_silence_sets_the_rest_of_the_reserve_free_and_is_neither_a_stop_nor_an_insight(submitted):
    submitted.clock.set(DEADLINE)
    found = measures(open_lab(submitted))
    assert found.budget_left == Money(amount=19960, currency="USD")
    assert found.decisions == {"scale": 0, "revise": 0, "stop": 0}
    assert found.lapsed == 1
    assert (found.insights, found.cost_per_insight) == (0, None)


def test_a_draft_is_one_until_it_is_launched(launched):
    assert drafts(open_lab(launched)) == []
    draft(launched, "autumn-mail")
    assert drafts(open_lab(launched)) == ["autumn-mail"]


def test_the_lab_without_pilots_has_measures_too(loaded):
    found = measures(open_lab(loaded))
    assert (found.drafts, found.pilots) == (1, {"running": 0, "ended": 0, "decided": 0})
