import math

import pytest

from tests.promotion.cases import GOOD, Recorded


def worth(minimum):
    return {"primary": {"metric": "visit", "minimum_effect": minimum}}


def test_an_effect_within_hope_passes(stage, ask):
    # 60 against 20 of 200 visit: 0.2, four times 0.05.
    [found] = ask("improbably_good", stage.case())
    assert (found.arm, found.outcome, found.measured) == ("letter", "passed", pytest.approx(4))


def test_twenty_times_what_is_worth_scaling_is_taken_for_a_mistake(stage, ask):
    [found] = ask("improbably_good", stage.case(charter=worth(0.01)))
    assert (found.outcome, found.measured) == ("failed", pytest.approx(20))
    assert "counted twice" in found.remedy


def test_the_limit_itself_fails_and_just_above_it_passes(stage, ask):
    case = stage.case()
    times = ask("improbably_good", case)[0].measured
    limits = (times, math.nextafter(times, 9))
    assert [ask("improbably_good", case, times_max=limit)[0].outcome for limit in limits] == ["failed", "passed"]


def test_improbably_bad_is_a_mistake_too(stage, ask):
    arms = {"control": Recorded(visits=60), "letter": Recorded(visits=20)}
    assert ask("improbably_good", stage.case(arms=arms, charter=worth(0.01)))[0].outcome == "failed"


def test_without_an_effect_it_is_unevaluable(stage, ask):
    [found] = ask("improbably_good", stage.case(arms={**GOOD, "letter": Recorded(units=0)}))
    assert (found.arm, found.outcome) == ("letter", "unevaluable")
