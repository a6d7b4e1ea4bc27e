"""A kill criterion that is met refuses: in any arm, on any metric, at the end and at every look before it."""

from __future__ import annotations

import math

import pytest

from promotion.gate.checks.effects.primary_effect import DESCRIPTIVE
from shared.evidence.compute import compute
from shared.evidence.kill_criteria import answers
from tests.promotion.cases import GOOD, LOOKS, Recorded

# The instance that was told: of 200 customers of the control 50 bought, and 9 of the arm, 82 % fewer.
BOUGHT = """SELECT * REPLACE (CAST(CAST(split_part(unit, '-', 2) AS INTEGER) <
            CASE WHEN starts_with(unit, 'control') THEN 50 ELSE 9 END AS BIGINT) AS conversion) FROM outcomes"""
COLLAPSE = {"secondary": ["conversion"], "kill_criteria": [{"metric": "conversion", "worse_than": -0.05}]}


def on(metric, worse_than, **changes):
    return {"kill_criteria": [{"metric": metric, "worse_than": worse_than}], **changes}


def test_without_a_criterion_there_is_nothing_to_meet(stage, ask):
    [found] = ask("kill_criteria", stage.case())
    assert (found.arm, found.outcome, found.reason.startswith("not asked")) == (None, "passed", True)


def test_a_collapse_of_conversions_by_82_per_cent_is_refused_though_visits_rose(stage, ask):
    case = stage.case(charter=COLLAPSE, outcomes=BOUGHT)
    [found] = ask("kill_criteria", case)
    # By hand: 9/200 - 50/200; Welch's half-width 1.97 * sqrt((.25*.75 + .045*.955) / 199) = .067.
    assert found.measured["estimate"] == pytest.approx(-0.205)
    assert found.measured["high"] == pytest.approx(-0.205 + 0.0670, abs=0.0005)
    assert (found.arm, found.outcome, found.level) == ("letter", "failed", "block")
    assert ask("primary_effect", case)[0].outcome == "passed"
    assert stage.judge(charter=COLLAPSE, outcomes=BOUGHT).verdict == "refuse"


def test_no_policy_makes_it_a_warning_and_nobody_waives_it(stage):
    from promotion.gate.checks import CHECKS

    [check] = [check for check in CHECKS if check.name == "kill_criteria"]
    assert (check.since, check.rule().level, check.rule().waivable) == (2, "block", False)
    with pytest.raises(ValueError, match="level"):
        check.rule(level="warn")


def test_a_pilot_of_an_earlier_build_is_not_asked(stage):
    case = stage.case(charter=COLLAPSE, outcomes=BOUGHT)
    case.__dict__["promise"] = case.promise.model_copy(update={"rules": 1})
    from promotion.gate.gate import judge
    from promotion.gate.policy import read_settings

    judged = judge(case, read_settings(stage.workspace).policy("standard"))
    assert "kill_criteria" not in {found.check for found in judged.findings}


def test_what_is_harmed_within_the_limit_passes(stage, ask):
    [found] = ask("kill_criteria", stage.case(charter={**COLLAPSE, **on("conversion", -0.15)}, outcomes=BOUGHT))
    # The interval reaches up to -0.138, which is not worse than -0.15.
    assert (found.arm, found.outcome) == ("letter", "passed")


def test_the_arm_that_meets_it_is_refused_and_the_other_is_not(stage, ask):
    arms = GOOD | {"card": Recorded(visits=60, spend=(0.0, 1.0))}
    charter = on("spend", -1.0, arms=stage.three_arms())
    found = ask("kill_criteria", stage.case(charter=charter, arms=arms))
    # A dollar and a half less, by hand; its interval is a sixth of a dollar to either side.
    assert [(one.arm, one.outcome) for one in found] == [("letter", "passed"), ("card", "failed")]
    assert found[1].measured["estimate"] == pytest.approx(-1.5)
    judged = stage.judge(charter=charter, arms=arms)
    assert judged.verdicts["card"] == "refuse"


