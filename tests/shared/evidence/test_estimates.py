"""Estimates, each against another implementation: scipy.stats, statsmodels and tea-tasting."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import statsmodels.api as sm
import tea_tasting as tt
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import test_proportions_2indep as proportions
from statsmodels.stats.weightstats import CompareMeans, DescrStatsW

from shared.stats.decision_rule import Shortfall, shortfall
from shared.stats.estimates import (
    CLUSTERS_MIN,
    Differences,
    Means,
    Quantity,
    differences,
    means,
    p_two_sided,
    reason,
    relative,
)
from shared.stats.moments import SIZE, Cells
from shared.stats.problems import Problem, words
from shared.stats.test_methods import FixedHorizon
from tests.shared.cells import cells_of, drawn_cells

PLAIN = FixedHorizon()
ALPHA = 0.05
ARMS = ("the treatment arm", "the control arm")
samples = st.lists(st.floats(-1000, 1000).map(lambda x: round(x, 3)), min_size=2, max_size=30)


def single(n, mean, m2):
    """A single mean from its moments."""
    cells = Cells({}, np.array([n]), {"x": np.array([float(mean)])}, {("x", "x"): np.array([float(m2)])}, {}, {})
    return means(cells, [Quantity("x")]).at((0, 0))


def of(values):
    array = np.asarray(values, dtype=float)
    return single(array.size, array.mean(), ((array - array.mean()) ** 2).sum())


def from_sums(n, total, squares):
    return single(n, total / n, squares - total * total / n)


def lifts(treated, control, alpha=ALPHA):
    return tuple(map(float, relative(treated, control, alpha)))


# GrowthBook's test vector of its statistics engine: (n, sum, sum of squares) of control and treatment.
CONTROL, TREATED = from_sums(3407, 1396.87, 52377.9767), from_sums(3461, 2422.7, 134698.29)


def test_the_published_vector_has_its_published_absolute_interval():
    assert differences(TREATED, CONTROL).interval(ALPHA) == pytest.approx((0.04538, 0.53462), abs=5e-6)


def test_the_published_vector_has_its_published_p_value():
    assert differences(TREATED, CONTROL).p() == pytest.approx(0.02016, abs=5e-6)


def test_the_published_vector_has_its_published_relative_lift_and_interval():
    # Within 3e-5: the vector's quantile has Welch's degrees of freedom of the difference (5,842), ours has those of
    # the ratio (6,815), as tea-tasting's has; the two quantiles differ by 3 in 100,000.
    assert lifts(TREATED, CONTROL) == pytest.approx((0.70732, -0.03526, 1.44989), abs=3e-5)


@pytest.fixture(scope="module")
def arms():
    """Skewed, of unequal size and variance: where Welch and Student part."""
    rng = np.random.default_rng(20260202)
    return rng.gamma(2.0, 4.0, 400), rng.gamma(2.0, 3.0, 150)


@pytest.fixture(scope="module")
def welch(arms):
    return differences(of(arms[0]), of(arms[1]))


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
    assert PLAIN.p_one_sided(welch, margin, 1) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("margin", [1.0, 2.0, 3.5])
def test_non_inferiority_where_less_is_better_is_scipys_one_sided_test_below_the_margin(arms, welch, margin):
    expected = stats.ttest_ind(arms[0] - margin, arms[1], equal_var=False, alternative="less").pvalue
    assert PLAIN.p_one_sided(welch, margin, -1) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("sign", "side", "end"), [(1, "greater", "low"), (-1, "less", "high")])
def test_the_bound_is_scipys_one_sided_confidence_bound_on_the_bad_side(arms, welch, sign, side, end):
    expected = stats.ttest_ind(*arms, equal_var=False, alternative=side).confidence_interval(1 - ALPHA)
    assert PLAIN.bound(welch, ALPHA, sign) == pytest.approx(getattr(expected, end), rel=1e-9)


def _tea_tasting(treated, control, metric):
    def aggregates(values):
        array = np.asarray(values, dtype=float)
        return tt.aggr.Aggregates(
            count_=array.size, mean_={"x": float(array.mean())}, var_={"x": float(array.var(ddof=1))}, cov_={}
        )

    return metric.analyze_aggregates(control=aggregates(control), treatment=aggregates(treated))


def test_the_relative_lift_is_tea_tastings(arms):
    result = _tea_tasting(*arms, tt.Mean("x", confidence_level=0.95, equal_var=False, use_t=True))
    assert lifts(of(arms[0]), of(arms[1]))[0] == pytest.approx(result.rel_effect_size, rel=1e-9)


@pytest.mark.parametrize("side", [1, 2])
def test_the_relative_interval_is_tea_tastings_before_it_takes_the_logarithm_back(arms, side):
    # tea-tasting 1.14 gives ratio x exp(+-t se / ratio); the delta method's own interval is ratio +- t se.
    result = _tea_tasting(*arms, tt.Mean("x", confidence_level=0.95, equal_var=False, use_t=True))
    ratio = 1 + result.rel_effect_size
    end = (result.rel_effect_size_ci_lower, result.rel_effect_size_ci_upper)[side - 1]
    expected = result.rel_effect_size + ratio * math.log((1 + end) / ratio)
    assert lifts(of(arms[0]), of(arms[1]))[side] == pytest.approx(expected, rel=1e-9)


def test_the_absolute_test_is_tea_tastings(arms, welch):
    result = _tea_tasting(*arms, tt.Mean("x", confidence_level=0.95, equal_var=False, use_t=True))
    expected = (result.pvalue, result.effect_size_ci_lower, result.effect_size_ci_upper)
    assert (welch.p(), *welch.interval(ALPHA)) == pytest.approx(expected, rel=1e-9)


@pytest.mark.filterwarnings("ignore:Precision loss:RuntimeWarning")  # scipy's, on samples that hardly vary
@given(samples, samples)
def test_any_two_samples_have_scipys_p_value(one, other):
    found = differences(of(one), of(other))
    assume(found.known)
    # scipy adds up in another order: where hardly anything varies, the last digits decide.
    assume(found.se > 1e-6)
    assert found.p() == pytest.approx(stats.ttest_ind(one, other, equal_var=False).pvalue, rel=1e-6, abs=1e-12)


@given(samples, samples)
def test_swapping_the_arms_turns_the_sign_and_nothing_else(one, other):
    found, swapped = differences(of(one), of(other)), differences(of(other), of(one))
    assume(found.known)
    expected = [float(each) for each in (-found.estimate, found.se, found.df)]
    assert (swapped.estimate, swapped.se, swapped.df) == pytest.approx(expected)


@given(samples, samples)
def test_an_interval_leaves_zero_out_exactly_where_p_is_below_alpha(one, other):
    found = differences(of(one), of(other))
    assume(found.known and abs(found.p() - ALPHA) > 1e-9)
    low, high = found.interval(ALPHA)
    assert (found.p() < ALPHA) == (low > 0 or high < 0)


@given(samples, samples, st.sampled_from([1, -1]), st.floats(-100, 100))
def test_a_bound_is_beyond_the_margin_exactly_where_non_inferiority_is_shown(one, other, sign, margin):
    found = differences(of(one), of(other))
    assume(found.known and abs(PLAIN.p_one_sided(found, margin, sign) - ALPHA) > 1e-9)
    assert (PLAIN.p_one_sided(found, margin, sign) < ALPHA) == (sign * (PLAIN.bound(found, ALPHA, sign) - margin) > 0)


def test_a_p_value_far_out_is_small_and_not_zero():
    # scipy's survival function; one minus the distribution function would give 0.
    found = p_two_sided(20.0, 1.0, 1e6)
    assert found == pytest.approx(2 * stats.t.sf(20.0, 1e6), rel=1e-9)
    assert found > 0


GOOD = of([1.0, 2.0, 3.0, 5.0])


def nothing(found, problem):
    """Whether there is the problem and no number at all."""
    numbers = (found.estimate, found.se, found.df, found.p(), *found.interval(ALPHA), PLAIN.bound(found, ALPHA, 1))
    return found.problem == problem and not found.known and all(np.isnan(each) for each in numbers)


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("side", ["treatment", "control"])
def test_an_arm_with_fewer_than_two_units_is_a_problem_that_names_it(count, side):
    few = single(count, 1.0, 0.0)
    pair = (few, GOOD) if side == "treatment" else (GOOD, few)
    assert reason(*pair, ARMS) == f"the {side} arm has {count} unit{'' if count == 1 else 's'}"
    assert nothing(differences(*pair), Problem.TOO_FEW)


@pytest.mark.parametrize("values", [([1.0] * 5, [1.0] * 5), ([1.0] * 5, [2.0] * 5), ([0.0, 0.0], [0.0, 0.0])])
def test_two_arms_that_do_not_vary_are_a_problem(values):
    pair = of(values[0]), of(values[1])
    assert reason(*pair, ARMS) == "the metric does not vary in either arm"
    assert nothing(differences(*pair), Problem.CONSTANT)


@pytest.mark.parametrize("side", [0, 1])
def test_one_arm_that_does_not_vary_has_no_error_to_go_by(side):
    pair = (of([2.0] * 5), GOOD) if side == 0 else (GOOD, of([2.0] * 5))
    assert reason(*pair, ARMS) == f"the metric does not vary in {ARMS[side]}"
    assert nothing(differences(*pair), Problem.CONSTANT_ARM)
    assert np.isnan(lifts(*pair)).all()


@pytest.mark.parametrize(("mean", "m2"), [(math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0), (1.0, math.inf)])
@pytest.mark.parametrize("side", ["treatment", "control"])
def test_values_that_are_not_finite_are_a_problem(mean, m2, side):
    bad = single(5, mean, m2)
    pair = (bad, GOOD) if side == "treatment" else (GOOD, bad)
    assert reason(*pair, ARMS) == f"the {side} arm has values that are not finite numbers"
    assert nothing(differences(*pair), Problem.NOT_FINITE)


def test_a_negative_variance_is_a_problem():
    assert nothing(differences(single(5, 1.0, -9.0), single(5, 1.0, 1.0)), Problem.NOT_FINITE)


@pytest.mark.parametrize("scale", [1e-140, 1e-100, 1e100, 1e145])
def test_numbers_of_any_size_have_the_degrees_of_freedom_of_their_shape(scale):
    one, other = [1.0, 2.0, 3.0, 5.0], [2.0, 2.5, 7.0]
    scaled = differences(of(np.multiply(one, scale)), of(np.multiply(other, scale)))
    assert scaled.df == pytest.approx(stats.ttest_ind(one, other, equal_var=False).df, rel=1e-9)


def test_a_difference_of_three_on_huge_means_is_three():
    one, other = [1e9 + x for x in (1.0, 2.0, 3.0, 6.0)], [1e9 + x for x in (-1.0, 0.0, 1.0)]
    found = differences(of(one), of(other))
    assert (found.estimate, found.df) == pytest.approx((3.0, stats.ttest_ind(one, other, equal_var=False).df), rel=1e-6)


@pytest.mark.parametrize("rows", [100_000, 7])
@pytest.mark.parametrize("value", [0.1, 1 / 3, 1e15 + 0.3, -7.7])
def test_a_constant_whose_sum_is_not_exact_does_not_vary(rows, value):
    # numpy's mean of a constant is off in its last digit for some of these, so that a sum of squares is left.
    pair = of(np.full(rows, value)), of(np.full(rows + 1, value))
    assert nothing(differences(*pair), Problem.CONSTANT)


@pytest.mark.parametrize("baseline", [-0.5, -1e-9, 0.0, 0.001])
def test_a_baseline_near_zero_has_no_relative_lift(baseline):
    control = [baseline - 1.0, baseline, baseline + 1.0, baseline]
    assert np.isnan(lifts(of([3.0, 4.0, 5.0]), of(control))).all()


@pytest.mark.parametrize("side", [1, -1])
@pytest.mark.parametrize(("mean", "has_lift"), [(2.9, False), (3.1, True)])
def test_a_baseline_has_a_relative_lift_from_three_standard_errors_off_zero(mean, has_lift, side):
    control = single(101, side * mean, 100.0 * 101)  # a variance of 101 over 101 units: a standard error of 1
    assert np.isfinite(lifts(single(101, 4.0, 100.0), control)).all() == has_lift


def test_over_a_negative_baseline_more_is_a_positive_lift_and_the_interval_is_mirrored(arms):
    # By hand: from -100 to -80 is up by 20 %, and to -120 down by 20 %.
    assert lifts(single(9, -80.0, 9.0), single(9, -100.0, 9.0))[0] == pytest.approx(0.2)
    assert lifts(single(9, -120.0, 9.0), single(9, -100.0, 9.0))[0] == pytest.approx(-0.2)
    lift, low, high = lifts(of(arms[0]), of(arms[1]))
    assert lifts(of(-arms[0]), of(-arms[1])) == pytest.approx((-lift, -high, -low))


def test_where_the_absolute_and_the_relative_interval_disagree_the_charters_absolute_effect_decides():
    # The published vector: the absolute p-value is 0.02016, the relative interval reaches from -3.5 % to 145 %.
    found, (_, low, high) = differences(TREATED, CONTROL), lifts(TREATED, CONTROL)
    assert low < 0 < high
    decided = shortfall(
        found.estimate, found.interval(ALPHA), found.p(), PLAIN.p_one_sided(found, 0.1, 1),
        sign=1, alpha=ALPHA, minimum=0.1, worthwhile="estimate",
    )  # fmt: skip
    assert decided == Shortfall.NONE


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_units_have_no_relative_lift(count):
    assert np.isnan(lifts(single(count, 1.0, 0.0), GOOD)).all()


@pytest.mark.parametrize(("mean", "m2"), [(math.nan, 1.0), (1.0, math.nan), (math.inf, 1.0), (1.0, math.inf)])
def test_values_that_are_not_finite_have_no_relative_lift(mean, m2):
    assert np.isnan(lifts(single(5, mean, m2), of([9.0, 9.1, 9.2]))).all()


def test_two_constants_have_no_relative_lift():
    assert np.isnan(lifts(of([2.0, 2.0]), of([1.0, 1.0]))).all()


def test_a_difference_of_shares_is_statsmodels_but_for_n_minus_one():
    # statsmodels' Wald interval divides by n, and takes the normal's quantile for t's.
    hits, n = np.array([230, 180]), np.array([2000, 1900])
    found = differences(*(single(m, k / m, k - k * k / m) for k, m in zip(hits, n, strict=True)))
    expected = proportions(hits[0], n[0], hits[1], n[1], method="wald", compare="diff")
    share = hits / n
    variance = share * (1 - share)
    correction = math.sqrt((variance / (n - 1)).sum() / (variance / n).sum())
    assert found.estimate / found.se * correction == pytest.approx(expected.statistic, rel=1e-9)


RNG = np.random.default_rng(20260303)
UNITS = RNG.integers(1, 9, 700).astype(float)
SPEND = UNITS * RNG.gamma(2.0, 3.0, 700) + RNG.normal(0, 1, 700)
SIDES = np.repeat(["treated", "control"], [400, 300])


def pair_of(columns, quantity):
    found = means(cells_of(columns, arm=SIDES), [quantity])
    return found.at((0, 0)), found.at((1, 0))


def test_the_error_of_a_ratio_is_that_of_a_weighted_regression_by_statsmodels():
    # A ratio of sums is the weighted mean of v / d with weights d; its heteroscedasticity-robust error (HC0) is the
    # delta method's with n instead of n - 1.
    for arm, side in zip(pair_of({"v": SPEND, "d": UNITS}, Quantity("v", "d")), ("treated", "control"), strict=True):
        v, d = SPEND[side == SIDES], UNITS[side == SIDES]
        rates = sm.WLS(v / d, np.ones(v.size), weights=d).fit(cov_type="HC0")
        assert arm.mean == pytest.approx(rates.params[0], rel=1e-9)
        assert arm.variance * (v.size - 1) / v.size == pytest.approx(rates.bse[0] ** 2, rel=1e-9)


def test_an_effect_on_a_ratio_is_tea_tastings():
    arms = pair_of({"v": SPEND, "d": UNITS}, Quantity("v", "d"))
    frame = pa.table({"v": SPEND, "d": UNITS, "arm": np.where(SIDES == "treated", 1, 0)})
    metric = tt.RatioOfMeans("v", "d", confidence_level=0.95, equal_var=False, use_t=True)
    result = tt.Experiment({"m": metric}, variant="arm").analyze(frame)["m"]
    found = differences(*arms)
    expected = (result.effect_size, result.pvalue, result.effect_size_ci_lower, result.effect_size_ci_upper)
    assert (found.estimate, found.p(), *found.interval(ALPHA)) == pytest.approx(expected, rel=1e-9)


def clusters(sizes, rng):
    """Rows of units in clusters, and the sums per cluster that an engine gives."""
    label = np.repeat(np.arange(sizes.size), sizes)
    y = np.repeat(rng.normal(5, 1, sizes.size), sizes) + rng.normal(0, 2, label.size)
    return label, y, np.bincount(label, weights=y)


@pytest.mark.parametrize("sizes", [np.full(50, 6), np.random.default_rng(5).integers(1, 30, 80)])
def test_the_error_of_a_mean_over_clusters_is_statsmodels_cluster_robust_one(sizes):
    # statsmodels without its small-sample factor divides by G, the delta method by G - 1; uneven sizes widen it by
    # 1 + (1 + 2 c) (1 + c) / G - 1 / G, with c the squared coefficient of variation of the sizes.
    label, y, sums = clusters(sizes, np.random.default_rng(6))
    fit = sm.OLS(y, np.ones(y.size)).fit(cov_type="cluster", cov_kwds={"groups": label, "use_correction": False})
    uneven, count = sizes.var() / sizes.mean() ** 2, sizes.size
    wider = 1 + (1 + 2 * uneven) * (1 + uneven) / count - 1 / count
    found = means(drawn_cells({"y": sums[None], SIZE: sizes[None].astype(float)}), [Quantity("y", SIZE)]).at((0, 0))
    assert found.mean == pytest.approx(fit.params[0], rel=1e-9)
    assert found.variance == pytest.approx(fit.bse[0] ** 2 * count / (count - 1) * wider, rel=1e-9)
    assert found.df == pytest.approx(count / (1 + uneven) - 1, rel=1e-9)


def test_a_ratio_of_metrics_over_clusters_is_the_ratio_over_units_by_their_sums():
    sizes = np.random.default_rng(8).integers(2, 9, 60)
    label, y, sums = clusters(sizes, np.random.default_rng(9))
    visits = np.random.default_rng(10).poisson(3, y.size) + 1.0
    totals = np.bincount(label, weights=visits)
    cells = drawn_cells({"y": sums[None], "d": totals[None], SIZE: sizes[None].astype(float)})
    assert means(cells, [Quantity("y", "d")]).mean == pytest.approx(y.sum() / visits.sum(), rel=1e-12)


@pytest.mark.parametrize(("count", "problem"), [(CLUSTERS_MIN - 1, Problem.TOO_FEW_CLUSTERS), (CLUSTERS_MIN, 0)])
def test_equal_clusters_are_enough_from_their_minimum(count, problem):
    sizes = np.full(count, 5)
    sums = clusters(sizes, np.random.default_rng(6))[2]
    found = means(drawn_cells({"y": sums[None], SIZE: sizes[None].astype(float)}), [Quantity("y", SIZE)]).at((0, 0))
    assert (found.problem, bool(np.isnan(found.mean))) == (problem, bool(problem))


def test_one_cluster_that_outweighs_all_others_counts_for_few():
    sizes = np.array([1] * 200 + [400])
    sums = clusters(sizes, np.random.default_rng(6))[2]
    found = means(drawn_cells({"y": sums[None], SIZE: sizes[None].astype(float)}), [Quantity("y", SIZE)]).at((0, 0))
    assert words(int(found.problem), "arm a", int(found.n)).startswith("arm a has 201 clusters, too few")


@pytest.mark.parametrize(
    ("value", "per", "problem"),
    [
        ([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], Problem.ZERO_DENOMINATOR),
        ([1.0, 2.0, 3.0], [1.0, 0.0, 0.0], Problem.DENOMINATOR_NEAR_ZERO),
        ([1.0, 2.0, 3.0], [-1.0, -1.1, -1.2], Problem.DENOMINATOR_NEAR_ZERO),
        ([1.0], [1.0], Problem.TOO_FEW),
        ([math.nan, 2.0, 1.0], [1.0, 1.1, 1.2], Problem.NOT_FINITE),
        ([1.0, 2.0, 1.0], [1.0, math.inf, 1.2], Problem.NOT_FINITE),
    ],
)
def test_a_ratio_that_means_nothing_has_a_problem_and_no_number(value, per, problem):
    found = means(drawn_cells({"v": np.array([value]), "d": np.array([per])}), [Quantity("v", "d")]).at((0, 0))
    assert found.problem == problem
    assert np.isnan([found.mean, found.variance, found.df]).all()


def test_a_ratio_that_is_the_same_for_every_unit_does_not_vary():
    # 0.1 times 0.1 and so on are not exact: what is left must not count as a variance.
    visits = np.array([[1.0, 2.0, 3.0, 5.0, 7.0] * 20])
    found = means(drawn_cells({"v": 0.1 * visits, "d": visits}), [Quantity("v", "d")]).at((0, 0))
    assert nothing(differences(found, found), Problem.CONSTANT)


def test_every_cell_and_quantity_is_estimated_as_it_is_alone():
    columns = {"v": RNG.gamma(2.0, 3.0, (5, 40)), "d": 1 + RNG.gamma(2.0, 3.0, (5, 40))}
    quantities = [Quantity("v"), Quantity("v", "d"), Quantity("d")]
    cells = drawn_cells(columns)
    together = means(cells, quantities)
    for at in range(5):
        for q, quantity in enumerate(quantities):
            alone, both = means(cells.where([at]), [quantity]).at((0, 0)), together.at((at, q))
            assert (both.mean, both.variance, both.df) == (alone.mean, alone.variance, alone.df)


def test_no_quantities_have_no_means_and_cells_keep_their_number():
    assert means(drawn_cells({"v": np.ones((5, 40))}), []).mean.shape == (5, 0)


def test_a_column_that_nobody_asked_for_is_an_error_and_no_zero():
    with pytest.raises(KeyError):
        means(drawn_cells({"v": np.ones((5, 40))}), [Quantity("w")])


@pytest.mark.parametrize("problem", [each for each in Problem if each])
def test_every_problem_has_words_of_its_own(problem):
    others = {words(each, "arm a", 3) for each in Problem if each != problem}
    assert words(problem, "arm a", 3) not in others


def test_the_treatments_problem_is_named_before_the_controls():
    bad, few = single(5, math.nan, 1.0), single(1, 1.0, 0.0)
    assert reason(bad, few, ARMS) == "the treatment arm has values that are not finite numbers"
    assert differences(bad, few).problem == Problem.NOT_FINITE
    assert reason(GOOD, of([1.0, 4.0]), ARMS) is None


def test_differences_and_means_can_be_picked_like_arrays():
    found = means(drawn_cells({"v": RNG.gamma(2.0, 3.0, (6, 40))}), [Quantity("v")])
    between = differences(found.at(slice(3)), found.at(slice(3, None)))
    assert isinstance(found.at(0), Means)
    assert isinstance(between.at((1, 0)), Differences)
    assert between.at((1, 0)).estimate == found.mean[1, 0] - found.mean[4, 0]
