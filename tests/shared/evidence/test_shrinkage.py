"""The promised effect: posteriors against integration by scipy, and promoted effects that do not exaggerate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats
from scipy.integrate import quad

from shared.stats.prior import Prior, default_prior, empirical_prior
from shared.stats.shrinkage import promised

ALPHA = 0.05


def test_under_a_normal_prior_the_promise_is_the_precision_weighted_mean_by_hand():
    # Variances 4 and 1: the estimate of 5 weighs 4/5, the prior's mean of 1 the rest; the variance is 4/5.
    found = promised(5.0, 1.0, Prior(mean=1.0, sd=2.0), ALPHA)
    half = stats.norm.ppf(0.975) * math.sqrt(0.8)
    assert (found.mean, found.low, found.high) == pytest.approx((4.2, 4.2 - half, 4.2 + half), rel=1e-12)


PRIORS = [Prior(0.1, 1.0, 8.0, 10), Prior(0.0, 1.0, 3.0, 10), Prior(-0.5, 2.0, 100.0, 10), Prior(0.0, 1.0, 1.0, 10)]


@pytest.mark.parametrize("prior", PRIORS)
@pytest.mark.parametrize(("estimate", "se"), [(0.5, 1.0), (8.0, 1.0), (-6.0, 0.1), (3.0, 5.0)])
def test_under_a_t_prior_the_promise_is_the_posterior_by_scipys_integration(prior, estimate, se):
    def density(effect):
        return stats.norm.pdf(estimate, effect, se) * stats.t.pdf(effect, prior.df, prior.mean, prior.sd)

    def over(function, low, high):
        # Beyond twelve errors of the estimate there is nothing; the prior's and the estimate's peaks split the way.
        bounds = max(low, estimate - 12 * se), min(high, estimate + 12 * se)
        points = [p for p in (prior.mean, estimate) if bounds[0] < p < bounds[1]]
        return quad(function, *bounds, points=points, epsabs=0, epsrel=1e-11, limit=500)[0]

    whole = over(density, -math.inf, math.inf)
    found = promised(estimate, se, prior, ALPHA)
    mean = over(lambda effect: effect * density(effect), -math.inf, math.inf) / whole
    assert found.mean == pytest.approx(mean, rel=1e-7)
    assert over(density, -math.inf, float(found.low)) / whole == pytest.approx(0.025, rel=1e-6)
    assert over(density, float(found.high), math.inf) / whole == pytest.approx(0.025, rel=1e-6)


def test_a_t_prior_of_many_degrees_is_the_normal_one():
    normal, t = (promised(3.0, 1.0, Prior(0.5, 2.0, df), ALPHA) for df in (math.inf, 1e7))
    expected = [float(each) for each in (normal.mean, normal.low, normal.high)]
    assert [float(each) for each in (t.mean, t.low, t.high)] == pytest.approx(expected, rel=1e-6)


def test_a_t_prior_leaves_what_is_far_out_nearly_as_it_is_where_a_normal_one_does_not():
    assert promised(30.0, 1.0, Prior(0.0, 1.0, 8.0), ALPHA).mean > 29
    assert promised(30.0, 1.0, Prior(0.0, 1.0), ALPHA).mean == pytest.approx(15.0)


@pytest.mark.parametrize(
    ("estimate", "se", "prior"),
    [
        (math.nan, 1.0, PRIORS[0]), (math.inf, 1.0, PRIORS[0]), (1.0, math.nan, PRIORS[0]), (1.0, 0.0, PRIORS[0]),
        (1.0, -1.0, PRIORS[0]), (1.0, 1.0, Prior(0.0, 0.0)), (1.0, 1.0, Prior(math.nan, 1.0)),
        (1.0, 1.0, Prior(0.0, math.inf)),
    ],
)  # fmt: skip
def test_without_an_estimate_an_error_or_a_prior_nothing_is_promised(estimate, se, prior):
    found = promised(estimate, se, prior, ALPHA)
    assert np.isnan([found.mean, found.low, found.high]).all()


def test_each_of_many_is_promised_what_it_is_alone():
    estimates, errors = np.array([[0.1, 2.0], [math.nan, -3.0]]), np.array([[0.3, 1.0], [1.0, 0.2]])
    found = promised(estimates, errors, PRIORS[0], ALPHA)
    for at in np.ndindex(2, 2):
        alone = promised(estimates[at], errors[at], PRIORS[0], ALPHA)
        assert (found.mean[at], found.low[at]) == pytest.approx((float(alone.mean), float(alone.low)), nan_ok=True)


def promoted(prior, rng, count=20_000, se=1.0):
    """True effects drawn from a prior, their estimates, and which are promoted: those significantly better."""
    effects = prior.draw(rng, (count,))
    estimates = effects + se * rng.standard_normal(count)
    return effects, estimates, estimates > stats.norm.ppf(0.975) * se


@pytest.mark.parametrize("prior", [default_prior(0.8), Prior(0.2, 0.8, 8.0, 10)])
def test_estimates_of_promoted_effects_exaggerate_and_promises_do_not(prior):
    effects, estimates, won = promoted(prior, np.random.default_rng(20260306))
    found = promised(estimates[won], 1.0, prior, ALPHA)
    raw, kept = estimates[won] - effects[won], found.mean - effects[won]
    error = kept.std() / math.sqrt(won.sum())
    assert raw.mean() > 0.5 > 20 * error
    assert abs(kept.mean()) < 3 * error
    # And the interval covers as often as it says among the promoted, where the estimate's own does not.
    covered = np.mean((found.low <= effects[won]) & (effects[won] <= found.high))
    assert abs(covered - 0.95) < 3 * math.sqrt(0.95 * 0.05 / won.sum())
    assert np.mean(np.abs(raw) <= stats.norm.ppf(0.975)) < 0.9


@pytest.mark.proof
def test_with_a_prior_learned_from_forty_pilots_little_of_the_exaggeration_is_left():
    rng, raw, kept = np.random.default_rng(20260307), [], []
    for _ in range(150):
        past = rng.normal(0.2, 0.8, 40) + rng.standard_normal(40)
        prior = empirical_prior(past, np.ones(40), 40)
        effects, estimates, won = promoted(Prior(0.2, 0.8), rng, 200)
        raw.extend(estimates[won] - effects[won])
        kept.extend(promised(estimates[won], 1.0, prior, ALPHA).mean - effects[won])
    assert np.mean(raw) > 1.0
    assert abs(np.mean(kept)) < 0.15 * np.mean(raw)
