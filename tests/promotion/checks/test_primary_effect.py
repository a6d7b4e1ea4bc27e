import math

import pytest
import yaml

from promotion.gate.checks.effects.primary_effect import DESCRIPTIVE, NEXT_LOOK
from tests.promotion.cases import GOOD, Recorded

# Exact in binary: 50 of 200 against 100 of 200 is a difference of 1/4.
QUARTER = {"control": Recorded(visits=50), "letter": Recorded(visits=100)}


def primary(**changes):
    return {"primary": {"metric": "visit", "minimum_effect": 0.01, **changes}}


def test_a_clear_effect_passes_with_its_interval(stage, ask):
    [found] = ask("primary_effect", stage.case())
    assert (found.arm, found.outcome, found.measured["estimate"]) == ("letter", "passed", pytest.approx(0.2))
    assert found.measured["low"] < 0.2 < found.measured["high"]
    assert found.reason.startswith("visit +20.00 pp [")


def test_the_minimum_effect_itself_is_enough(stage, ask):
    limits = (0.25, math.nextafter(0.25, 1))
    found = [ask("primary_effect", stage.case(arms=QUARTER, charter=primary(minimum_effect=m)))[0] for m in limits]
    assert [f.outcome for f in found] == ["passed", "failed"]
    assert "below the 0.25 worth scaling" in found[1].reason


def test_the_lower_bound_itself_is_enough_where_the_charter_asks_for_it(stage, ask):
    low = ask("primary_effect", stage.case())[0].measured["low"]
    charters = [primary(minimum_effect=m, worthwhile="lower_bound") for m in (low, math.nextafter(low, 1))]
    found = [ask("primary_effect", stage.case(charter=charter))[0] for charter in charters]
    assert [f.outcome for f in found] == ["passed", "failed"]
    assert "lower bound" in found[1].reason


def test_a_winner_without_significance_fails(stage, ask):
    [found] = ask("primary_effect", stage.case(arms={**GOOD, "letter": Recorded(visits=24)}))
    assert (found.outcome, found.measured["estimate"]) == ("failed", pytest.approx(0.02))
    assert found.reason.endswith("it could be chance")
    assert "more units" in found.remedy


def test_p_at_alpha_decides(stage, ask):
    arms = {**GOOD, "letter": Recorded(visits=32)}
    p = ask("primary_effect", stage.case(arms=arms))[0].measured["p_adjusted"]
    samples = [{"sample": {"alpha": alpha, "units_per_arm": 10}} for alpha in (p * 1.000001, p * 0.999999)]
    found = [ask("primary_effect", stage.case(arms=arms, charter=sample))[0] for sample in samples]
    assert [f.outcome for f in found] == ["passed", "failed"]


def test_harm_fails_however_significant(stage, ask):
    [found] = ask("primary_effect", stage.case(arms={"control": Recorded(visits=60), "letter": Recorded(visits=20)}))
    assert (found.outcome, found.reason.endswith("it went the wrong way")) == ("failed", True)


def test_where_less_is_better_less_passes_and_more_fails(stage, ask):
    path = stage.workspace.configs / "metrics.yaml"
    catalogue = yaml.safe_load(path.read_text())
    catalogue["metrics"]["visit"]["direction"] = "decrease"
    path.write_text(yaml.safe_dump(catalogue))
    fewer = {"control": Recorded(visits=60), "letter": Recorded(visits=20)}
    bound = primary(worthwhile="lower_bound", minimum_effect=0.1)
    found = [ask("primary_effect", stage.case(arms=arms, charter=bound))[0].outcome for arms in (fewer, GOOD)]
    assert found == ["passed", "failed"]


def test_an_arm_wins_on_every_primary_metric_or_fails(stage, ask):
    charter = {"co_primary": [{"metric": "conversion", "minimum_effect": 0.01}]}
    arms = {"control": Recorded(visits=50), "letter": Recorded(visits=100)}
    # Customers who visited twice as often have bought as well, or only every fourth visitor of either arm has.
    bought = "SELECT * REPLACE (CAST({} AS BIGINT) AS conversion) FROM outcomes"
    found = [
        ask("primary_effect", stage.case(arms=arms, charter=charter, outcomes=bought.format(said)))
        for said in ("visit", "visit = 1 AND event_id LIKE '%7'")
    ]
    assert [[f.outcome for f in each] for each in found] == [["passed", "passed"], ["passed", "failed"]]
    assert [f.arm for f in found[1]] == ["letter", "letter"]
    assert found[1][1].reason.startswith("conversion ")
    assert stage.judge(arms=arms, charter=charter, outcomes=bought.format("0 = 1")).verdict == "undecided"


