import pytest

from tests.promotion.cases import Recorded


def uneven(stage, weight):
    arms = stage.charter().model_dump(mode="json")["arms"]
    return {"arms": [{**arms[0], "weight": weight}, arms[1]]}


def test_even_arms_pass(stage, ask):
    [found] = ask("domain", stage.case())
    assert (found.arm, found.outcome, found.level) == ("letter", "passed", "block")


@pytest.mark.parametrize(("control", "outcome"), [(400, "passed"), (402, "failed")])
def test_arms_of_more_than_two_to_one_fail_where_few_units_carry_a_metric(stage, ask, control, outcome):
    arms = {"control": Recorded(units=control, visits=40), "letter": Recorded(visits=60)}
    [found] = ask("domain", stage.case(charter=uneven(stage, "2"), arms=arms))
    assert found.outcome == outcome
    # Spend is 1 or 3: by Kish 200 units count as 160, and of 200 with 60 visits only these do.
    assert found.measured["outside"] == (["visit", "spend"] if outcome == "failed" else [])


def test_a_smaller_arm_in_which_many_carry_the_metric_passes(stage, ask):
    arms = {"control": Recorded(units=900, visits=630), "letter": Recorded(units=300, visits=210)}
    charter = {**uneven(stage, "3"), "guardrails": [{"metric": "spend", "margin": -0.5}]}
    [found] = ask("domain", stage.case(charter=charter, arms=arms))
    assert found.outcome == "passed"


def test_arms_that_cannot_be_compared_are_unevaluable(stage, ask):
    [found] = ask("domain", stage.case(arms={}))
    assert (found.arm, found.outcome) == ("letter", "unevaluable")


def test_a_low_risk_pilot_is_only_warned(stage):
    arms = {"control": Recorded(units=600, visits=60), "letter": Recorded(visits=60)}
    charter = {**uneven(stage, "3"), "guardrails": [{"metric": "spend", "margin": -0.5}]}
    assert stage.judge(charter=charter, arms=arms, tier="low").verdict == "admit"
    assert stage.judge(charter=charter, arms=arms, tier="standard").verdict == "refuse"
