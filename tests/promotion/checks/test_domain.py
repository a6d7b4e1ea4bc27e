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


@pytest.mark.parametrize(
    ("weight", "units", "visits", "told"),
    [
        # A share rests on the visits that the smaller arm has by the lesser share of both; spend of 1 or 3 on 4/5.
        ("3", (600, 200), (60, 60), "(600 and 200 units), and in the smaller one too few units carry "
                                   "visit (20 of 200 that it takes), spend (160 of 200 that it takes)"),
        ("4", (1_200, 300), (600, 90), "(1,200 and 300 units), and in the smaller one too few units carry "
                                      "visit (90 of 200 that it takes)"),
        ("0.25", (150, 600), (75, 480), "(150 and 600 units), and in the smaller one too few units carry "
                                       "visit (75 of 200 that it takes), spend (120 of 200 that it takes)"),
    ],
)  # fmt: skip
def test_it_says_how_large_the_arms_are_and_how_many_units_carry_a_metric_and_should(
    stage, ask, weight, units, visits, told
):
    arms = {arm: Recorded(*both) for arm, *both in zip(("control", "letter"), units, visits, strict=True)}
    [found] = ask("domain", stage.case(charter=uneven(stage, weight), arms=arms))
    assert (found.outcome, told in found.reason) == ("failed", True)


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
