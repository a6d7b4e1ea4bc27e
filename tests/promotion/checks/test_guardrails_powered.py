import math

import pytest
from scipy.stats import nct, t

from tests.promotion.cases import GOOD, Recorded

NARROW = {"guardrails": [{"metric": "spend", "margin": -0.15}]}
# 200 units an arm spend 1 or 3: Welch's standard error and degrees of freedom by hand.
SE, DF = math.sqrt(2 * (200 / 199) / 200), 398
POWER = nct.sf(t.ppf(0.95, DF), DF, 0.15 / SE)


def test_a_guardrail_with_the_planned_power_passes(stage, ask):
    [found] = ask("guardrails_powered", stage.case())
    assert (found.arm, found.outcome, found.threshold["power"]) == ("letter", "passed", 0.8)
    assert found.measured["power"] > 0.99


def test_one_without_fails_since_no_harm_seen_is_not_no_harm(stage, ask):
    [found] = ask("guardrails_powered", stage.case(charter=NARROW))
    assert (found.outcome, found.measured["power"]) == ("failed", pytest.approx(POWER, rel=1e-6))
    assert found.threshold["p_max"] == pytest.approx(0.05 * POWER / 0.8, rel=1e-6)
    # 2.49 standard errors in place of 1.5: about 200 * (2.49 / 1.5)**2.
    needed = int(found.remedy.split("about ")[1].split(" ")[0].replace(",", ""))
    assert needed == pytest.approx(200 * ((1.645 + 0.842) / (0.15 / SE)) ** 2, rel=0.03)


def test_harm_that_is_ruled_out_at_so_much_less_error_makes_up_for_it(stage, ask):
    arms = {**GOOD, "letter": Recorded(visits=60, spend=(2.0, 4.0))}
    [found] = ask("guardrails_powered", stage.case(charter=NARROW, arms=arms))
    assert (found.outcome, "makes up for it" in found.reason) == ("passed", True)


def test_a_lucky_pass_at_little_power_is_refused_though_the_guardrail_passed(stage, ask):
    # A gain of 0.02 by chance: p is just below .05, and would have to be half of that.
    arms = {**GOOD, "letter": Recorded(visits=60, spend=(1.02, 3.02))}
    case = stage.case(charter=NARROW, arms=arms)
    assert ask("guardrails", case)[0].outcome == "passed"
    assert ask("guardrails_powered", case)[0].outcome == "failed"


def test_without_guardrails_or_numbers_it_is_unevaluable(stage, ask):
    [none] = ask("guardrails_powered", stage.case(charter={"guardrails": []}))
    [empty] = ask("guardrails_powered", stage.case(arms={**GOOD, "letter": Recorded(units=0)}))
    assert (none.outcome, empty.outcome) == ("unevaluable", "unevaluable")


def test_an_early_look_is_asked_for_the_power_of_the_plan(stage, ask):
    looks = {"units_per_arm": 200, "looks": {"method": "group_sequential", "at": [0.5, 1]}}
    charter = {"sample": looks, "guardrails": [{"metric": "spend", "margin": -0.3}]}
    case = stage.case(charter=charter, covers_until="2026-01-12T00:00:00Z")
    assert case.crossed_early
    [found] = ask("guardrails_powered", case)
    # All 200 units: 0.3 is three standard errors, found with about .9; the 108 that are in would find it with .7.
    assert found.measured["power"] == pytest.approx(0.9, abs=0.03)


def test_only_an_early_look_has_the_units_of_the_plan(stage, ask):
    planned = {"sample": {"units_per_arm": 400}, **NARROW}
    [found] = ask("guardrails_powered", stage.case(charter=planned))
    assert found.measured["power"] == pytest.approx(POWER, rel=1e-6)


def test_a_little_less_than_the_planned_power_needs_a_few_more_units(stage, ask):
    charter = {"guardrails": [{"metric": "spend", "margin": -0.24}]}
    arms = {**GOOD, "letter": Recorded(visits=60, spend=(0.9, 2.9))}
    [found] = ask("guardrails_powered", stage.case(charter=charter, arms=arms))
    assert found.outcome == "failed"
    needed = int(found.remedy.split("about ")[1].split(" ")[0])
    assert needed == pytest.approx(200 * ((1.645 + 0.842) / (0.24 / SE)) ** 2, rel=0.03)


def test_a_margin_that_nobody_has_the_units_for_is_not_answered_with_a_number(stage, ask):
    [found] = ask("guardrails_powered", stage.case(charter={"guardrails": [{"metric": "spend", "margin": -1e-4}]}))
    assert (found.outcome, found.remedy) == ("failed", "revise with more units, or with a wider margin")
