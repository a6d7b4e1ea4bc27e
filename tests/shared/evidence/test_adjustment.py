"""Covariates and strata, against statsmodels, tea-tasting, scipy and hand arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
import pytest
import statsmodels.api as sm
import tea_tasting as tt
from scipy import stats

from shared.stats.adjustment import adjusted, centres, slopes, stratified
from shared.stats.estimates import CLUSTERS_MIN, UNITS_PER_COVARIATE, Means, Quantity, differences, means, relative
from shared.stats.moments import SIZE
from shared.stats.problems import Problem
from tests.shared.cells import cells_of, drawn_cells

ALPHA = 0.05
RNG = np.random.default_rng(20260304)
N = 900
ARM = np.where(RNG.random(N) < 0.4, "letter", "control")
LETTER = ARM == "letter"
X = RNG.gamma(2.0, 3.0, N)
Z = 0.5 * X + RNG.normal(0, 1, N)
D = 1.0 + RNG.poisson(0.4 * X)
Y = 4 + 1.5 * X - 0.7 * Z + 0.6 * LETTER + RNG.normal(0, 2, N)
COLUMNS = {"y": Y, "x": X, "z": Z, "d": D, "twice": 2 * X + 1, "same": np.full(N, 7.0)}
CELLS = cells_of(COLUMNS, arm=ARM)
PLAIN, RATIO = Quantity("y"), Quantity("y", "d")
XZ = [Quantity("x"), Quantity("z")]


def pair(found, cells=CELLS):
    """The treatment's means and the control's."""
    arms = cells.keys["arm"].tolist()
    return found.at((arms.index("letter"), 0)), found.at((arms.index("control"), 0))


def ancova(y, *xs):
    """statsmodels' coefficients of covariates beside a dummy per arm."""
    return sm.OLS(y, np.column_stack([LETTER, ~LETTER, *xs]).astype(float)).fit().params[2:]


def linearised(value, per):
    """Each unit's share in its arm's ratio, by hand."""
    ratio = np.where(LETTER, value[LETTER].sum() / per[LETTER].sum(), value[~LETTER].sum() / per[~LETTER].sum())
    mean = np.where(LETTER, per[LETTER].mean(), per[~LETTER].mean())
    return ratio + (value - ratio * per) / mean


def test_slopes_are_the_coefficients_beside_a_dummy_per_arm_by_statsmodels():
    assert slopes(CELLS, [PLAIN], XZ)[0] == pytest.approx(ancova(Y, X, Z), rel=1e-9)


def test_slopes_of_a_ratio_are_those_of_its_linearised_units_by_statsmodels():
    assert slopes(CELLS, [RATIO], XZ)[0] == pytest.approx(ancova(linearised(Y, D), X, Z), rel=1e-9)


@pytest.mark.parametrize("scale", [1e-120, 1e-6, 1e6, 1e120])
def test_slopes_do_not_depend_on_what_a_covariate_is_counted_in(scale):
    cells = cells_of({**COLUMNS, "x": X * scale}, arm=ARM)
    expected = ancova(Y, X, Z)
    assert slopes(cells, [PLAIN], XZ)[0] == pytest.approx([expected[0] / scale, expected[1]], rel=1e-9)


@pytest.mark.parametrize("more", [["same"], ["twice"], ["same", "twice"]])
def test_a_constant_or_collinear_covariate_explains_nothing_of_its_own(more):
    alone = adjusted(CELLS, [PLAIN], [Quantity("x")], slopes(CELLS, [PLAIN], [Quantity("x")]))
    xs = [Quantity("x"), *map(Quantity, more)]
    found = adjusted(CELLS, [PLAIN], xs, slopes(CELLS, [PLAIN], xs))
    assert found.mean == pytest.approx(alone.mean, rel=1e-9)
    # Only the degree of freedom is spent.
    assert found.variance * found.df == pytest.approx(alone.variance * alone.df, rel=1e-9)


