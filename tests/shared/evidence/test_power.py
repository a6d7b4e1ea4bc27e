"""Planning: power, detectable effects and needed units are those of statsmodels and of a published table."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm
from statsmodels.stats.power import NormalIndPower, TTestIndPower, zt_ind_solve_power
from statsmodels.stats.proportion import power_proportions_2indep

from shared.experiment.sample_plan import SamplePlan
from shared.stats.detection import AtAnyTime, AtEnd, AtLooks, detection_of
from shared.stats.power import Arms, Baseline, detectable, power, power_to_rule_out, units_to_detect, units_to_rule_out

SPEND = Baseline(mean=1.0, variance=4.0)
VISIT = Baseline(mean=0.1, variance=0.09, kind="share")


@pytest.mark.parametrize(("units", "effect", "alpha"), [(20, 1.3, 0.05), (500, 0.3, 0.05), (900, -0.2, 0.1)])
def test_the_power_of_two_equal_arms_is_that_of_statsmodels_t_test(units, effect, alpha):
    expected = TTestIndPower().power(effect / 2, units, alpha)
    assert power(SPEND, effect, Arms(units, units), alpha) == pytest.approx(expected, abs=1e-9)


def test_the_power_of_many_units_is_that_of_statsmodels_normal_test():
    expected = NormalIndPower().power(0.05 / 2, 20_000, 0.05, ratio=1.5)
    assert power(SPEND, 0.05, Arms(20_000, 30_000), 0.05) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("effect", [-0.03, 0.01, 0.02])
def test_the_power_for_shares_is_that_of_statsmodels_wald_test(effect):
    # Unpooled, as Welch takes the variances; `power_proportions_2indep` pools them under no difference.
    moved = VISIT.moved(effect)
    expected = NormalIndPower().power(
        abs(effect) / math.sqrt((moved.variance + VISIT.variance) / 2), 3_000, 0.05, alternative="two-sided"
    )
    assert power(VISIT, effect, Arms(3_000, 3_000), 0.05) == pytest.approx(expected, abs=1e-3)
    pooled = power_proportions_2indep(effect, 0.1, 3_000).power
    assert power(VISIT, effect, Arms(3_000, 3_000), 0.05) == pytest.approx(pooled, abs=0.01)


def test_the_power_to_rule_out_harm_is_that_of_statsmodels_one_sided_test():
    expected = TTestIndPower().power(0.3 / 2, 500, 0.05, alternative="larger")
    assert power_to_rule_out(SPEND, -0.3, Arms(500, 500), 0.05) == pytest.approx(expected, abs=1e-9)


def test_needed_units_are_statsmodels_rounded_up():
    assert units_to_detect(SPEND, 0.3, 0.05, 0.8) == math.ceil(TTestIndPower().solve_power(0.15, None, 0.05, 0.8))
    wanted = TTestIndPower().solve_power(0.05, None, 0.05, 0.9, alternative="larger")
    assert units_to_rule_out(SPEND, -0.1, 0.05, 0.9) == math.ceil(wanted)


def test_needed_units_of_unequal_arms_are_statsmodels():
    wanted = zt_ind_solve_power(0.15, None, 0.05, 0.8, ratio=3.0)
    assert units_to_detect(SPEND, 0.3, 0.05, 0.8, per_treated=3.0) == pytest.approx(wanted, abs=3)


def test_needed_units_are_those_of_cohens_table():
    # Cohen 1988, table 2.4.1, two-sided alpha .05, power .80: d = .20 needs 393 units per arm, .50 64, .80 26.
    found = [units_to_detect(Baseline(0.0, 1.0), d, 0.05, 0.8) for d in (0.2, 0.5, 0.8)]
    assert found == pytest.approx([393, 64, 26], abs=1)


def test_the_detectable_effect_is_statsmodels():
    expected = 2 * TTestIndPower().solve_power(None, 500, 0.05, 0.8)
    assert detectable(SPEND, Arms(500, 500), 0.05, 0.8, 1) == pytest.approx(expected, rel=1e-6)
    assert detectable(SPEND, Arms(500, 500), 0.05, 0.8, -1) == pytest.approx(-expected, rel=1e-6)


def test_no_drop_of_a_small_share_can_be_found_with_few_units():
    assert detectable(VISIT, Arms(10, 10), 0.05, 0.8, -1) is None
    assert units_to_detect(VISIT, 1e-9, 0.05, 0.8) is None


def test_a_share_that_cannot_rise_further_is_not_found_more_often():
    full = Baseline(0.99, 0.0099, "share")
    assert power(full, 0.5, Arms(500, 500), 0.05) == power(full, 0.01, Arms(500, 500), 0.05)


@settings(max_examples=200)
@given(
    effect=st.floats(1e-3, 1e3),
    treated=st.integers(2, 10**6),
    control=st.integers(2, 10**6),
    alpha=st.floats(1e-3, 0.2),
    sign=st.sampled_from([1, -1]),
)
def test_power_is_a_probability_and_the_same_either_way(effect, treated, control, alpha, sign):
    found = power(SPEND, sign * effect, Arms(treated, control), alpha)
    assert alpha - 1e-6 <= found <= 1 + 1e-9
    assert found == pytest.approx(power(SPEND, -sign * effect, Arms(treated, control), alpha), abs=1e-9)


@settings(max_examples=50)
@given(effect=st.floats(0.05, 2), alpha=st.floats(0.01, 0.2), wanted=st.floats(0.5, 0.95), ratio=st.floats(0.3, 3))
def test_the_units_needed_are_the_least_that_are_enough(effect, alpha, wanted, ratio):
    units = units_to_detect(SPEND, effect, alpha, wanted, ratio)
    arms = [Arms(n, max(2, math.ceil(n * ratio))) for n in (units, units - 1)]
    assert power(SPEND, effect, arms[0], alpha) >= wanted
    assert units == 2 or power(SPEND, effect, arms[1], alpha) < wanted


def test_what_is_rare_moves_as_the_published_cells_of_the_email_test_do():
    # pilotplant/demo/shop.py, from Hillstrom 2008: of the control 0.573 % bought for 0.6528 dollars per customer, of
    # those with the men's mail 1.253 % for 1.4226. With baskets of one size the variance is E[X]^2 (1/share - 1).
    control, mail = (Baseline.of(m, m * m * (1 / s - 1), share=False, never_negative=True) for m, s in CELLS)
    found = control.moved(mail.mean - control.mean)
    assert (control.kind, found.mean) == ("rare", pytest.approx(1.4226))
    assert found.variance == pytest.approx(mail.variance, rel=0.01)
    assert control.moved(-1.0) == Baseline(0.0, 0.0, "rare")


CELLS = ((0.6528, 0.00573), (1.4226, 0.01253))


def test_any_other_mean_keeps_its_variance_and_a_share_has_that_of_its_mean():
    assert Baseline.of(10, 4, share=False, never_negative=True) == Baseline(10, 4, "plain")
    assert Baseline.of(-1, 4, share=False, never_negative=False).moved(3) == Baseline(2, 4, "plain")
    assert Baseline.of(0.1, 0, share=True, never_negative=True).moved(2).variance == 0


FIVE = (0.2, 0.4, 0.6, 0.8, 1.0)
# Two-sided .05, five equal looks: tables of Lan and DeMets' programs (ldbounds, gsDesign).
BOUNDS = {
    "obrien_fleming": (4.8769, 3.3569, 2.6803, 2.2898, 2.0310),
    "pocock": (2.4380, 2.4268, 2.4101, 2.3966, 2.3859),
}
CORRELATIONS = np.sqrt(np.minimum.outer(FIVE, FIVE) / np.maximum.outer(FIVE, FIVE))


@pytest.mark.parametrize("spending", BOUNDS)
def test_the_power_of_five_looks_is_that_of_scipys_multivariate_normal_at_the_published_boundaries(spending):
    effect, units = 0.12, 5_000
    drift = effect / math.sqrt(2 * 4 / units)
    inside = multivariate_normal(drift * np.sqrt(FIVE), CORRELATIONS)
    bounds = np.array(BOUNDS[spending])
    expected = 1 - inside.cdf(bounds, lower_limit=-bounds, rng=np.random.default_rng(1))
    assert power(SPEND, effect, Arms(units, units), 0.05, AtLooks(FIVE, spending)) == pytest.approx(expected, abs=2e-4)


def test_looks_need_more_units_by_the_published_factors():
    # Jennison and Turnbull 2000, tables 2.2 and 2.4, for five looks at .05 and power .8: 1.028 for O'Brien and
    # Fleming's test and 1.229 for Pocock's, which the spending functions imitate.
    fixed = units_to_detect(SPEND, 0.1, 0.05, 0.8)
    for spending, factor in (("obrien_fleming", 1.028), ("pocock", 1.229)):
        units = units_to_detect(SPEND, 0.1, 0.05, 0.8, looks=AtLooks(FIVE, spending))
        assert units / fixed == pytest.approx(factor, abs=0.02)
        ruling = units_to_rule_out(SPEND, -0.1, 0.05, 0.8, looks=AtLooks(FIVE, spending))
        assert 1 < ruling / units_to_rule_out(SPEND, -0.1, 0.05, 0.8) < factor + 0.03


def test_a_sequence_finds_at_the_end_what_is_beyond_its_radius():
    # Waudby-Smith et al., eq. 9, at the planned units: age 8.2 (see test_confidence_sequences), so 3.03 errors.
    radius = math.sqrt((1 + 1 / 8.2) * math.log(9.2 / 0.05**2))
    found = power(SPEND, 0.15, Arms(5_000, 5_000), 0.05, AtAnyTime(0.05, 5_000))
    assert found == pytest.approx(norm.sf(radius - 0.15 / math.sqrt(2 * 4 / 5_000)), abs=2e-3)
    needed = units_to_detect(SPEND, 0.15, 0.05, 0.8, looks=AtAnyTime(0.05))
    assert needed == pytest.approx(8 * ((radius + norm.ppf(0.8)) / 0.15) ** 2, rel=5e-3)


def test_a_sequence_says_nothing_of_few_units():
    assert power(SPEND, 10.0, Arms(999, 5_000), 0.05, AtAnyTime(0.05)) == 0
    assert power_to_rule_out(SPEND, -10.0, Arms(5_000, 999), 0.05, AtAnyTime(0.05)) == 0
    assert units_to_detect(SPEND, 10.0, 0.05, 0.8, looks=AtAnyTime(0.05)) == 1_000


@pytest.mark.parametrize("looks", [AtLooks(FIVE, "obrien_fleming"), AtLooks(FIVE, "pocock"), AtAnyTime(0.05, 1_000)])
def test_the_effect_found_with_the_wanted_power_has_that_power(looks):
    arms = Arms(2_000, 3_000)
    effect = detectable(VISIT, arms, 0.025, 0.8, 1, looks)
    assert power(VISIT, effect, arms, 0.025, looks) == pytest.approx(0.8)
    assert effect > detectable(VISIT, arms, 0.025, 0.8, 1)


def test_the_charter_says_how_it_looks():
    def of(looks):
        return detection_of(SamplePlan.model_validate({"units_per_arm": 700, "alpha": 0.1, "looks": looks}))

    assert of({"method": "fixed"}) == AtEnd()
    assert of({"method": "group_sequential", "at": [0.5, 1]}) == AtLooks((0.5, 1.0), "obrien_fleming")
    assert of({"method": "always_valid"}) == AtAnyTime(0.1, 700)
