import pytest

from tests.promotion.cases import GOOD, Recorded

SPEND = {"primary": {"metric": "spend", "minimum_effect": 0.5}, "guardrails": [{"metric": "visit", "margin": -0.2}]}
WHALE = """SELECT * REPLACE (spend + CASE WHEN unit = 'letter-0' THEN 1000 ELSE 0 END AS spend) FROM outcomes"""


def test_a_share_is_carried_by_no_single_unit(stage, ask):
    [found] = ask("outlier_influence", stage.case())
    assert (found.outcome, "is a share" in found.reason) == ("passed", True)


def test_a_gain_of_the_many_survives_the_cap(stage, ask):
    arms = {**GOOD, "letter": Recorded(visits=60, spend=(2.0, 4.0))}
    [found] = ask("outlier_influence", stage.case(charter=SPEND, arms=arms))
    assert (found.arm, found.outcome, found.measured) == ("letter", "passed", {"estimate": 1.0, "capped": 1.0})


def test_a_gain_of_one_unit_does_not_and_fails(stage, ask):
    [found] = ask("outlier_influence", stage.case(charter=SPEND, outcomes=WHALE))
    assert found.outcome == "failed"
    # 1,000 more of one unit in 200; capped at 3, which the .99 quantile of all is, it has 2 more.
    assert found.measured == {"estimate": pytest.approx(5), "capped": pytest.approx(0.01)}


def test_how_much_has_to_be_left_is_the_policys(stage, ask):
    case = stage.case(charter=SPEND, outcomes=WHALE)
    assert ask("outlier_influence", case, kept_frac_min=0.001)[0].outcome == "passed"


def test_without_a_gain_there_is_nothing_to_carry(stage, ask):
    arms = {**GOOD, "letter": Recorded(visits=60, spend=(0.5, 1.5))}
    [found] = ask("outlier_influence", stage.case(charter=SPEND, arms=arms))
    assert (found.outcome, found.reason) == ("passed", "there is no gain in spend that a few units could carry")


def test_without_numbers_it_is_unevaluable(stage, ask):
    [found] = ask("outlier_influence", stage.case(charter=SPEND, arms={**GOOD, "letter": Recorded(units=0)}))
    assert (found.arm, found.outcome) == ("letter", "unevaluable")