def test_only_constant_covariates_leave_the_means_as_they_are():
    found = adjusted(CELLS, [PLAIN], [Quantity("same")], slopes(CELLS, [PLAIN], [Quantity("same")]))
    assert found.mean == pytest.approx(means(CELLS, [PLAIN]).mean, rel=1e-12)


def test_an_adjusted_difference_is_welchs_on_residuals_by_scipy_with_a_degree_of_freedom_less_per_covariate():
    theta = ancova(Y, X, Z)
    rest = Y - theta[0] * X - theta[1] * Z
    treated, control = pair(adjusted(CELLS, [PLAIN], XZ, slopes(CELLS, [PLAIN], XZ)))
    assert differences(treated, control).estimate == pytest.approx(rest[LETTER].mean() - rest[~LETTER].mean(), rel=1e-9)
    for arm, side in ((treated, LETTER), (control, ~LETTER)):
        n = side.sum()
        assert arm.variance == pytest.approx(rest[side].var(ddof=1) / n * (n - 1) / (n - 3), rel=1e-9)
        assert arm.df == n - 3


def test_an_adjusted_difference_is_tea_tastings_but_for_that_degree_of_freedom():
    # tea-tasting 1.14 takes the slope from both arms together, with what differs between them: where the covariate has
    # the same mean in both, nothing does, and its slope is the pooled one.
    x = 6 + X - np.where(LETTER, X[LETTER].mean(), X[~LETTER].mean())
    cells = cells_of({"y": Y, "x": x}, arm=ARM)
    metric = tt.Mean("y", covariate="x", confidence_level=0.95, equal_var=False, use_t=True)
    frame = pa.table({"y": Y, "x": x, "arm": LETTER.astype(int)})
    result = tt.Experiment({"m": metric}, variant="arm").analyze(frame)["m"]
    treated, control = pair(adjusted(cells, [PLAIN], [Quantity("x")], slopes(cells, [PLAIN], [Quantity("x")])), cells)
    # Undone: what was divided by n - 2 is divided by n - 1.
    undone = [Means(a.n, a.mean, a.variance * (a.n - 2) / (a.n - 1), a.df + 1, a.problem) for a in (treated, control)]
    found = differences(*undone)
    expected = (result.effect_size, result.pvalue, result.effect_size_ci_lower, result.effect_size_ci_upper)
    assert (found.estimate, found.p(), *found.interval(ALPHA)) == pytest.approx(expected, rel=1e-9)


def test_an_adjusted_ratio_is_welchs_on_linearised_residuals_by_numpy():
    line = linearised(Y, D)
    theta = ancova(line, X, Z)
    rest = line - theta[0] * (X - X.mean()) - theta[1] * (Z - Z.mean())
    for arm, side in zip(
        pair(adjusted(CELLS, [RATIO], XZ, slopes(CELLS, [RATIO], XZ))), (LETTER, ~LETTER), strict=True
    ):
        assert arm.mean == pytest.approx(rest[side].mean(), rel=1e-9)
        assert arm.variance == pytest.approx(rest[side].var() / (side.sum() - 3), rel=1e-9)


def test_covariates_over_clusters_are_ratios_too_by_statsmodels_on_linearised_clusters():
    sizes = RNG.integers(2, 12, N).astype(float)
    sums, before = sizes * (Y + RNG.normal(0, 1, N)), sizes * X
    cells = cells_of({"y": sums, "x": before, SIZE: sizes}, arm=ARM)
    y, x = linearised(sums, sizes), linearised(before, sizes)
    quantity, covariate = Quantity("y", SIZE), Quantity("x", SIZE)
    found = slopes(cells, [quantity], [covariate])
    assert found[0] == pytest.approx(ancova(y, x), rel=1e-9)
    rest = y - found[0, 0] * x
    treated, control = pair(adjusted(cells, [quantity], [covariate], found), cells)
    assert treated.mean - control.mean == pytest.approx(rest[LETTER].mean() - rest[~LETTER].mean(), rel=1e-9)
    uneven, n = sizes[LETTER].var() / sizes[LETTER].mean() ** 2, LETTER.sum()
    wider = 1 + (1 + 2 * uneven) * (1 + uneven) / n - 1 / n
    # The covariate takes a degree of freedom from the effective number of clusters.
    degrees = n / (1 + uneven) - 1
    expected = rest[LETTER].var() / (n - 1) * wider * degrees / (degrees - 1)
    assert (treated.variance, treated.df) == (pytest.approx(expected, rel=1e-9), pytest.approx(degrees - 1, rel=1e-9))


