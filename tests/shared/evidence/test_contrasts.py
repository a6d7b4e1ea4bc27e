"""Contrasts as a charter asks for them, from rows to effects, against independent implementations."""

from __future__ import annotations

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import stats

from shared.evidence.compute import compute
from tests.shared.pilot_data import EARLY, LATE, VISIT, pilot_data, promised, two_arms, with_traits
from tests.shared.pilot_data import SPEND as SPENT

RNG = np.random.default_rng(20260105)
UNITS = 400
LETTER = np.repeat([0.0, 1.0], UNITS)
HISTORY = RNG.gamma(2.0, 20.0, 2 * UNITS)
PLACE = RNG.choice(["Rural", "Suburban", "Urban"], 2 * UNITS, p=[0.2, 0.3, 0.5])
SPEND = 5 + 0.4 * HISTORY + 8 * (PLACE == "Urban") + 1.5 * LETTER + RNG.normal(0, 3, 2 * UNITS)
NAMES = [f"u{number}" for number in range(2 * UNITS)]


def data(folder):
    found = two_arms(folder, SPEND[:UNITS].tolist(), SPEND[UNITS:].tolist())
    return with_traits(found, unit=NAMES, history=HISTORY.tolist(), place=PLACE.tolist())


def spend(folder, **charter):
    return compute(promised(**charter), data(folder)).effect("letter", "spend")


def test_covariates_give_the_ancova_slope_of_statsmodels_and_scipys_test_on_what_is_left(tmp_path):
    ancova = sm.OLS(SPEND, sm.add_constant(np.column_stack([LETTER, HISTORY]))).fit()
    left = SPEND - ancova.params[2] * HISTORY
    expected = stats.ttest_ind(left[UNITS:], left[:UNITS], equal_var=False)
    found = spend(tmp_path, covariates=["history"])
    assert found.estimate == pytest.approx(left[UNITS:].mean() - left[:UNITS].mean(), rel=1e-9)
    # scipy's variance divides by n - 1; the slope takes one more degree of freedom.
    ratio = np.sqrt((UNITS - 1) / (UNITS - 2))
    assert found.se == pytest.approx(expected.statistic**-1 * found.estimate * ratio, rel=1e-9)


def test_the_plain_estimate_is_kept_beside_it_by_scipy(tmp_path):
    found = spend(tmp_path, covariates=["history"])
    plain = stats.ttest_ind(SPEND[UNITS:], SPEND[:UNITS], equal_var=False)
    estimate = SPEND[UNITS:].mean() - SPEND[:UNITS].mean()
    assert found.plain == pytest.approx((estimate, estimate / plain.statistic), rel=1e-9)
    assert found.se < 0.6 * found.plain[1]


def test_strata_are_weighed_by_all_units_by_hand(tmp_path):
    estimate = variance = 0.0
    for place in ("Rural", "Suburban", "Urban"):
        inside = place == PLACE
        letter, control = SPEND[inside & (LETTER == 1)], SPEND[inside & (LETTER == 0)]
        share = inside.mean()
        estimate += share * (letter.mean() - control.mean())
        variance += share**2 * (letter.var(ddof=1) / letter.size + control.var(ddof=1) / control.size)
    found = spend(tmp_path, strata="place")
    assert (found.estimate, found.se) == pytest.approx((estimate, variance**0.5), rel=1e-9)


def test_clusters_have_the_cluster_robust_error_of_statsmodels(tmp_path):
    households = 60
    sizes = RNG.integers(1, 5, 2 * households)
    house = np.repeat(np.arange(2 * households), sizes)
    arm = np.where(house < households, "control", "letter")
    value = 10 + RNG.normal(0, 2, 2 * households)[house] + RNG.normal(0, 1, house.size) + 0.5 * (arm == "letter")
    units = [f"u{number}" for number in range(house.size)]
    found = pilot_data(
        tmp_path,
        [(unit, each, EARLY) for unit, each in zip(units, arm.tolist(), strict=True)],
        [(unit, LATE, 1, each) for unit, each in zip(units, value.tolist(), strict=True)],
    )
    found = with_traits(found, unit=units, household=[f"h{number}" for number in house.tolist()])
    evidence = compute(promised(cluster="household"), found)
    effect = evidence.effect("letter", "spend")
    # Each arm's mean and its error by statsmodels, without its small-sample factor: sums of squares over n squared.
    robust = [
        sm.OLS(value[arm == each], np.ones((arm == each).sum())).fit(
            cov_type="cluster", cov_kwds={"groups": house[arm == each], "use_correction": False}
        )
        for each in ("letter", "control")
    ]
    assert effect.estimate == pytest.approx(robust[0].params[0] - robust[1].params[0], rel=1e-9)
    plain = sum(each.bse[0] ** 2 for each in robust) ** 0.5
    # Ours is wider by n / (n - 1), and by what the largest clusters hide: a few per cent with sixty of them.
    assert plain * (households / (households - 1)) ** 0.5 <= effect.se < 1.06 * plain
    assert [each.clusters for each in evidence.arms] == [households, households]


