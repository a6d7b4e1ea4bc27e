from __future__ import annotations

import pytest

from promotion.gate.gate import judge
from promotion.gate.policy import read_settings
from tests.promotion.cases import GOOD, TRIED, Recorded
from tests.promotion.preflights import passing, put


@pytest.fixture
def found(ask_of):
    def one(shadow_run, **rule):
        [finding] = ask_of("audience_tested", {"at": TRIED, "shadow_run": shadow_run}, **rule)
        return finding

    return one


def test_an_audience_of_those_that_were_tested_passes(found):
    finding = found({"tested": 400, "tested_selected": 400, "audience": 9_000})
    assert (finding.outcome, finding.arm, finding.level) == ("passed", "letter", "warn")
    assert (
        "of 400 units that the pilot was tried on the play would reach 400 (100 %), of 9,000 in all" in finding.reason
    )


@pytest.mark.parametrize(("both", "outcome"), [(3_450, "passed"), (3_449, "failed"), (1_326, "failed"), (0, "failed")])
def test_an_audience_without_one_in_five_of_them_is_warned_of(found, both, outcome):
    finding = found({"tested": 4_312, "tested_selected": both, "audience": 1_326})
    assert (finding.outcome, finding.measured) == (
        outcome, {"tested": 4_312, "of_them_reached": both, "audience": 1_326}
    )  # fmt: skip


def test_the_share_is_a_policy(found):
    run = {"tested": 4_312, "tested_selected": 1_326}
    assert found(run, tested_frac_min=0.3).outcome == "passed"


@pytest.mark.parametrize(
    "run",
    [
        {"tested": None, "tested_selected": None},
        {"tested": 0, "tested_selected": 0},
        {"problem": "this kernel cannot confine SQL"},
        {"refusals": ["field `email` of table `customers` is personal"]},
    ],
)
def test_where_nobody_was_counted_it_cannot_be_told(found, run):
    assert found(run).outcome == "unevaluable"


def test_it_is_told_of_the_arm_whose_audience_is_another(stage):
    three = {"arms": stage.three_arms()}
    candidate = stage.submit(charter=three, arms={**GOOD, "card": Recorded(visits=60)})
    report = passing(stage.workspace, candidate, TRIED)
    letter, card = report.shadow_runs
    narrow = card.model_copy(update={"tested_selected": 31})
    put(stage.workspace, report.model_copy(update={"shadow_runs": (letter, narrow)}))
    judgement = judge(stage.open(candidate), read_settings(stage.workspace).policy("standard"))
    told = {each.arm: each.outcome for each in judgement.findings if each.check == "audience_tested"}
    assert told == {"letter": "passed", "card": "failed"}
    assert judgement.verdicts == {"letter": "admit", "card": "admit"}


@pytest.mark.parametrize(("audience", "outcome"), [(400, "passed"), (440, "passed"), (441, "failed")])
def test_a_play_that_reaches_others_than_who_were_eligible_is_warned_of(stage, ask, audience, outcome):
    listed = [f"{arm}-{n}" for arm in ("control", "letter") for n in range(200)]
    run = {"tested": 400, "tested_selected": 400, "audience": audience}
    charter = stage.charter(eligible="audience.sql").model_dump(mode="json")
    case = stage.case(charter=charter, eligible=listed, preflight={"at": TRIED, "shadow_run": run})
    [finding] = ask("audience_tested", case)
    assert finding.outcome == outcome
    if outcome == "failed":
        assert finding.measured == {"audience": audience, "eligible": 400}