def test_the_centre_is_the_covariates_mean_over_all_units():
    assert centres(CELLS, [*XZ, Quantity("x", "d")]) == pytest.approx(
        [X.mean(), Z.mean(), (X[LETTER].sum() + X[~LETTER].sum()) / D.sum()], rel=1e-12
    )


def test_the_centre_moves_baselines_and_no_difference():
    theta = slopes(CELLS, [PLAIN], XZ)
    here, there = (pair(adjusted(CELLS, [PLAIN], XZ, theta, np.array(c))) for c in ([0.0, 0.0], [5.0, 1.0]))
    assert differences(*here).estimate == pytest.approx(differences(*there).estimate, rel=1e-9)
    assert there[1].mean - here[1].mean == pytest.approx(theta[0] @ [5.0, 1.0], rel=1e-9)


def test_an_adjusted_lift_is_over_the_baseline_at_the_overall_centre():
    treated, control = pair(adjusted(CELLS, [PLAIN], XZ, slopes(CELLS, [PLAIN], XZ)))
    theta = ancova(Y, X, Z)
    rest = Y - theta[0] * (X - X.mean()) - theta[1] * (Z - Z.mean())
    lift = relative(treated, control, ALPHA)[0]
    assert lift == pytest.approx(rest[LETTER].mean() / rest[~LETTER].mean() - 1, rel=1e-9)


def test_groups_of_cells_have_the_slopes_that_they_have_alone():
    half = np.where(np.arange(N) % 2, "a", "b")
    cells = cells_of(COLUMNS, half=half, arm=ARM)
    group = np.unique(cells.keys["half"].astype(str), return_inverse=True)[1]
    together = slopes(cells, [PLAIN, RATIO], XZ, group)
    middles = centres(cells, XZ, group)
    for each in ("a", "b"):
        own = cells.of(half=each)
        mine = cells.keys["half"] == each
        alone = slopes(own, [PLAIN, RATIO], XZ)
        assert together[mine] == pytest.approx(np.broadcast_to(alone, (2, 2, 2)), rel=1e-9)
        found = adjusted(cells, [PLAIN, RATIO], XZ, together, middles)
        assert found.mean[mine] == pytest.approx(adjusted(own, [PLAIN, RATIO], XZ, alone).mean, rel=1e-9)


def test_an_arm_whose_values_are_not_finite_has_a_problem_and_spoils_no_other():
    arm = ARM.copy()
    arm[:50] = "broken"
    y = np.where(arm == "broken", math.nan, Y)
    cells = cells_of({**COLUMNS, "y": y}, arm=arm)
    theta = slopes(cells, [PLAIN], XZ)
    sound = cells.where(cells.keys["arm"] != "broken")
    assert theta == pytest.approx(slopes(sound, [PLAIN], XZ), rel=1e-12)
    found = adjusted(cells, [PLAIN], XZ, theta)
    at = cells.keys["arm"].tolist().index("broken")
    assert (found.problem[:, 0] == Problem.NOT_FINITE).tolist() == [each == at for each in range(3)]
    assert np.isnan([found.mean[at], found.variance[at]]).all()


@pytest.mark.parametrize("value", [math.nan, math.inf, 1e300])
def test_a_covariate_that_is_not_finite_is_a_problem_and_no_missing_adjustment(value):
    x = X.copy()
    x[np.flatnonzero(LETTER)[0]] = value
    x[np.flatnonzero(~LETTER)[0]] = value
    with np.errstate(all="ignore"):
        cells = cells_of({**COLUMNS, "x": x}, arm=ARM)
    found = adjusted(cells, [PLAIN], XZ, slopes(cells, [PLAIN], XZ))
    assert (found.problem == Problem.NOT_FINITE).all()
    assert np.isnan(found.mean).all()


