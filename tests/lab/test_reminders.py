"""Reminders: the clock alone says who must do what until when."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from lab.analysis.analysis import analyse
from lab.analysis.submission import submit
from lab.budget.reservations import reserve
from lab.budget.spend_ledger import spend
from lab.overview.portfolio import lines
from lab.overview.reminders import reminders
from lab.state import open_lab
from pilotplant import app
from promotion.decisions.decision import decide
from promotion.decisions.draft import Asked
from tests.lab_makers import AFTER, DEADLINE, ENDS, INSIDE, OWNER, PILOT, REQUESTER


def due(workspace, at=None, within=3):
    """For whom and what, the first words of it."""
    if at is not None:
        workspace.clock.set(at)
    found = reminders(lines(open_lab(workspace)), within, workspace.clock.now())
    return [(one.who, one.what.split(":")[0], one.until) for one in found]


def test_a_time_box_is_spoken_of_in_its_last_days_only(launched):
    assert due(launched, ENDS - timedelta(days=3, minutes=1)) == []
    assert due(launched, ENDS - timedelta(days=2, hours=23)) == [(REQUESTER, "record what is missing", ENDS)]
    assert due(launched, within=0) == []


def test_after_the_end_the_requester_submits_and_near_the_deadline_the_owner_hears_of_it_too(recorded):
    assert due(recorded, AFTER) == [(REQUESTER, "analyse and submit", DEADLINE)]
    assert due(recorded, DEADLINE - timedelta(days=1)) == [
        (REQUESTER, "analyse and submit", DEADLINE),
        (OWNER, "decide", DEADLINE),
    ]
    assert due(recorded, DEADLINE) == []


def test_the_owner_of_a_submitted_pilot_is_reminded_before_the_deadline_and_not_once_it_is_decided(submitted):
    assert due(submitted) == []
    assert due(submitted, DEADLINE - timedelta(hours=5)) == [(OWNER, "decide", DEADLINE)]
    decide(submitted, PILOT, Asked("stop", OWNER, "nothing to scale here", insight="Letters bring visits."))
    assert due(submitted) == []


def test_a_budget_that_is_nearly_gone_and_money_that_is_still_held_are_due(recorded):
    recorded.clock.set(INSIDE - timedelta(days=7))
    # 40 of 100 are spent.
    spend(recorded, PILOT, Decimal("20.00"), "stamps")
    reserve(recorded, PILOT, Decimal("29.99"), "mailing")
    assert due(recorded) == []
    spend(recorded, PILOT, Decimal("0.01"), "a pin")
    assert due(recorded) == [(REQUESTER, "90.00 USD of 100.00 USD are spent or held, 10.00 USD are left", ENDS)]
    assert due(recorded, AFTER) == [
        (REQUESTER, "settle or release the 29.99 USD held for mailing", DEADLINE),
        (REQUESTER, "analyse and submit", DEADLINE),
    ]


def test_a_pilot_that_was_decided_before_all_its_bills_were_in_waits_for_them(recorded):
    analyse(recorded, PILOT)
    submit(recorded, PILOT)
    reserve(recorded, PILOT, Decimal("30.00"), "mailing")
    decide(recorded, PILOT, Asked("stop", OWNER, "nothing to scale here", insight="Letters bring visits."))
    [line] = lines(open_lab(recorded))
    assert (line.state, line.waits_for, line.until) == ("decided", f"{REQUESTER} (bills)", DEADLINE)
    assert due(recorded) == [(REQUESTER, "settle or release the 30.00 USD held for mailing", DEADLINE)]
    assert due(recorded, DEADLINE) == []
    # Nobody can say any more that it was less.
    [line] = lines(open_lab(recorded))
    assert str(line.cost) == "70.00 USD"


@pytest.mark.parametrize("moment", [INSIDE, AFTER])
def test_remind_prints_what_a_timer_mails_and_ends_with_0(recorded, capsys, moment):
    recorded.clock.set(moment)
    place = ["--workspace", str(recorded.root)]
    capsys.readouterr()
    assert app._exit_code([*place, "lab", "remind", "--json"]) == 0
    [found] = json.loads(capsys.readouterr().out)["due"]
    assert (found["pilot"], found["for"]) == (PILOT, REQUESTER)
    assert found["next"].startswith("pilotplant lab ")
    for command in (["lab", "list"], ["status"]):
        assert app._exit_code([*place, *command]) == 0
        assert f"Due: {PILOT}: {REQUESTER}, {found['what']}" in " ".join(capsys.readouterr().out.split())


def test_nothing_due_says_so(launched, capsys):
    assert app._exit_code(["--workspace", str(launched.root), "lab", "remind"]) == 0
    assert "Nothing is due." in capsys.readouterr().out
