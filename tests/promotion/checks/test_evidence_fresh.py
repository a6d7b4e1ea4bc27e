from datetime import timedelta

import pytest

from tests.makers import moment
from tests.promotion.cases import EXPOSED

# Unit 199 of 200 is the last: on day 199 % 13 = 4 of 13; the last day is the thirteenth, whose last unit is 194.
LAST = EXPOSED + timedelta(days=12, hours=5)


def test_data_of_the_day_before_yesterday_pass(stage, ask):
    [found] = ask("evidence_fresh", stage.case())
    assert (found.outcome, found.reason) == ("passed", "the data ended 2 days ago")


@pytest.mark.parametrize(("days", "outcome"), [(30, "passed"), (30.001, "failed")])
def test_a_month_is_the_limit(stage, ask, days, outcome):
    [found] = ask("evidence_fresh", stage.case(now=LAST + timedelta(days=days)))
    assert (found.outcome, found.measured["days"]) == (outcome, pytest.approx(days))


def test_an_older_limit_is_the_policys(stage, ask):
    case = stage.case(now=LAST + timedelta(days=60))
    assert ask("evidence_fresh", case, days_max=90)[0].outcome == "passed"


def test_a_manifest_cannot_make_data_fresh(stage, ask):
    [found] = ask("evidence_fresh", stage.case(now=moment("2026-03-01 00:00"), covers_until="2026-02-28T00:00:00Z"))
    assert found.outcome == "failed"


def test_data_of_the_future_and_no_data_are_unevaluable(stage, ask):
    [future] = ask("evidence_fresh", stage.case(now=EXPOSED))
    [none] = ask("evidence_fresh", stage.case(arms={}))
    assert (future.outcome, none.outcome) == ("unevaluable", "unevaluable")
    assert "clock" in future.remedy