@pytest.mark.parametrize("short", [0, 1])
def test_too_few_units_for_the_covariates_are_a_problem(short):
    units = 2 * UNITS_PER_COVARIATE - short
    columns = {name: RNG.normal(0, 1, (2, units)) for name in "yxz"}
    cells = drawn_cells(columns)
    found = adjusted(cells, [PLAIN], XZ, slopes(cells, [PLAIN], XZ))
    assert (found.problem == (Problem.TOO_FEW_FOR_COVARIATES if short else Problem.NONE)).all()
    assert np.isnan(found.mean).all() == bool(short)


def test_what_covariates_explain_entirely_does_not_vary():
    columns = {"y": 3 * X + 0.1 * Z, "x": X, "z": Z}
    cells = cells_of(columns, arm=ARM)
    found = differences(*pair(adjusted(cells, [PLAIN], XZ, slopes(cells, [PLAIN], XZ)), cells))
    assert found.problem == Problem.CONSTANT


def test_no_covariates_leave_the_means_as_they_are():
    found = adjusted(CELLS, [PLAIN], [], slopes(CELLS, [PLAIN], []))
    plain = means(CELLS, [PLAIN])
    assert (found.mean.tolist(), found.variance.tolist()) == (plain.mean.tolist(), plain.variance.tolist())


STRATUM = RNG.choice(["new", "old", "gone"], N, p=[0.5, 0.3, 0.2])
BY_STRATUM = cells_of({"y": Y + 5 * (STRATUM == "old"), "d": D}, arm=ARM, level=STRATUM)
LEVELS = ["new", "old", "gone"]


def strata(cells, levels=LEVELS, quantity=PLAIN):
    return [means(cells.of(arm=arm).aligned(level=levels), [quantity]) for arm in ("letter", "control")]


def shares(levels=LEVELS):
    return np.array([(level == STRATUM).sum() for level in levels], dtype=float)


def poststratified(treated, control, weights):
    return differences(stratified(treated, weights), stratified(control, weights))


@pytest.mark.parametrize("quantity", [PLAIN, RATIO])
def test_a_poststratified_difference_is_the_weighted_sum_of_its_strata_by_hand(quantity):
    found = poststratified(*strata(BY_STRATUM, quantity=quantity), shares())
    y, rows = Y + 5 * (STRATUM == "old"), []
    for level in LEVELS:
        for arm in ("letter", "control"):
            v, d = y[(level == STRATUM) & (arm == ARM)], D[(level == STRATUM) & (arm == ARM)]
            ratio = v.sum() / d.sum()
            line = v if quantity is PLAIN else ratio + (v - ratio * d) / d.mean()
            rows.append(((level == STRATUM).mean(), line.mean(), line.var(ddof=1) / line.size, line.size - 1))
    weight, mean, variance, df = np.array(rows).T
    sign = np.array([1, -1] * len(LEVELS))
    parts = weight**2 * variance
    assert found.estimate == pytest.approx((sign * weight * mean).sum(), rel=1e-9)
    assert found.se == pytest.approx(math.sqrt(parts.sum()), rel=1e-9)
    assert found.df == pytest.approx(parts.sum() ** 2 / (parts**2 / df).sum(), rel=1e-9)


def test_a_poststratified_estimate_is_statsmodels_regression_saturated_in_strata():
    # Lin 2013, "Agnostic notes on regression adjustments to experimental data": dummies of the strata, centred, and
    # their products with the arm give the post-stratified estimate; its HC0 error divides by n instead of n - 1.
    y = Y + 5 * (STRATUM == "old")
    dummies = np.column_stack([level == STRATUM for level in LEVELS[1:]]).astype(float)
    dummies -= dummies.mean(axis=0)
    design = np.column_stack([np.ones(N), LETTER, dummies, dummies * LETTER[:, None]])
    fit = sm.OLS(y, design).fit(cov_type="HC0")
    treated, control = strata(BY_STRATUM)
    undone = [Means(a.n, a.mean, a.variance * (a.n - 1) / a.n, a.df, a.problem) for a in (treated, control)]
    found = poststratified(*undone, shares())
    assert (found.estimate, found.se) == (pytest.approx(fit.params[1], rel=1e-9), pytest.approx(fit.bse[1], rel=1e-9))


