"""Estimates, each against another implementation: scipy.stats, statsmodels and tea-tasting."""

from __future__ import annotations

import math

import numpy as np
import pytest
import tea_tasting as tt
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from shared.evidence.model import Moments
from shared.evidence.single import Difference, difference, holm, relative

ALPHA = 0.05
samples = st.lists(st.floats(-1000, 1000).map(lambda x: round(x, 3)), min_size=2, max_size=30)


def of(values):
    array = np.asarray(values, dtype=float)
    return Moments(n=array.size, mean=float(array.mean()), m2=float(((array - array.mean()) ** 2).sum()))


def from_sums(n, total, squares):
    return Moments(n=n, mean=total / n, m2=squares - total * total / n)


# LIBRARIES.md's test vector: (n, sum, sum of squares) of control and treatment.
CONTROL, TREATED = from_sums(3407, 1396.87, 52377.9767), from_sums(3461, 2422.7, 134698.29)


def test_the_published_vector_has_its_published_absolute_interval():
    assert difference(TREATED, CONTROL).interval(ALPHA) == pytest.approx((0.04538, 0.53462), abs=5e-6)


def test_the_published_vector_has_its_published_p_value():
    assert difference(TREATED, CONTROL).p() == pytest.approx(0.02016, abs=5e-6)


def test_the_published_vector_has_its_published_relative_lift_and_interval():
    # Within 3e-5: the vector's quantile has Welch's degrees of freedom of the difference (5,842), ours has those of
    # the ratio (6,815), as tea-tasting's has; the two quantiles differ by 3 in 100,000.
    assert relative(TREATED, CONTROL, ALPHA) == pytest.approx((0.70732, -0.03526, 1.44989), abs=3e-5)


@pytest.fixture(scope="module")
def arms():
    """Skewed, of unequal size and variance: where Welch and Student part."""
    rng = np.random.default_rng(20260202)
    return rng.gamma(2.0, 4.0, 400), rng.gamma(2.0, 3.0, 150)


@pytest.fixture(scope="module")
def welch(arms):
    return difference(of(arms[0]), of(arms[1]))


def test_the_estimate_is_the_difference_of_means_by_numpy(arms, welch):
    assert welch.estimate == pytest.approx(arms[0].mean() - arms[1].mean(), rel=1e-12)


def test_the_p_value_is_welchs_by_scipy(arms, welch):
    assert welch.p() == pytest.approx(stats.ttest_ind(*arms, equal_var=False).pvalue, rel=1e-9)


def test_the_degrees_of_freedom_are_welchs_by_scipy(arms, welch):
    assert welch.df == pytest.approx(stats.ttest_ind(*arms, equal_var=False).df, rel=1e-9)


@pytest.mark.parametrize("alpha", [0.01, 0.05, 0.2])
def test_the_interval_is_welchs_by_scipy(arms, welch, alpha):
    expected = stats.ttest_ind(*arms, equal_var=False).confidence_interval(1 - alpha)
    assert welch.interval(alpha) == pytest.approx((expected.low, expected.high), rel=1e-9)


def test_the_interval_is_welchs_by_statsmodels(arms, welch):
    compared = CompareMeans(DescrStatsW(arms[0]), DescrStatsW(arms[1]))
    assert welch.interval(ALPHA) == pytest.approx(compared.tconfint_diff(ALPHA, usevar="unequal"), rel=1e-9)


@pytest.mark.parametrize("margin", [-1.0, 0.0, 2.5])
def test_non_inferiority_where_more_is_better_is_scipys_one_sided_test_above_the_margin(arms, welch, margin):
    expected = stats.ttest_ind(arms[0] - margin, arms[1], equal_var=False, alternative="greater").pvalue
    assert welch.p_beyond(margin, 1) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("margin", [1.0, 2.0, 3.5])
def test_non_inferiority_where_less_is_better_is_scipys_one_sided_test_below_the_margin(arms, welch, margin):
    expected = stats.ttest_ind(arms[0] - margin, arms[1], equal_var=False, alternative="less").pvalue
    assert welch.p_beyond(margin, -1) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("sign", "side", "end"), [(1, "greater", "low"), (-1, "less", "high")])