@pytest.mark.parametrize(
    ("arms", "problem"),
    [
        ({"control": Recorded(visits=0), "letter": Recorded(visits=0)}, "does not vary"),
        ({"control": Recorded(), "letter": Recorded(units=1)}, "arm letter has 1 unit"),
        ({"control": Recorded(units=0), "letter": Recorded()}, "arm control has 0 units"),
        ({}, "0 units"),
    ],
)
def test_an_effect_without_numbers_is_unevaluable(stage, ask, arms, problem):
    [found] = ask("primary_effect", stage.case(arms=arms))
    assert (found.arm, found.outcome, problem in found.reason) == ("letter", "unevaluable", True)
    assert found.remedy


@pytest.mark.parametrize("name", ["estimate", "low", "high", "p_adjusted"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_what_is_not_a_number_is_unevaluable(stage, ask, name, value):
    case = stage.case()
    effects = tuple(e.model_copy(update={name: value}) if e.part == "primary" else e for e in case.evidence.effects)
    case.__dict__["evidence"] = case.evidence.model_copy(update={"effects": effects})
    [found] = ask("primary_effect", case)
    assert (found.outcome, "not a number" in found.reason) == ("unevaluable", True)


def test_outcomes_that_are_not_numbers_are_unevaluable(stage, ask):
    outcomes = "SELECT * REPLACE (CAST('nan' AS DOUBLE) AS spend) FROM outcomes"
    charter = {"primary": {"metric": "spend", "minimum_effect": 0.1}, "guardrails": []}
    [found] = ask("primary_effect", stage.case(charter=charter, outcomes=outcomes))
    assert found.outcome == "unevaluable"


def test_a_lower_bound_that_only_an_earlier_look_reached_fails(stage, ask):
    charter = {
        "primary": {"metric": "visit", "minimum_effect": 0.35, "worthwhile": "lower_bound"},
        "sample": {"units_per_arm": 10, "looks": {"method": "group_sequential", "at": [0.5, 1]}},
    }
    # Nine in ten of the letter arm visit in the first week, and none in the second.
    waning = """SELECT * REPLACE (CASE WHEN starts_with(unit, 'letter') THEN
                CAST("at" < '2026-01-12' AND NOT ends_with(unit, '0') AS BIGINT)
                ELSE visit END AS visit) FROM outcomes"""
    [found] = ask(
        "primary_effect", stage.case(charter=charter, arms={**GOOD, "letter": GOOD["control"]}, outcomes=waning)
    )
    assert found.measured["p_adjusted"] < 0.001
    assert 0 < found.measured["low"] < 0.35 < found.measured["estimate"]
    assert (found.outcome, "lower bound is below" in found.reason) == ("failed", True)


@pytest.mark.parametrize(("kept", "outcome"), [("true", "passed"), ("visit = 1 OR hash(unit) % 3 > 0", "unevaluable")])
def test_a_metric_that_leaves_out_more_units_of_an_arm_compares_others(stage, ask, left_out, kept, outcome):
    left_out("visit", "spend")
    # Of the letter arm a third of those who did not visit say nothing, and who is left visits more often.
    case = stage.case(outcomes=f"SELECT * FROM outcomes WHERE starts_with(unit, 'control') OR {kept}")
    for name in ("primary_effect", "guardrails"):
        [found] = ask(name, case)
        assert (found.outcome, "may be others" in found.reason) == (outcome, outcome != "passed")


def test_numbers_between_looks_decide_nothing(stage, ask):
    [found] = ask("primary_effect", stage.case(covers_until="2026-01-17T00:00:00Z"))
    assert (found.arm, found.outcome, found.reason, found.remedy) == ("letter", "unevaluable", DESCRIPTIVE, NEXT_LOOK)


@pytest.mark.parametrize(("minimum", "outcome"), [(0.05, "passed"), (0.2, "failed")])
def test_the_lower_bound_of_a_loss_is_its_upper_end(stage, ask, minimum, outcome):
    """Where less is better, an arm that is surely better by the minimum is so up to the upper end of the interval."""
    path = stage.workspace.configs / "metrics.yaml"
    path.write_text(path.read_text().replace("direction: increase", "direction: decrease", 1))
    charter = {"primary": {"metric": "visit", "minimum_effect": minimum, "worthwhile": "lower_bound"}}
    fewer = {"control": GOOD["letter"], "letter": GOOD["control"]}
    [found] = ask("primary_effect", stage.case(charter=charter, arms=fewer))
    assert found.measured["high"] < -0.05
    assert found.outcome == outcome


def test_numbers_between_looks_decide_nothing_whatever_the_policy_on_the_time_box(stage):
    stage.settings(standard={"time_box": {"level": "warn"}})
    judged = stage.judge(covers_until="2026-01-17T00:00:00Z")
    told = {found.check: found.outcome for found in judged.findings}
    assert (told["primary_effect"], told["guardrails"]) == ("unevaluable", "unevaluable")
    assert judged.verdict == "undecided"
