from statistics import NormalDist

import pytest

from promotion.gate.policy import read_settings
from tests.promotion.cases import GOOD, Recorded

VALUE = {"worth": "2.00", "units_per_month": 10_000, "running": {"media": "300.00"}}


def expected(estimate, variance, minimum=0.05):
    """By hand: the posterior of a normal prior around 0, whose sd is the smallest effect worth scaling."""
    share = minimum**2 / (minimum**2 + variance)
    spread = NormalDist().inv_cdf(0.975) * (share * variance) ** 0.5
    return [share * estimate, share * estimate - spread, share * estimate + spread]


def test_the_promised_effect_in_money_is_set_against_the_running_costs(stage, ask):
    [found] = ask("worth_it", stage.case(charter={"value": VALUE}))
    # Visits of 60 and 20 in 200: their variances divide by 199 (Bessel).
    want = [20_000 * each for each in expected(0.2, (0.3 * 0.7 + 0.1 * 0.9) / 199)]
    got = [float(found.measured[name]["amount"]) for name in ("mean", "low", "high")]
    assert (found.outcome, found.arm) == ("passed", "letter")
    assert got == [pytest.approx(one, abs=0.01) for one in want]
    assert (
        found.reason
        == f"it is expected to bring {want[1]:,.0f} to {want[2]:,.0f} USD a month ({want[0]:,.0f} expected) for 300"
    )


# The gain is about 2,495 USD a month.
@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"running": {"media": "2490.00"}}, "passed"),
        ({"running": {"media": "2500.00"}}, "failed"),
        ({"running": {"media": "1000.00", "ai": "1000.00", "infrastructure": "500.00"}}, "failed"),
        ({"running": {"media": "1900.00"}, "set_up": "3000.00", "months": 6}, "passed"),
        ({"running": {"media": "1900.00"}, "set_up": "3000.00", "months": 5}, "failed"),
        ({"units_per_month": 1_000}, "failed"),
    ],
)
def test_it_fails_where_the_expected_return_is_not_above_the_cost(stage, ask, changes, outcome):
    [found] = ask("worth_it", stage.case(charter={"value": VALUE | changes}))
    assert found.outcome == outcome
    assert (found.remedy is None) == (outcome == "passed")


def test_an_arm_that_does_not_pay_is_told_what_would(stage, ask):
    [found] = ask("worth_it", stage.case(charter={"value": VALUE | {"running": {"media": "4000.00"}}}))
    # 4,000 a month over 20,000 a month for each whole visit per unit are 20 percentage points.
    assert found.reason.endswith("which does not pay: that takes visit +20.00 pp")


def test_an_arm_that_does_harm_does_not_pay(stage, ask):
    arms = {"control": GOOD["letter"], "letter": Recorded(visits=10)}
    [found] = ask("worth_it", stage.case(charter={"value": VALUE}, arms=arms))
    assert (found.outcome, found.measured["pays"]) == ("failed", False)


def test_without_a_value_only_a_policy_that_requires_one_cannot_say(stage, ask):
    case = stage.case()
    assert [one.outcome for one in ask("worth_it", case)] == ["passed"]
    [found] = ask("worth_it", case, required=True)
    assert (found.outcome, found.reason.startswith("not asked: ")) == ("unevaluable", True)
    settings = read_settings(stage.workspace)
    required = [settings.policy(tier).rules["worth_it"].required for tier in ("low", "standard", "high")]
    assert required == [False, False, True]


@pytest.mark.parametrize("arms", [{}, {"control": Recorded()}])
def test_an_effect_that_cannot_be_computed_is_unevaluable(stage, ask, arms):
    [found] = ask("worth_it", stage.case(charter={"value": VALUE}, arms=arms))
    assert (found.outcome, "cannot be computed" in found.reason) == ("unevaluable", True)


def test_the_gain_of_a_metric_that_does_not_add_up_is_unevaluable(stage, ask):
    path = stage.workspace.configs / "metrics.yaml"
    path.write_text(f"{path.read_text()}\n  top: {{kind: quantile, column: spend, quantile: 0.9, unit: USD}}\n")
    changes = {"value": VALUE, "primary": {"metric": "top", "minimum_effect": 0.1}}
    [found] = ask("worth_it", stage.case(charter=changes))
    assert (found.outcome, "does not add up" in found.reason) == ("unevaluable", True)
