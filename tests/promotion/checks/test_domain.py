import pytest

from tests.promotion.cases import Recorded


def uneven(stage, weight):
    arms = stage.charter().model_dump(mode="json")["arms"]
    return {"arms": [{**arms[0], "weight": weight}, arms[1]]}


def test_even_arms_pass(stage, ask):
    [found] = ask("domain", stage.case())
    assert (found.arm, found.outcome, found.level) == ("letter", "passed", "block")


@pytest.mark.parametrize(
    ("rules", "weight", "control", "outcome"),
    [
        # What is planned two to one may come out a tenth more uneven: the sample ratio asks whether that was chance.
        (3, "2", 402, "passed"), (3, "2", 440, "passed"), (3, "2", 442, "failed"), (3, "1", 440, "passed"),
        # What is planned more uneven is what it is.
        (3, "2.2", 400, "passed"), (3, "2.2", 402, "failed"), (3, "3", 420, "failed"),
        # Promises of before are judged by what came.
        (2, "2", 400, "passed"), (2, "2", 402, "failed"),
    ],
)  # fmt: skip
def test_arms_of_more_than_two_to_one_fail_where_few_units_carry_a_metric(stage, ask, rules, weight, control, outcome):
    arms = {"control": Recorded(units=control, visits=40), "letter": Recorded(visits=60)}
    [found] = ask("domain", stage.case(charter=uneven(stage, weight), arms=arms, rules=rules))
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
