from __future__ import annotations

import pytest

from promotion.gate.gate import judge
from promotion.gate.policy import read_settings
from tests.promotion.cases import GOOD, TRIED, Recorded
from tests.promotion.preflights import passing, put


@pytest.fixture
def found(ask_of):
    def one(shadow_run, **rule):
        [finding] = ask_of("shadow_run", {"at": TRIED, "shadow_run": shadow_run}, **rule)
        return finding

    return one


def test_a_play_that_runs_passes_for_its_arm_with_its_numbers(found):
    finding = found({})
    assert (finding.outcome, finding.arm) == ("passed", "letter")
    assert "95 messages to 100 units" in finding.reason


def test_what_the_factory_would_not_run_fails_with_its_reasons(found):
    finding = found({"refusals": ["field `email` of table `customers` is personal"], "messages": 0})
    assert finding.outcome == "failed"
    assert "`email`" in finding.reason


def test_what_could_not_be_tried_is_unevaluable(found):
    finding = found({"problem": "this kernel cannot confine SQL", "messages": 0})
    assert finding.outcome == "unevaluable"
    assert "cannot confine" in finding.reason


def test_a_play_for_nobody_fails(found):
    assert found({"messages": 0, "audience": 0, "held_out": 0}).outcome == "failed"
    assert found({}, messages_min=95).outcome == "passed"
    assert found({}, messages_min=96).outcome == "failed"


@pytest.mark.parametrize(("strangers", "outcome"), [(1, "passed"), (2, "failed")])
def test_units_that_nobody_knows_are_allowed_to_one_in_a_hundred(found, strangers, outcome):
    assert found({"strangers": strangers}).outcome == outcome


def test_an_arm_that_the_report_does_not_name_is_unevaluable(ask_of):
    [finding] = ask_of("shadow_run", {"at": TRIED, "shadow_runs": []})
    assert (finding.outcome, finding.arm) == ("unevaluable", "letter")


def test_one_arm_may_run_where_another_does_not(stage):
    three = {"arms": stage.three_arms()}
    candidate = stage.submit(charter=three, arms={**GOOD, "card": Recorded(visits=60)})
    report = passing(stage.workspace, candidate, TRIED)
    letter, card = report.shadow_runs
    refused = card.model_copy(update={"refusals": ("the box stopped it",)})
    put(stage.workspace, report.model_copy(update={"shadow_runs": (letter, refused)}))
    judgement = judge(stage.open(candidate), read_settings(stage.workspace).policy("standard"))
    assert judgement.verdicts == {"letter": "admit", "card": "refuse"}
