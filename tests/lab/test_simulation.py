"""Chances: what is drawn decides as the closed forms say, and a forecast is calibrated against the gate itself."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from lab.forecast.simulation import Design, Ending, Rail, _path, chances, judge
from shared.experiment.sample_plan import AlwaysValid, GroupSequential
from shared.stats.detection import AtAnyTime, AtLooks
from shared.stats.power import Arms, Baseline, power, power_to_rule_out
from shared.stats.prior import Prior
from tests.proof.forecast import brier_skill, calibration_error, simulate

SHARE, SPEND = Baseline(0.1, 0.09, "share"), Baseline(10.0, 400.0)
DRAWS = 40_000
# Three Monte-Carlo standard errors at one half.
NOISE = 3 * 0.5 / DRAWS**0.5
EXACTLY_NONE = Prior(0.0, 0.0)


def design(**changes):
    """One treatment, 2,000 units each, and a guardrail that never speaks against it."""
    given = {
        "alpha": 0.05,
        "minimum": 0.02,
        "worthwhile": "estimate",
        "planned": 1_500,
        "units": 4_000,
        "shares": (0.5, 0.5),
        "primary": SHARE,
        "sign": 1,
        "rails": (Rail(SPEND, 1, -100.0),),
    }
    return Design(**{**given, **changes})


def ask(plan, effect=EXACTLY_NONE, harms=(EXACTLY_NONE,), seed=1):
    return chances(plan, effect, harms, np.random.default_rng(seed), DRAWS)


def test_every_pilot_has_one_ending():
    assert sum(ask(design(), Prior(0.01, 0.02)).values()) == pytest.approx(1)


def test_without_an_effect_half_of_alpha_is_let_through_where_any_gain_is_enough():
    assert ask(design(minimum=1e-9))[Ending.SCALE] == pytest.approx(0.025, abs=NOISE)


def test_with_many_units_an_effect_at_the_minimum_passes_in_one_pilot_of_two():
    found = ask(design(units=400_000), Prior(0.02, 0.0))
    assert found[Ending.SCALE] == pytest.approx(0.5, abs=NOISE)


def test_a_lower_bound_lets_an_effect_at_the_minimum_pass_by_half_of_alpha():
    found = ask(design(units=400_000, worthwhile="lower_bound"), Prior(0.02, 0.0))
    assert found[Ending.SCALE] == pytest.approx(0.025, abs=NOISE)


@pytest.mark.parametrize("baseline", [SHARE, SPEND])
def test_the_chance_of_one_arm_is_the_power_of_its_test_where_any_gain_is_enough(baseline):
    effect = 1.2 * (baseline.variance / 1_000) ** 0.5
    found = ask(design(primary=baseline, minimum=1e-9), Prior(effect, 0.0))
    # Two-sided power less the wrong side, which is nothing here; arms vary a little around 2,000 units.
    assert found[Ending.SCALE] == pytest.approx(power(baseline, effect, Arms(2_000, 2_000), 0.05), abs=2 * NOISE)


def test_a_metric_where_less_is_better_mirrors_one_where_more_is():
    more = ask(design(primary=SPEND, minimum=1.0), Prior(1.5, 0.5))
    less = ask(design(primary=SPEND, minimum=1.0, sign=-1), Prior(-1.5, 0.5))
    assert less[Ending.SCALE] == pytest.approx(more[Ending.SCALE], abs=2 * NOISE)


def test_harm_is_ruled_out_as_often_as_the_guardrails_power_says():
    rail = Rail(SPEND, 1, -1.5)
    found = ask(design(minimum=1e-9, rails=(rail,)), Prior(0.5, 0.0))
    expected = power_to_rule_out(SPEND, -1.5, Arms(2_000, 2_000), 0.05)
    assert found[Ending.SCALE] == pytest.approx(expected, abs=2 * NOISE)
    assert found[Ending.HARM_NOT_RULED_OUT] == pytest.approx(1 - expected, abs=2 * NOISE)


def test_a_rare_metric_has_the_mean_and_the_error_that_customers_drawn_one_by_one_have():
    """Half a per cent buy for 100 dollars: drawn as statistics, and as customers."""
    rng, units = np.random.default_rng(5), np.full((20_000, 2), 2_000)
    baseline = Baseline.of(0.5, 0.005 * 100**2 - 0.25, share=False, never_negative=True)
    drawn = _path(rng, baseline, np.full((20_000, 1), 0.25), [units])
    buyers = rng.binomial(2_000, [0.005, 0.0075], (20_000, 2)) / 2_000
    means, errors = 100 * buyers, 100**2 * buyers * (1 - buyers) / 1_999
    estimate, se = means[:, 1] - means[:, 0], np.sqrt(errors.sum(axis=1))
    assert drawn.estimate.mean() == pytest.approx(estimate.mean(), abs=0.01)
    assert drawn.estimate.std() == pytest.approx(estimate.std(), rel=0.03)
    assert drawn.se.mean() == pytest.approx(se.mean(), rel=0.02)
    together = np.corrcoef(drawn.estimate[0, :, 0], drawn.se[0, :, 0])[0, 1]
    assert together == pytest.approx(np.corrcoef(estimate, se)[0, 1], abs=0.05)


def test_of_two_arms_without_effect_as_many_pass_as_holm_lets():
    found = ask(design(minimum=1e-9, units=6_000, shares=(1 / 3,) * 3))
    # Both arms share a control: between Bonferroni's bound for two tests, and one test's own.
    assert 0.0125 < found[Ending.SCALE] < 0.025 + NOISE


def test_too_few_units_are_refused_whatever_the_effect():
    found = ask(design(planned=2_000), Prior(0.2, 0.0))
    # Of 4,000 units by a fair coin, both arms have 2,000 only where both have exactly that many.
    assert found[Ending.TOO_FEW_UNITS] == pytest.approx(1 - norm.pdf(0) / 1_000**0.5, abs=NOISE)


def test_without_guardrails_nothing_is_ever_scaled():
    found = ask(design(rails=()), Prior(0.2, 0.0), harms=())
    assert (found[Ending.SCALE], found[Ending.UNDECIDED]) == (0, 1)


def test_a_metric_that_happens_not_to_vary_is_undecided():
    never = Baseline(1e-12, 1e-12, "share")
    assert ask(design(primary=never))[Ending.UNDECIDED] == 1


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
@pytest.mark.parametrize("baseline", [SHARE, SPEND])
def test_agreed_looks_find_an_effect_as_often_as_their_power_says(spending, baseline):
    at, effect = (0.25, 0.5, 0.75, 1.0), 1.2 * (baseline.variance / 1_000) ** 0.5
    looks = GroupSequential(method="group_sequential", at=at, spending=spending)
    found = ask(design(primary=baseline, minimum=1e-9, looks=looks), Prior(effect, 0.0))
    expected = power(baseline, effect, Arms(2_000, 2_000), 0.05, AtLooks(at, spending))
    assert found[Ending.SCALE] == pytest.approx(expected, abs=2 * NOISE)
    none = ask(design(primary=baseline, minimum=1e-9, looks=looks))
    assert none[Ending.SCALE] == pytest.approx(0.025, abs=NOISE)


def test_agreed_looks_let_a_great_effect_pass_before_the_planned_units_are_there():
    plan = design(planned=2_100, looks=GroupSequential(method="group_sequential", at=(0.5, 1)))
    assert ask(plan, Prior(0.2, 0.0))[Ending.SCALE] == 1
    assert ask(design(planned=2_100), Prior(0.2, 0.0))[Ending.TOO_FEW_UNITS] == 1


def test_a_sequence_finds_an_effect_as_often_as_its_power_at_the_end_says():
    plan = design(minimum=1e-9, looks=AlwaysValid(method="always_valid"))
    expected = power(SHARE, 0.03, Arms(2_000, 2_000), 0.05, AtAnyTime(0.05, plan.planned))
    assert ask(plan, Prior(0.03, 0.0))[Ending.SCALE] == pytest.approx(expected, abs=2 * NOISE)


def test_a_sequence_over_too_few_units_is_undecided():
    plan = design(units=1_600, planned=600, looks=AlwaysValid(method="always_valid"))
    assert ask(plan, Prior(0.2, 0.0))[Ending.UNDECIDED] == 1


def test_the_same_seed_gives_the_same_chances():
    assert ask(design(), Prior(0.01, 0.02)) == ask(design(), Prior(0.01, 0.02))


def test_the_best_arm_speaks_for_the_pilot():
    effects = np.tile([0.2, -0.2], (100, 1))
    harms = (np.zeros((100, 2)),)
    endings = judge(design(shares=(1 / 3,) * 3, units=6_000), effects, harms, np.random.default_rng(1))
    assert set(endings.tolist()) == {Ending.SCALE}


@pytest.mark.proof
def test_the_forecast_is_calibrated_against_the_gates_own_checks():
    # `make proof` does the same with 6,000 pilots and a bound of .03; with 500 the error of chance alone is about .03.
    found = list(simulate(20260103, 500))
    assert calibration_error(found) < 0.06
    assert brier_skill(found) > 0.05
