"""Balance before the pilot: p-values against SciPy's, and how often chance alone is called a difference."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binom, chi2, kstest, norm

from shared.stats.balance import FURTHER_ENOUGH, balance

HALVES = (1, 1)
TIMES = 4_000


def near(found, expected, times=TIMES):
    """Within four standard errors of so many draws, where so many were needed."""
    return abs(found - expected) < 4 * np.sqrt(expected * (1 - expected) / times) + 4 * expected / FURTHER_ENOUGH**0.5


def test_the_largest_of_independent_columns_is_sidaks_by_scipys_normal_distribution():
    rng = np.random.default_rng(1)
    columns, arms = rng.normal(size=(5_000, 6)), np.tile([0, 1], 2_500).astype(np.int8)
    columns[arms == 0, 2] += 0.07
    z = _z(columns, arms)
    found = balance(arms, columns, HALVES, times=TIMES, seed=1)
    assert (found.column, found.arm) == (int(np.argmax(z)), 0)
    assert near(found.largest, 1 - (1 - 2 * norm.sf(z.max())) ** 6)


def _z(columns, arms):
    """By hand: the difference of two means over the standard error that dealing the arms out anew gives it."""
    n, sizes = len(arms), [np.sum(arms == arm) for arm in (0, 1)]
    variance = columns.var(axis=0, ddof=1) * n / (sizes[0] * sizes[1])
    return np.abs(columns[arms == 0].mean(axis=0) - columns[arms == 1].mean(axis=0)) / np.sqrt(variance)


@pytest.mark.parametrize("arms", [2, 3])
def test_all_together_is_chi_square_where_units_are_many(arms):
    """Columns that go together, one of them the sum of two others: four have something of their own."""
    rng = np.random.default_rng(arms)
    own = rng.normal(size=(6_000, 4))
    columns = np.hstack([own, own[:, :1] + own[:, 1:2]])
    drawn = np.arange(6_000) % arms
    columns[drawn == 0] += 0.03
    found = balance(drawn.astype(np.int8), columns, (1,) * arms, times=TIMES, seed=3)
    covariance = np.cov(columns[:, :4].T)
    centred = columns[:, :4] - columns[:, :4].mean(axis=0)
    # Hotelling's trace, by its definition: each arm's mean weighed by its size.
    trace = sum(
        np.sum(drawn == arm) * mean @ np.linalg.solve(covariance, mean)
        for arm in range(arms)
        for mean in [centred[drawn == arm].mean(axis=0)]
    )
    assert near(found.together, chi2.sf(trace, 4 * (arms - 1)))


def test_a_rare_level_in_a_small_arm_has_its_exact_p():
    """Three of five in an arm of one in twenty: a normal approximation says 2e-8, the binomial distribution 0.0012."""
    arms = np.zeros(1_000, dtype=np.int8)
    arms[:50] = 1
    rare = np.zeros(1_000)
    rare[[0, 1, 2, 300, 301]] = 1
    found = balance(arms, rare[:, np.newaxis], (19, 1), times=20_000, seed=4)
    assert near(found.largest, binom.sf(2, 5, 0.05), times=20_000)


@pytest.mark.parametrize("skew", [0.0, 1.5])
def test_without_a_difference_p_values_are_as_spread_as_chance_spreads_them(skew):
    """Kolmogorov and Smirnov, by SciPy, of 300 pilots; every p of a thousandth would be one in 1,000."""
    found = []
    for seed in range(300):
        rng = np.random.default_rng([7, seed])
        columns = np.exp(skew * rng.normal(size=(400, 5))) if skew else rng.normal(size=(400, 5))
        arms = (rng.random(400) < 0.2).astype(np.int8)
        found.append(balance(arms, columns, (4, 1), times=400, seed=seed))
    for name in ("largest", "together"):
        values = [getattr(one, name) for one in found]
        assert kstest(values, "uniform").pvalue > 1e-3
        assert np.mean(np.array(values) <= 0.05) < 0.1


# What picks units by one column of ten: of an arm's units with a high value, so many are never reached. By hand: the
# arm's mean falls by 0.04, 0.14 and 0.34, which are 1.3, 4.5 and 10 standard errors, and 4.1 are asked for.
@pytest.mark.parametrize(("lost", "least", "most"), [(0.1, 0, 1), (0.3, 7, 19), (0.6, 20, 20)])
def test_arms_picked_by_a_column_are_found_the_more_often_the_more_were_picked(lost, least, most):
    failed = 0
    for seed in range(20):
        rng = np.random.default_rng([11, seed])
        columns, arms = rng.normal(size=(4_000, 10)), rng.integers(0, 2, 4_000)
        kept = ~((arms == 1) & (columns[:, 3] > 0) & (rng.random(4_000) < lost))
        one = balance(arms[kept].astype(np.int8), columns[kept], HALVES, times=2_500, seed=seed)
        failed += min(one.largest, one.together) < 0.0005
    assert least <= failed <= most


def test_one_arm_of_three_that_is_apart_is_named():
    rng = np.random.default_rng(5)
    columns, arms = rng.normal(size=(3_000, 4)), rng.integers(0, 3, 3_000).astype(np.int8)
    columns[arms == 2, 1] += 0.3
    found = balance(arms, columns, (1, 1, 1), times=2_500, seed=5)
    assert (found.column, found.arm, found.largest < 0.0005) == (1, 2, True)


def test_the_same_seed_gives_the_same_answer():
    rng = np.random.default_rng(6)
    columns, arms = rng.normal(size=(500, 3)), rng.integers(0, 2, 500).astype(np.int8)
    assert balance(arms, columns, HALVES, times=500, seed=9) == balance(arms, columns, HALVES, times=500, seed=9)