def test_one_stratum_is_welchs_test_by_scipy():
    cells = cells_of({"y": Y}, arm=ARM, level=np.full(N, "all"))
    found = poststratified(*strata(cells, ["all"]), np.array([1.0]))
    assert found.p() == pytest.approx(stats.ttest_ind(Y[LETTER], Y[~LETTER], equal_var=False).pvalue, rel=1e-9)


@pytest.mark.parametrize("left", [0, 1])
@pytest.mark.parametrize("arm", ["letter", "control"])
def test_an_arm_that_a_stratum_hardly_has_is_a_problem_and_not_skipped(arm, left):
    gone = np.flatnonzero((arm == ARM) & (STRATUM == "gone"))[left:]
    keep = np.setdiff1d(np.arange(N), gone)
    cells = cells_of({"y": Y[keep]}, arm=ARM[keep], level=STRATUM[keep])
    found = poststratified(*strata(cells), shares())
    assert found.problem.tolist() == [Problem.EMPTY_STRATUM]
    assert np.isnan([found.estimate, found.se, found.df, found.p()]).all()


def test_a_stratum_without_anyone_in_any_arm_weighs_nothing():
    levels = [*LEVELS, "never"]
    with_, without = (poststratified(*strata(BY_STRATUM, each), shares(each)) for each in (levels, LEVELS))
    assert (with_.estimate, with_.se, with_.df) == (without.estimate, without.se, without.df)


@pytest.mark.parametrize("weights", [[0.0, 0.0, 0.0], [math.nan, 1.0, 1.0], [-1.0, 1.0, 1.0]])
def test_weights_that_mean_nothing_are_a_problem(weights):
    found = stratified(strata(BY_STRATUM)[0], np.array(weights))
    assert found.problem.tolist() == [Problem.EMPTY_STRATUM]
    assert np.isnan(found.mean).all()


def test_weights_may_differ_from_mean_to_mean():
    layers, each = strata(BY_STRATUM)[0], np.array([[1.0, 2.0], [3.0, 1.0], [1.0, 0.0]])
    twice = stratified(layers.at((slice(None), [0, 0])), each)
    alone = [stratified(layers, each[:, k]) for k in range(2)]
    assert twice.mean.tolist() == [float(one.mean[0]) for one in alone]
    assert twice.variance.tolist() == [float(one.variance[0]) for one in alone]


def test_a_stratum_that_does_not_vary_in_one_arm_is_no_problem_while_another_does():
    y = np.where(STRATUM == "gone", 0.0, Y)
    found = poststratified(*strata(cells_of({"y": y}, arm=ARM, level=STRATUM)), shares())
    assert found.known.all()
    assert (found.se > 0).all()


def test_strata_of_clusters_need_their_minimum_each():
    count = CLUSTERS_MIN - 1
    cells = drawn_cells({"y": RNG.normal(9, 1, (2, count)), SIZE: np.full((2, count), 4.0)})
    found = stratified(means(cells, [Quantity("y", SIZE)]), np.ones(2))
    assert found.problem.tolist() == [Problem.EMPTY_STRATUM]


def test_cells_come_in_the_order_of_the_values_and_empty_where_there_is_none():
    cells = BY_STRATUM.of(arm="letter").aligned(level=["gone", "never", "new"])
    expected = [(LETTER & (level == STRATUM)).sum() for level in ("gone", "never", "new")]
    assert (cells.n.tolist(), cells.keys["level"].tolist()) == (expected, ["gone", "never", "new"])
    assert means(cells, [PLAIN]).problem[:, 0].tolist() == [Problem.NONE, Problem.TOO_FEW, Problem.NONE]