def test_the_bound_is_scipys_one_sided_confidence_bound_on_the_bad_side(arms, welch, sign, side, end):
    expected = stats.ttest_ind(*arms, equal_var=False, alternative=side).confidence_interval(1 - ALPHA)
    assert welch.bound(ALPHA, sign) == pytest.approx(getattr(expected, end), rel=1e-9)


def _tea_tasting(treated, control, metric):
    def aggregates(values):
        array = np.asarray(values, dtype=float)
        return tt.aggr.Aggregates(
            count_=array.size, mean_={"x": float(array.mean())}, var_={"x": float(array.var(ddof=1))}, cov_={}
        )

    return metric.analyze_aggregates(control=aggregates(control), treatment=aggregates(treated))


def test_the_relative_lift_is_tea_tastings(arms):
    result = _tea_tasting(*arms, tt.Mean("x", confidence_level=0.95, equal_var=False, use_t=True))
    assert relative(of(arms[0]), of(arms[1]), ALPHA)[0] == pytest.approx(result.rel_effect_size, rel=1e-9)


@pytest.mark.parametrize("side", [1, 2])
def test_the_relative_interval_is_tea_tastings_before_it_takes_the_logarithm_back(arms, side):
    # tea-tasting 1.14 gives ratio x exp(+-t se / ratio); the delta method's own interval is ratio +- t se.
    result = _tea_tasting(*arms, tt.Mean("x", confidence_level=0.95, equal_var=False, use_t=True))
    ratio = 1 + result.rel_effect_size
    end = (result.rel_effect_size_ci_lower, result.rel_effect_size_ci_upper)[side - 1]
    expected = result.rel_effect_size + ratio * math.log((1 + end) / ratio)
    assert relative(of(arms[0]), of(arms[1]), ALPHA)[side] == pytest.approx(expected, rel=1e-9)


def test_the_absolute_test_is_tea_tastings(arms, welch):
    result = _tea_tasting(*arms, tt.Mean("x", confidence_level=0.95, equal_var=False, use_t=True))
    expected = (result.pvalue, result.effect_size_ci_lower, result.effect_size_ci_upper)
    assert (welch.p(), *welch.interval(ALPHA)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")  # scipy's, on samples that hardly vary
@given(samples, samples)
def test_any_two_samples_have_scipys_p_value(one, other):
    found = difference(of(one), of(other))
    assume(isinstance(found, Difference))
    # scipy adds up in another order: where hardly anything varies, the last digits decide.
    assume(found.se > 1e-6)
    assert found.p() == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue, rel=1e-6, abs=1e-12)


@given(samples, samples)
def test_swapping_the_arms_turns_the_sign_and_nothing_else(one, other):
    found, swapped = difference(of(one), of(other)), difference(of(other), of(one))
    assume(isinstance(found, Difference))
    assert (swapped.estimate, swapped.se, swapped.df) == pytest.approx((-found.estimate, found.se, found.df))


@given(samples, samples)
def test_an_interval_leaves_zero_out_exactly_where_p_is_below_alpha(one, other):
    found = difference(of(one), of(other))
    assume(isinstance(found, Difference) and abs(found.p() - ALPHA) > 1e-9)
    low, high = found.interval(ALPHA)
    assert (found.p() < ALPHA) == (low > 0 or high < 0)


@given(samples, samples, st.sampled_from([1, -1]), st.floats(-100, 100))
def test_a_bound_is_beyond_the_margin_exactly_where_non_inferiority_is_shown(one, other, sign, margin):
    found = difference(of(one), of(other))
    assume(isinstance(found, Difference) and abs(found.p_beyond(margin, sign) - ALPHA) > 1e-9)
    assert (found.p_beyond(margin, sign) < ALPHA) == (sign * (found.bound(ALPHA, sign) - margin) > 0)


def test_a_p_value_far_out_is_small_and_not_zero():
    # scipy's survival function; one minus the distribution function would give 0.
    found = Difference(estimate=20.0, se=1.0, df=1e6)
    assert found.p() == pytest.approx(2 * stats.t.sf(20.0, 1e6), rel=1e-9)
    assert found.p() > 0


GOOD = of([1.0, 2.0, 3.0, 5.0])


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("side", ["treatment", "control"])
def test_an_arm_with_fewer_than_two_units_is_a_problem_that_names_it(count, side):
    few = Moments(n=count, mean=1.0, m2=0.0)
    found = difference(few, GOOD) if side == "treatment" else difference(GOOD, few)
    assert found == f"the {side} arm has {count} unit{'' if count == 1 else 's'}"


