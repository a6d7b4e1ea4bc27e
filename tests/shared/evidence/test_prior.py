"""Priors: the empirical one is statsmodels' random-effects meta-analysis, and the default says what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.meta_analysis import combine_effects

from shared.stats.prior import PILOTS_MIN, Prior, default_harm, default_prior, empirical_prior

RNG = np.random.default_rng(7)
ERRORS = RNG.uniform(0.5, 2, 25)
EFFECTS = RNG.normal(RNG.normal(1, 2, 25), ERRORS)


def test_mean_and_spread_are_statsmodels_random_effects():
    expected = combine_effects(EFFECTS, ERRORS**2, method_re="dl")
    found = empirical_prior(EFFECTS, ERRORS, 25)
    assert found.mean == pytest.approx(expected.mean_effect_re)
    assert found.sd**2 == pytest.approx(expected.tau2 + expected.sd_eff_w_re**2)
    # Higgins et al. 2009: t with k - 2 degrees of freedom.
    assert (found.df, found.pilots) == (23, 25)


def test_effects_no_further_apart_than_chance_leave_only_the_means_uncertainty():
    found = empirical_prior([1.0] * 12, [2.0] * 12, 12)
    assert (found.mean, found.sd) == (pytest.approx(1.0), pytest.approx(2 / math.sqrt(12)))


def test_too_few_pilots_say_nothing():
    assert empirical_prior(EFFECTS[: PILOTS_MIN - 1], ERRORS[: PILOTS_MIN - 1], PILOTS_MIN - 1) is None


def test_arms_of_too_few_pilots_say_nothing_either():
    assert empirical_prior(EFFECTS, ERRORS, PILOTS_MIN - 1) is None


def test_by_default_one_effect_in_six_is_worth_it_and_one_in_forty_four_harmful():
    drawn = default_prior(0.02).draw(np.random.default_rng(1), (200_000,))
    assert np.mean(drawn >= 0.02) == pytest.approx(norm.sf(1), abs=0.003)
    harm = default_harm(-2.0).draw(np.random.default_rng(1), (200_000,))
    assert np.mean(harm < -2.0) == pytest.approx(norm.sf(2), abs=0.002)


@pytest.mark.parametrize(("mean", "sd", "estimate", "error"), [(0.0, 1.0, 2.24, 0.29), (0.5, 0.2, -1.0, 3.0)])
def test_a_prior_that_has_taken_an_estimate_in_is_the_posterior(mean, sd, estimate, error):
    """Expected: prior times likelihood, integrated on a fine grid."""
    grid = np.linspace(-30, 30, 600_001)
    density = norm.pdf(grid, mean, sd) * norm.pdf(estimate, grid, error)
    weights = density / density.sum()
    expected = float(weights @ grid)
    found = Prior(mean, sd).updated(estimate, error, "spring-mail")
    assert (found.mean, found.after) == (pytest.approx(expected, abs=1e-6), "spring-mail")
    assert found.sd == pytest.approx(math.sqrt(float(weights @ (grid - expected) ** 2)), rel=1e-4)
