import pytest
import yaml

from promotion.gate.policy import read_settings
from promotion.registry.online_fdr import level
from promotion.registry.register import register
from promotion.state import open_promotion
from shared.state.chain import GENESIS, Head
from tests.promotion.cases import GOOD, LAUNCHED, Recorded


def busy(stage, pilots):
    """A gate that has taken in so many pilots before."""
    stage.workspace.clock.set(LAUNCHED)
    for number in range(pilots):
        promise, _ = stage.promise(stage.charter(pilot=f"before-{number}"))
        register(stage.workspace, promise, Head(0, GENESIS))


# Of 200 units 20 and 36 visit: z is 2.31 (Welch by hand: 0.08 / sqrt((0.1 * 0.9 + 0.18 * 0.82) / 199)), p about 0.02.
# Of 80 pilots of nothing 3 were admitted whose test of all together had failed.
@pytest.mark.parametrize(("before", "outcome"), [(0, "passed"), (1, "failed"), (5, "failed"), (79, "failed")])
def test_the_same_p_value_counts_for_less_the_more_pilots_came_before(stage, ask, before, outcome):
    busy(stage, before)
    [found] = ask("portfolio_fdr", stage.case(arms=GOOD | {"letter": Recorded(visits=36)}))
    assert (found.outcome, found.arm, found.measured["p"]) == (outcome, "letter", pytest.approx(0.0214, abs=0.001))
    assert found.threshold == {
        "number": before + 1, "level": pytest.approx(level(before + 1, [], bound=0.2)), "bound": 0.2,
    }  # fmt: skip


def test_a_level_is_that_of_the_registration_whatever_the_policy_says_later(stage, ask):
    candidate = stage.submit()
    path = stage.workspace.configs / "gate.yaml"
    path.write_text(path.read_text().replace("portfolio: {bound: 0.2}", "portfolio: {bound: 0.01}"))
    [found] = ask("portfolio_fdr", stage.open(candidate))
    assert found.threshold["bound"] == 0.2


@pytest.mark.parametrize("arms", [{}, {"control": Recorded()}])
def test_without_a_p_value_it_is_unevaluable(stage, ask, arms):
    [found] = ask("portfolio_fdr", stage.case(arms=arms))
    assert found.outcome == "unevaluable"


def test_without_a_registration_it_is_unevaluable(stage, ask):
    [found] = ask("portfolio_fdr", stage.case(registered=None))
    assert (found.outcome, "got no level" in found.reason) == ("unevaluable", True)


def test_a_ledger_whose_level_was_raised_is_unevaluable(stage, ask):
    candidate = stage.submit()
    room = open_promotion(stage.workspace)
    with room.engine.begin() as connection:
        connection.exec_driver_sql("DROP TRIGGER ledger_no_update")
        connection.exec_driver_sql("UPDATE ledger SET body = replace(body, '\"bound\":0.2', '\"bound\":0.9')")
    [found] = ask("portfolio_fdr", stage.open(candidate))
    assert (found.outcome, "cannot be relied on" in found.reason) == ("unevaluable", True)


def test_it_blocks_at_high_risk_only(stage):
    settings = read_settings(stage.workspace)
    levels = [settings.policy(tier).rules["portfolio_fdr"].level for tier in ("low", "standard", "high")]
    assert levels == ["warn", "warn", "block"]


WORSE = {**GOOD, "letter": Recorded(visits=2)}


def test_an_arm_that_is_surely_worse_is_no_gain(stage, ask):
    [found] = ask("portfolio_fdr", stage.case(arms=WORSE))
    assert (found.outcome, found.measured.get("worse")) == ("failed", ["visit"])
    assert "visit went the wrong way" in found.reason


def test_of_several_arms_it_is_the_one_that_is_worse(stage, ask):
    three = {"arms": stage.three_arms()}
    found = ask("portfolio_fdr", stage.case(charter=three, arms={**WORSE, "card": Recorded(visits=60)}))
    assert {each.arm: each.outcome for each in found} == {"letter": "failed", "card": "passed"}


def test_where_less_is_better_more_is_worse(stage, ask):
    path = stage.workspace.configs / "metrics.yaml"
    metrics = yaml.safe_load(path.read_text())
    metrics["metrics"]["visit"]["direction"] = "decrease"
    path.write_text(yaml.safe_dump(metrics))
    [found] = ask("portfolio_fdr", stage.case())
    assert (found.outcome, found.measured.get("worse")) == ("failed", ["visit"])


def test_promises_of_before_are_not_asked_which_way_it_went(stage, ask):
    [found] = ask("portfolio_fdr", stage.case(rules=2, arms=WORSE))
    assert found.outcome == "passed"