@pytest.mark.parametrize("values", [([1.0] * 5, [1.0] * 5), ([1.0] * 5, [2.0] * 5), ([0.0, 0.0], [0.0, 0.0])])
def test_two_arms_that_do_not_vary_are_a_problem(values):
    assert difference(of(values[0]), of(values[1])) == "the metric does not vary in either arm"


def test_one_arm_that_does_not_vary_is_no_problem_by_scipy():
    found = difference(of([2.0] * 5), GOOD)
    expected = stats.ttest_1samp([1.0, 2.0, 3.0, 5.0], 2.0).pvalue
    assert found.p() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("mean", "m2"), [(math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0), (1.0, math.inf)])
@pytest.mark.parametrize("side", ["treatment", "control"])
def test_values_that_are_not_finite_are_a_problem(mean, m2, side):
    bad = Moments(n=5, mean=mean, m2=m2)
    found = difference(bad, GOOD) if side == "treatment" else difference(GOOD, bad)
    assert found == f"the {side} arm has values that are not finite numbers"


def test_a_negative_variance_is_a_problem():
    assert isinstance(difference(Moments(n=5, mean=1.0, m2=-9.0), Moments(n=5, mean=1.0, m2=1.0)), str)


@pytest.mark.parametrize("scale", [1e-150, 1e-100, 1e100, 1e145])
def test_numbers_of_any_size_have_the_degrees_of_freedom_of_their_shape(scale):
    one, other = [1.0, 2.0, 3.0, 5.0], [2.0, 2.5, 7.0]
    scaled = difference(of(np.multiply(one, scale)), of(np.multiply(other, scale)))
    assert scaled.df == pytest.approx(stats.ttest_ind(one, other, equal_var=False).df, rel=1e-9)


def test_a_difference_of_three_on_huge_means_is_three():
    one, other = [1e9 + x for x in (1.0, 2.0, 3.0, 6.0)], [1e9 + x for x in (-1.0, 0.0, 1.0)]
    found = difference(of(one), of(other))
    assert (found.estimate, found.df) == pytest.approx((3.0, stats.ttest_ind(one, other, equal_var=False).df), rel=1e-6)


@pytest.mark.parametrize("baseline", [-5.0, -1e-9, 0.0, 0.001])
def test_a_baseline_below_or_near_zero_has_no_relative_lift(baseline):
    control = [baseline - 1.0, baseline, baseline + 1.0, baseline]
    assert relative(of([3.0, 4.0, 5.0]), of(control), ALPHA) is None


@pytest.mark.parametrize(("mean", "has_lift"), [(2.9, False), (3.1, True)])
def test_a_baseline_has_a_relative_lift_from_three_standard_errors_above_zero(mean, has_lift):
    control = Moments(n=101, mean=mean, m2=100.0 * 101)  # a variance of 101 over 101 units: a standard error of 1
    assert (relative(Moments(n=101, mean=4.0, m2=100.0), control, ALPHA) is not None) == has_lift


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_units_have_no_relative_lift(count):
    assert relative(Moments(n=count, mean=1.0, m2=0.0), GOOD, ALPHA) is None


@pytest.mark.parametrize(("mean", "m2"), [(math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0), (1.0, math.inf)])
def test_values_that_are_not_finite_have_no_relative_lift(mean, m2):
    assert relative(Moments(n=5, mean=mean, m2=m2), of([9.0, 9.1, 9.2]), ALPHA) is None


def test_two_constants_have_no_relative_lift():
    assert relative(of([2.0, 2.0]), of([1.0, 1.0]), ALPHA) is None


@given(st.lists(st.floats(0, 1), min_size=1, max_size=8))
def test_holms_adjustment_is_statsmodels(p_values):
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist(), rel=1e-12, abs=1e-300)


def test_holms_adjustment_by_hand():
    # Three tests: 3 x .01, then 2 x .03, then the running maximum over 1 x .04.
    assert holm([0.04, 0.01, 0.03]) == pytest.approx([0.06, 0.03, 0.06])


def test_holms_adjustment_of_nothing_is_nothing():
    assert holm([]) == []
