import math

import pytest

from promotion.gate.checks.effects.primary_effect import COUNT_ALL, DESCRIPTIVE, NEXT_LOOK, OTHERS_LEFT
from tests.promotion.cases import GOOD, Recorded


def rail(margin, **sample):
    return {"guardrails": [{"metric": "spend", "margin": margin}], "sample": {"units_per_arm": 10, **sample}}


def test_harm_that_is_ruled_out_passes(stage, ask):
    [found] = ask("guardrails", stage.case())
    assert (found.arm, found.outcome, found.threshold) == ("letter", "passed", {"margin": -0.5, "alpha": 0.05})
    assert found.measured["p_non_inferior"] < 0.001
    assert -0.5 < found.measured["bound"] < found.measured["estimate"] == 0.0


def test_harm_beyond_the_margin_fails(stage, ask):
    [found] = ask("guardrails", stage.case(arms={**GOOD, "letter": Recorded(visits=60, spend=(0.0, 2.0))}))
    assert (found.outcome, found.measured["estimate"]) == ("failed", -1.0)
    assert "spend may have fallen by" in found.reason


def test_noise_is_never_safe(stage, ask):
    few = {"control": Recorded(units=10), "letter": Recorded(units=10)}
    [found] = ask("guardrails", stage.case(arms=few))
    assert (found.outcome, found.measured["estimate"]) == ("failed", 0.0)
    assert "more units narrow the bound" in found.remedy


def test_p_at_alpha_passes_and_just_above_it_fails(stage, ask):
    p = ask("guardrails", stage.case(charter=rail(-0.15)))[0].measured["p_non_inferior"]
    assert 0.01 < p < 0.2
    cases = [stage.case(charter=rail(-0.15, alpha=alpha)) for alpha in (p, math.nextafter(p, 0))]
    assert [ask("guardrails", case)[0].outcome for case in cases] == ["passed", "failed"]


def test_without_guardrails_it_is_unevaluable(stage, ask):
    [found] = ask("guardrails", stage.case(charter={"guardrails": []}))
    assert (found.arm, found.outcome, found.remedy) == (None, "unevaluable", "revise with at least one guardrail")


@pytest.mark.parametrize(
    "arms",
    [
        {"control": Recorded(spend=(1.0,)), "letter": Recorded(spend=(1.0,))},
        {"control": Recorded(), "letter": Recorded(units=0)},
        {},
    ],
)
def test_a_guardrail_without_numbers_is_unevaluable(stage, ask, arms):
    [found] = ask("guardrails", stage.case(arms=arms))
    assert (found.arm, found.outcome) == ("letter", "unevaluable")
    assert found.remedy == "record outcomes of this metric in both arms"


def test_every_guardrail_of_every_arm_is_asked(stage, ask):
    charter = {
        "arms": stage.three_arms(),
        "guardrails": [{"metric": "spend", "margin": -0.5}, {"metric": "conversion", "margin": -0.1}],
    }
    found = ask("guardrails", stage.case(charter=charter, arms={**GOOD, "card": Recorded()}))
    assert [(f.arm, f.reason.removeprefix("kept: ").split()[0], f.outcome) for f in found] == [
        ("letter", "spend", "passed"),
        ("letter", "conversion", "unevaluable"),
        ("card", "spend", "passed"),
        ("card", "conversion", "unevaluable"),
    ]


def test_what_an_earlier_look_ruled_out_fails_where_the_present_one_shows_it(stage, ask):
    looks = {"looks": {"method": "group_sequential", "at": [0.5, 1], "spending": "pocock"}}
    late = """SELECT * REPLACE (spend - CASE WHEN "at" >= '2026-01-12' AND starts_with(unit, 'letter') THEN 2 ELSE 0 END
              AS spend) FROM outcomes"""
    case = stage.case(charter=rail(-0.5, **looks), outcomes=late)
    [found] = ask("guardrails", case)
    # The p-value is that of the first look, at which both arms spent alike.
    assert found.measured["p_non_inferior"] <= 0.05
    assert found.measured["bound"] < found.measured["estimate"] < -0.5
    assert found.outcome == "failed"


BETWEEN_LOOKS = {"covers_until": "2026-01-17T00:00:00Z"}


def test_numbers_between_looks_decide_nothing(stage, ask):
    case = stage.case(**BETWEEN_LOOKS)
    assert case.evidence.standing == "descriptive"
    [found] = ask("guardrails", case)
    assert (found.arm, found.outcome, found.reason, found.remedy) == ("letter", "unevaluable", DESCRIPTIVE, NEXT_LOOK)


def test_a_guardrail_that_leaves_out_more_units_of_an_arm_compares_others(stage, ask, left_out):
    left_out("spend")
    charter = {"arms": stage.three_arms(), "guardrails": [{"metric": "spend", "margin": -0.5}]}
    # Of the letter arm a third of those who did not visit say nothing.
    kept = "SELECT * FROM outcomes WHERE NOT starts_with(unit, 'letter') OR visit = 1 OR hash(unit) % 3 > 0"
    found = ask("guardrails", stage.case(charter=charter, arms={**GOOD, "card": GOOD["control"]}, outcomes=kept))
    assert [(each.arm, each.outcome) for each in found] == [("letter", "unevaluable"), ("card", "passed")]
    assert (found[0].reason, found[0].remedy) == (OTHERS_LEFT.format("spend"), COUNT_ALL)