def test_where_less_is_better_more_is_harm(stage, ask):
    path = stage.workspace.configs / "metrics.yaml"
    path.write_text(path.read_text().replace("direction: increase", "direction: decrease", 1))
    charter = {"primary": {"metric": "visit", "minimum_effect": 0.05}, **on("visit", 0.05)}
    [found] = ask("kill_criteria", stage.case(charter=charter))
    assert (found.outcome, found.measured["low"] > 0.05) == ("failed", True)


# In the first week one customer in twenty of the arm does what all do later.
WANING = """SELECT * REPLACE (CASE WHEN starts_with(unit, 'letter') AND "at" < '2026-01-12'
            THEN {0} * CAST(hash(unit) % 20 = 0 AS BIGINT) ELSE {0} END AS {0}) FROM outcomes"""


@pytest.mark.parametrize(
    ("metric", "part"), [("visit", {}), ("spend", {}), ("conversion", {"secondary": ["conversion"]})]
)
def test_met_at_the_first_look_it_stays_met_though_the_arm_recovers(stage, ask, metric, part):
    """A primary metric, a guardrail and a secondary one, of which evidence kept no looks before."""
    first = {"visit": -0.05, "spend": -1.0, "conversion": -0.05}[metric]
    # All of the arm visit, spend six or seven dollars and buy, and so does a third of the control, for one to three.
    everybody = """SELECT * REPLACE (CAST(starts_with(unit, 'letter') OR hash(unit) % 3 = 0 AS BIGINT) AS visit,
                   CAST(starts_with(unit, 'letter') OR hash(unit) % 3 = 0 AS BIGINT) AS conversion,
                   CASE WHEN starts_with(unit, 'letter') THEN 6.0 + hash(unit) % 2 ELSE 1.0 + hash(unit) % 3 END
                   AS spend) FROM outcomes"""
    outcomes = WANING.format(metric).replace("FROM outcomes", f"FROM ({everybody})")
    case = stage.case(charter={**LOOKS, **on(metric, first), **part}, outcomes=outcomes)
    [found] = ask("kill_criteria", case)
    assert (found.outcome, found.measured["look"]) == ("failed", "2026-01-12T00:00:00Z")
    assert found.measured["high"] < first
    # At the end the very same metric is far from it.
    assert case.evidence.effect("letter", metric).low > first


def test_where_anybody_may_look_at_any_time_a_day_on_which_it_was_met_counts(stage, ask):
    """Also a guardrail's, of which evidence kept no days before. A sequence begins with a thousand units."""
    arms = {"control": Recorded(units=4_000, visits=800), "letter": Recorded(units=4_000, visits=1_600)}
    spent = WANING.format("spend").replace(
        "ELSE spend END", "WHEN starts_with(unit, 'letter') THEN spend + 4 ELSE spend END"
    )
    charter = {**on("spend", -0.5), "sample": {"units_per_arm": 4_000, "looks": {"method": "always_valid"}}}
    case = stage.case(charter=charter, arms=arms, outcomes=spent)
    [found] = ask("kill_criteria", case)
    assert (found.outcome, found.measured["look"]) == ("failed", "2026-01-08")
    assert case.evidence.effect("letter", "spend").estimate > 0


def test_a_metric_that_does_not_vary_cannot_be_asked(stage, ask):
    charter = {**COLLAPSE}
    [found] = ask("kill_criteria", stage.case(charter=charter))
    assert (found.arm, found.outcome, "does not vary" in found.reason) == ("letter", "unevaluable", True)


