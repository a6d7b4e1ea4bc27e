"""Confidence sequences: the paper's formulas, minimised and inverted by scipy, and their promise on Brownian paths."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm

from shared.stats.confidence_sequences import age_when_tightest, p_one_sided, p_two_sided, radius, radius_one_sided

ALPHAS = (0.2, 0.05, 0.01, 1e-4)


def eq9(t, rho, alpha):
    """The half width over sigma at t, as the paper prints it."""
    return math.sqrt(2 * (t * rho**2 + 1) / (t**2 * rho**2) * math.log(math.sqrt(t * rho**2 + 1) / alpha))


@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_interval_is_the_papers(alpha):
    for t, rho in ((50, 0.1), (1_000, 0.03), (10**6, 0.01)):
        assert radius(t * rho**2, alpha) / math.sqrt(t) == pytest.approx(eq9(t, rho, alpha), rel=1e-12)


@pytest.mark.parametrize("alpha", ALPHAS)
def test_it_is_tightest_where_scipy_finds_the_minimum(alpha):
    best = minimize_scalar(lambda log_rho: eq9(1_000, math.exp(log_rho), alpha), bounds=(-8, 0), method="bounded")
    least = eq9(1_000, math.exp(best.x), alpha)
    assert radius(age_when_tightest(alpha), alpha) / math.sqrt(1_000) == pytest.approx(least, rel=1e-9)
    # The paper's own approximation of rho^2 t, which is a little off.
    approximate = -2 * math.log(alpha) + math.log(-2 * math.log(alpha) + 1)
    assert age_when_tightest(alpha) == pytest.approx(approximate, rel=0.15)


@pytest.mark.parametrize("age", [0.05, 1.0, 8.0, 300.0])
@pytest.mark.parametrize("alpha", ALPHAS)
def test_the_p_value_is_the_alpha_at_which_the_interval_ends_there(age, alpha):
    assert p_two_sided(radius(age, alpha), age) == pytest.approx(alpha, rel=1e-9)
    assert p_one_sided(radius_one_sided(age, alpha), age) == pytest.approx(alpha, rel=1e-9)


@pytest.mark.parametrize("age", [0.3, 8.0, 300.0])
def test_the_one_sided_bound_is_just_outside_of_the_half_normal_mixtures(age):
    """The bound is where the mixture of likelihood ratios over a half-normal drift reaches 1 / alpha, or beyond."""

    def mixture(z):
        x = z * math.sqrt(age / (1 + age))
        return math.log(2) - math.log1p(age) / 2 + x * x / 2 + norm.logcdf(x)

    exact = brentq(lambda z: mixture(z) + math.log(0.05), 0, 50)
    assert exact <= radius_one_sided(age, 0.05) <= 1.05 * exact


def test_a_one_sided_sequence_is_nearly_a_two_sided_one_at_twice_its_alpha():
    age = age_when_tightest(0.1)
    assert radius_one_sided(age, 0.05) == pytest.approx(radius(age, 0.1), rel=0.03)


def test_the_width_at_the_planned_units_is_the_price_that_the_paper_names():
    assert radius(age_when_tightest(0.05), 0.05) / norm.isf(0.025) == pytest.approx(1.55, abs=0.05)


def test_far_out_p_values_are_small_and_not_none():
    z = np.array([8.0, 20.0, 35.0])
    for p in (p_two_sided(z, 8.0), p_one_sided(z, 8.0)):
        assert (p > norm.sf(z)).all()
        assert (p < np.exp(-z * z / 3)).all()


def test_on_the_wrong_side_the_one_sided_p_value_is_one_and_nothing_stays_nothing():
    assert p_one_sided(np.array([-3.0, 0.0]), 8.0).tolist() == [1, 1]
    assert np.isnan(p_one_sided(np.nan, 8.0))
    assert np.isnan(p_two_sided(np.nan, 8.0))


@pytest.mark.parametrize("p_of", [p_two_sided, p_one_sided])
def test_a_path_leaves_the_sequence_no_more_often_than_alpha_however_often_one_looks(p_of):
    rng = np.random.default_rng(4)
    times = np.geomspace(0.01, 100, 400)
    paths = (rng.standard_normal((400, 10_000)) * np.sqrt(np.diff(times, prepend=0))[:, None]).cumsum(axis=0)
    z = paths / np.sqrt(times)[:, None]
    left = (p_of(z, times[:, None] * age_when_tightest(0.05)) <= 0.05).any(axis=0)
    assert 0.02 < left.mean() <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / 10_000)
