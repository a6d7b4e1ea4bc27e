import math

import pytest

from promotion.gate.checks.promise.promise_reasonable import _doubt
from promotion.gate.gate import judge
from promotion.gate.policy import read_settings
from shared.experiment.bounds import Bounds
from shared.stats.summaries import Moments, QuantileMoments, RatioMoments
from tests.promotion.cases import GOOD, GUARDRAIL, PRIMARY, Recorded

# The policy as it stands without a workspace's own word; the tests' workspaces take smaller pilots.
POLICY = Bounds().model_dump()
PLAN = {"units_per_arm": 200}
# What everybody spends alike; in the good candidates it is two dollars on average, of which half is one.
CENTS = {arm: Recorded(each.units, each.visits, spend=(0.02, 0.06)) for arm, each in GOOD.items()}


def findings(stage, ask, arms=GOOD, policy=POLICY, **changes):
    return ask("promise_reasonable", stage.case(charter={"sample": PLAN, **changes}, arms=arms), **policy)


def test_a_sound_promise_passes_with_what_was_measured_without_a_treatment(stage, ask):
    [found] = findings(stage, ask)
    # 20 of the 200 units of the control visit, and spend goes round between 1 and 3 dollars.
    assert (found.outcome, found.measured) == ("passed", {"visit": 0.1, "spend": 2.0})


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"sample": {**PLAN, "alpha": 0.2}}, "sample.alpha"),
        ({"sample": {**PLAN, "alpha": 0.1}}, "sample.alpha"),
        ({"sample": {**PLAN, "alpha": 0.051}}, "sample.alpha"),
        ({"sample": {**PLAN, "guardrail_alpha": 0.2}}, "sample.guardrail_alpha"),
        ({"sample": {"units_per_arm": 2}}, "sample.units_per_arm"),
        ({"sample": {"units_per_arm": 50}}, "sample.units_per_arm"),
        ({"sample": {"units_per_arm": 99}}, "sample.units_per_arm"),
        ({"guardrails": [{"metric": "spend", "margin": -1e9}]}, "guardrails[0].margin"),
        # All that there is, 2.00 dollars, and more than chance makes of it.
        ({"guardrails": [{"metric": "spend", "margin": -2.2}]}, "guardrails[0].margin"),
        ({"guardrails": [{"metric": "spend", "margin": -1.5}]}, "guardrails[0].margin"),
        ({"primary": {**PRIMARY, "minimum_effect": 1e-9}}, "primary.minimum_effect"),
        ({"primary": {**PRIMARY, "minimum_effect": 1.5}}, "primary.minimum_effect"),
        ({"kill_criteria": [{"metric": "visit", "worse_than": -0.2}]}, "kill_criteria[0].worse_than"),
    ],
)
def test_a_promise_of_nothing_fails_and_its_number_is_named(stage, ask, changes, part):
    [found] = findings(stage, ask, **changes)
    assert (found.outcome, found.reason.split(":")[0]) == ("failed", part)


def test_each_number_fails_by_itself(stage, ask):
    bad = {"sample": {"units_per_arm": 2, "alpha": 0.2}, "guardrails": [{"metric": "spend", "margin": -1e9}]}
    assert [found.outcome for found in findings(stage, ask, **bad)] == ["failed"] * 3


def test_a_margin_is_held_against_what_was_measured_and_not_against_what_was_assumed(stage, ask):
    assumed = {**PLAN, "assume": {"spend": {"mean": 2.0, "sd": 1.0}}}
    [found] = findings(stage, ask, arms=CENTS, sample=assumed, guardrails=[GUARDRAIL])
    # Four cents on average, give or take 1.96 standard errors of 200 units of two and six cents: a loss of half a
    # dollar would be twelve times all there is, and half of it is the most that a margin may be.
    most = 0.04 + 1.96 * 0.02 * math.sqrt(200 / 199) / math.sqrt(200)
    assert (found.outcome, found.measured, found.threshold) == ("failed", -0.5, pytest.approx(-most / 2))


# Half of what the mean, 2.00 dollars, may be with 200 units of one and three: 1.96 standard errors are 0.1389 more.
@pytest.mark.parametrize(("margin", "outcome"), [(-1.06, "passed"), (-1.08, "failed")])
def test_a_promise_is_not_refused_for_what_may_be_chance(stage, ask, margin, outcome):
    [found] = findings(stage, ask, guardrails=[{"metric": "spend", "margin": margin}])
    assert found.outcome == outcome


@pytest.mark.parametrize("arms", [{}, {"letter": Recorded()}])
def test_without_a_control_nobody_knows_whether_the_margin_means_anything(stage, ask, arms):
    [found] = findings(stage, ask, arms=arms)
    assert (found.outcome, found.measured) == ("unevaluable", ["visit", "spend"])


def test_what_is_out_of_bounds_anyway_fails_without_a_control_too(stage, ask):
    found = findings(stage, ask, arms={}, sample={**PLAN, "alpha": 0.2})
    assert [one.outcome for one in found] == ["failed", "unevaluable"]


def test_a_tier_may_ask_for_less(stage, ask):
    [found] = findings(stage, ask, policy={**POLICY, "alpha_max": 0.1}, sample={**PLAN, "alpha": 0.1})
    assert found.outcome == "passed"


def test_a_promise_of_an_earlier_build_is_not_asked(stage):
    case = stage.case(charter={"sample": {"units_per_arm": 2, "alpha": 0.2}})
    policy = read_settings(stage.workspace).policy("standard")
    asked = {found.check: found.outcome for found in judge(case, policy).findings}
    assert asked["promise_reasonable"] == "failed"
    case.__dict__["promise"] = case.promise.model_copy(update={"rules": 1})
    assert "promise_reasonable" not in {found.check for found in judge(case, policy).findings}


@pytest.mark.parametrize(
    ("moments", "spread"),
    [
        # By the delta method for clusters of one unit, the mean's own standard error; and a median's limits by rank.
        (RatioMoments(n=100, value=2.0, per=1.0, value_m2=99.0, per_m2=0.0, co=0.0), 1.96 * 0.1),
        (QuantileMoments(n=100, quantile=0.5, value=2.0, low=1.7, high=2.2), 0.3),
        (Moments(n=100, mean=2.0, m2=99.0), 1.96 * 0.1),
    ],
)
def test_the_doubt_of_what_was_measured_is_known_of_every_kind_of_metric(moments, spread):
    assert _doubt(moments) == pytest.approx(spread)