@pytest.mark.parametrize(
    ("looks", "worse_than", "outcome"),
    # Nine in ten spend up to nine dollars in the control, evenly, and up to four and a half in the arm.
    [("always_valid", -1.0, "failed"), ("always_valid", -6.0, "unevaluable"), ("fixed", -6.0, "passed")],
)
def test_a_quantile_is_not_asked_day_by_day_and_passes_nowhere_where_anybody_may_look(
    stage, ask, looks, worse_than, outcome
):
    path = stage.workspace.configs / "metrics.yaml"
    path.write_text(f"{path.read_text()}\n  top: {{kind: quantile, column: spend, quantile: 0.9, unit: USD}}\n")
    arms = {"control": Recorded(units=4_000, visits=800), "letter": Recorded(units=4_000, visits=1_600)}
    sample = {"units_per_arm": 4_000, "looks": {"method": looks}}
    spent = """SELECT * REPLACE (CAST(split_part(unit, '-', 2) AS INTEGER) /
               CASE WHEN starts_with(unit, 'letter') THEN 800 ELSE 400 END AS spend) FROM outcomes"""
    charter = on("top", worse_than, secondary=["top"], sample=sample, guardrails=[])
    [found] = ask("kill_criteria", stage.case(charter=charter, arms=arms, outcomes=spent))
    assert (found.arm, found.outcome) == ("letter", outcome)
    assert ("a quantile is not computed day by day" in found.reason) == (outcome == "unevaluable")


def test_a_look_at_which_it_could_not_be_asked_leaves_it_open(stage, ask):
    nobody = BOUGHT.replace("CAST(CAST", "CAST(\"at\" >= '2026-01-12' AND CAST")
    kill = on("conversion", -0.9, secondary=["conversion"])
    [found] = ask("kill_criteria", stage.case(charter={**LOOKS, **kill}, outcomes=nobody))
    assert (found.outcome, "at the look of 2026-01-12" in found.reason) == ("unevaluable", True)


@pytest.mark.parametrize("arms", [{"control": Recorded(), "letter": Recorded(units=0)}, {}])
def test_an_arm_without_data_cannot_be_asked(stage, ask, arms):
    [found] = ask("kill_criteria", stage.case(charter=on("visit", -0.05), arms=arms))
    assert (found.arm, found.outcome) == ("letter", "unevaluable")


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_what_is_not_a_number_is_no_answer(stage, ask, value):
    case = stage.case(charter=on("visit", -0.05))
    effects = tuple(e.model_copy(update={"high": value}) for e in case.evidence.effects)
    case.__dict__["evidence"] = case.evidence.model_copy(update={"effects": effects})
    [found] = ask("kill_criteria", case)
    assert found.outcome == "unevaluable"


def test_before_the_end_it_is_not_kept_yet(stage, ask):
    case = stage.case(charter=on("visit", -0.05), covers_until="2026-01-17T00:00:00Z")
    [found] = ask("kill_criteria", case)
    assert (found.outcome, found.reason) == ("unevaluable", DESCRIPTIVE)


def test_a_metric_that_leaves_out_more_units_of_an_arm_compares_others(stage, ask, left_out):
    left_out("visit", "spend")
    kept = "SELECT * FROM outcomes WHERE starts_with(unit, 'control') OR visit = 1 OR hash(unit) % 3 > 0"
    [found] = ask("kill_criteria", stage.case(charter=on("visit", -0.05), outcomes=kept))
    assert (found.outcome, "leaves out" in found.reason) == ("unevaluable", True)


def test_evidence_that_was_promised_before_is_computed_as_it_was(stage):
    """Of a build before this one: no look of a secondary metric, no day of a guardrail, and its version."""
    case = stage.case(charter={**LOOKS, **COLLAPSE}, outcomes=BOUGHT)
    earlier = compute(case.promise.model_copy(update={"rules": 1}), case.candidate.data)
    assert earlier.schema_version == 2
    assert {each.metric for look in earlier.looks for each in look.effects} == {"visit", "spend"}
    assert case.evidence.schema_version == 3
    assert {each.metric for look in case.evidence.looks for each in look.effects} == {"visit", "spend", "conversion"}
    assert [answer.met for answer in answers(case.promise, case.evidence)] == [True]