def test_a_stratum_that_an_arm_lacks_is_a_problem_and_no_number(tmp_path):
    found = two_arms(tmp_path, SPEND[:UNITS].tolist(), SPEND[UNITS:].tolist())
    places = ["Rural"] + ["Urban"] * (2 * UNITS - 1)
    effect = compute(promised(strata="place"), with_traits(found, unit=NAMES, place=places)).effect("letter", "spend")
    assert effect.estimate is None
    assert "stratum" in effect.problem


def test_a_stratum_of_names_is_refused_and_said(tmp_path):
    found = two_arms(tmp_path, SPEND[:UNITS].tolist(), SPEND[UNITS:].tolist())
    effect = compute(promised(strata="name"), with_traits(found, unit=NAMES, name=NAMES)).effect("letter", "spend")
    assert (effect.estimate, effect.problem) == (None, "`name` has too many levels to be a stratum")


def test_covariates_that_nobody_sealed_are_a_problem_and_no_number(tmp_path):
    found = two_arms(tmp_path, SPEND[:UNITS].tolist(), SPEND[UNITS:].tolist())
    effect = compute(promised(covariates=["history"]), found).effect("letter", "spend")
    assert effect.estimate is None
    assert effect.problem


def test_a_mean_that_leaves_units_out_is_welchs_test_of_the_others_by_scipy(tmp_path):
    # Of 300 units in each arm 12 and 15 have an outcome: by all 600 such a test at 5 % would err in 6 or 7 %.
    control, letter = SPEND[:12].tolist(), SPEND[12:27].tolist()
    having = [("control", n, value) for n, value in enumerate(control)]
    having += [("letter", n, value) for n, value in enumerate(letter)]
    rows = pilot_data(
        tmp_path,
        [(f"{arm}{n}", arm, EARLY) for arm in ("control", "letter") for n in range(300)],
        [(f"{arm}{n}", LATE, 1, value) for arm, n, value in having],
    )
    rating = SPENT.model_copy(update={"no_outcome": "left_out"})
    charter = {"metrics": {"spend": rating}, "secondary": []}
    found = compute(promised(**charter), rows).effect("letter", "spend")
    expected = stats.ttest_ind(letter, control, equal_var=False)
    interval = expected.confidence_interval()
    assert found.p == pytest.approx(expected.pvalue, rel=1e-9)
    assert (found.low, found.high) == pytest.approx((interval.low, interval.high), rel=1e-9)


def test_a_confidence_sequence_counts_the_units_that_are_not_left_out(tmp_path):
    names = [(f"{arm}{n}", arm, n) for arm in ("control", "letter") for n in range(1_100)]
    rows = pilot_data(
        tmp_path,
        [(unit, arm, EARLY) for unit, arm, _ in names],
        [(unit, LATE, 1, float(n % 7)) for unit, _, n in names if n % 10 == 0],
    )
    rating = SPENT.model_copy(update={"no_outcome": "left_out"})
    always = {"units_per_arm": 1_000, "looks": {"method": "always_valid"}}
    by = {"metrics": {"spend": rating, "visit": VISIT}, "sample": always}
    evidence = compute(promised(**by), rows)
    # 110 units in each arm say anything; the sequence needs 1,000. Of visits all 1,100 count.
    assert evidence.effect("letter", "spend").problem == "too few units for this method of looks"
    assert evidence.effect("letter", "visit").problem is None
