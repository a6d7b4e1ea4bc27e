import math

import pytest

from tests.promotion.cases import Recorded

MANY = {"control": Recorded(units=400), "letter": Recorded(units=400)}
# Of 400 units in 13 days 31 are exposed on the third one.
LOST = """SELECT * FROM exposures WHERE NOT (arm = 'letter' AND CAST("at" AS DATE) = DATE '2026-01-07')"""


def test_days_as_planned_pass(stage, ask):
    [found] = ask("sample_ratio_by_day", stage.case())
    assert (found.outcome, found.level) == ("passed", "block")
    assert "on each day the arms are as large as planned" in found.reason


def test_a_day_on_which_an_arm_got_lost_fails_and_is_named(stage, ask):
    [found] = ask("sample_ratio_by_day", stage.case(arms=MANY, exposures=LOST))
    assert found.outcome == "failed"
    # Chi-square of 31 : 0, one degree of freedom.
    assert found.measured == {"2026-01-07": pytest.approx(math.erfc(math.sqrt(31 / 2)))}
    assert found.threshold["p_min_each"] == pytest.approx(0.001 / 13)
    assert "2026-01-07" in found.reason


def test_the_policys_p_is_shared_among_the_days(stage, ask):
    p = math.erfc(math.sqrt(31 / 2))
    case = stage.case(arms=MANY, exposures=LOST)
    assert [ask("sample_ratio_by_day", case, p_min=13 * p * factor)[0].outcome for factor in (0.99, 1.01)] == [
        "passed", "failed",
    ]  # fmt: skip


def test_days_with_too_few_units_are_taken_together(stage, ask):
    few = {"control": Recorded(units=20), "letter": Recorded(units=20)}
    assert ask("sample_ratio_by_day", stage.case(arms=few))[0].outcome == "passed"
    # Three units a day and arm; of the letter's none in the first week: each p alone would say nothing.
    lost = """SELECT * FROM exposures WHERE arm = 'control' OR "at" >= '2026-01-12'"""
    thin = {"control": Recorded(units=40), "letter": Recorded(units=40)}
    [found] = ask("sample_ratio_by_day", stage.case(arms=thin, exposures=lost))
    assert found.outcome == "failed"
    assert all(" to " in where for where in found.measured)


@pytest.mark.parametrize("arms", [{}, {"control": Recorded(units=7), "letter": Recorded(units=7)}])
def test_too_few_units_in_all_are_unevaluable(stage, ask, arms):
    [found] = ask("sample_ratio_by_day", stage.case(arms=arms))
    assert (found.outcome, found.remedy) == ("unevaluable", "record exposures, analyse and submit again")
