"""Quantiles as means: the error against theory, false positives against alpha, and where there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from shared.stats.estimates import differences
from shared.stats.problems import Problem
from shared.stats.quantiles import enclosed, means, ranks
from shared.stats.summaries import QuantileMoments


def quantile_of(values, quantile):
    """One quantile's moments from sorted values."""
    low, mid, high = (rank - 1 for rank in ranks(values.size, quantile))
    return QuantileMoments(n=values.size, quantile=quantile, value=values[mid], low=values[low], high=values[high])


@pytest.mark.parametrize(("n", "quantile"), [(1000, 0.9), (400, 0.5), (5000, 0.01), (40, 0.5)])
def test_the_limits_ranks_enclose_the_quantile_with_95_per_cent_by_scipys_binomial(n, quantile):
    low, middle, high = ranks(n, quantile)
    assert middle == math.ceil(n * quantile)
    assert 0.95 <= stats.binom.cdf(high - 1, n, quantile) - stats.binom.cdf(low - 1, n, quantile) < 0.985


def test_the_error_of_a_quantile_is_that_of_its_density_by_theory():
    # Exponential with mean 20: the density at the 0.9 quantile is 0.1 / 20, and the error sqrt(.9 x .1 / n) over it.
    n = 40_000
    values = stats.expon.ppf((np.arange(n) + 0.5) / n, scale=20.0)
    found = means([quantile_of(values, 0.9)]).at(0)
    assert found.mean == values[35_999]
    assert math.sqrt(found.variance) == pytest.approx(math.sqrt(0.09 / n) / (0.1 / 20), rel=0.02)


def test_equal_arms_differ_in_a_quantile_as_often_as_alpha_says():
    # 4,000 pilots of two equal arms: three standard errors of a share of 5 % are 1 %.
    drawn = np.sort(np.random.default_rng(20260308).lognormal(3.0, 1.0, (2, 4000, 500)))
    low, mid, high = (drawn[:, :, rank - 1] for rank in ranks(500, 0.9))
    found = enclosed(500, 0.9, mid, low, high)
    p = differences(found.at(0), found.at(1)).p()
    assert np.mean(p <= 0.05) < 0.06


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ((1, 0.9, 1.0, 0.5, 2.0), Problem.TOO_FEW),
        ((30, 0.9, 1.0, 0.5, 2.0), Problem.TOO_FEW_FOR_QUANTILE),
        ((300, 0.9, 0.0, 0.0, 5.0), Problem.TIES),
        ((300, 0.9, 5.0, 0.0, 5.0), Problem.TIES),
        ((300, 0.9, math.nan, 0.0, 5.0), Problem.NOT_FINITE),
        ((300, 0.9, 1.0, 0.0, math.inf), Problem.NOT_FINITE),
    ],
)
def test_a_quantile_that_means_nothing_has_a_problem_and_no_number(given, problem):
    found = enclosed(*map(np.asarray, given))
    assert found.problem == problem
    assert np.isnan([found.mean, found.variance, found.df]).all()


def test_no_quantiles_are_no_means():
    assert means([]).mean.tolist() == []
