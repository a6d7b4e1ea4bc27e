"""Shrinkage against hand arithmetic, and scipy's integration of likelihood times prior."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from scipy import integrate, stats

from shared.evidence.prior import Prior, default_prior
from shared.evidence.shrinkage import shrink


def test_a_normal_prior_weighs_by_precision():
    # By hand: 1/0.01^2 against 1/0.02^2 keeps a fifth: 0.2 * 0.05 = 0.01; the sd is 0.02 * sqrt(0.2).
    found = shrink(0.05, 0.02, Prior(mean=0.0, sd=0.01), 0.05)
    half = stats.norm.ppf(0.975) * 0.02 * math.sqrt(0.2)
    assert (found.mean, found.low, found.high) == pytest.approx((0.01, 0.01 - half, 0.01 + half), rel=1e-12)


@pytest.mark.parametrize("df", [8.0, 10.0, 40.0, 1_000.0])
@pytest.mark.parametrize("estimate", [-0.03, 0.0, 0.02, 0.3])
@pytest.mark.parametrize("se", [0.001, 0.01, 0.05])
def test_a_t_prior_gives_what_integration_gives(df, estimate, se):
    prior = Prior(mean=0.005, sd=0.01, df=df, pilots=12)
    found = shrink(estimate, se, prior, 0.1)

    def log_density(x):
        return stats.norm.logpdf(estimate, x, se) + stats.t.logpdf((x - prior.mean) / prior.sd, df)

    near = np.linspace(
        min(estimate, prior.mean) - 12 * min(se, 0.01), max(estimate, prior.mean) + 12 * min(se, 0.01), 9
    )
    top = max(log_density(x) for x in np.linspace(near[0], near[-1], 4_001))

    def integral(function, upper=math.inf):
        cuts = [x for x in [*near, found.mean, found.low, found.high] if x < upper]
        ends = sorted({near[0] - 1, *cuts, min(upper, near[-1] + 1)})
        return sum(
            integrate.quad(lambda x: function(x) * math.exp(log_density(x) - top), a, b, epsabs=0, limit=400)[0]
            for a, b in pairwise(ends)
        )

    whole = integral(lambda _: 1.0)
    assert found.mean == pytest.approx(integral(lambda x: x) / whole, rel=1e-7, abs=1e-9)
    assert integral(lambda _: 1.0, found.low) / whole == pytest.approx(0.05, rel=1e-6)
    assert integral(lambda _: 1.0, found.high) / whole == pytest.approx(0.95, rel=1e-6)


def test_an_estimate_is_never_pushed_beyond_the_prior_nor_away_from_it():
    prior = default_prior(0.01)
    for estimate in (-0.1, -0.001, 0.0, 0.001, 0.1):
        found = shrink(estimate, 0.02, prior, 0.05)
        assert min(0.0, estimate) <= found.mean <= max(0.0, estimate)
        assert found.low < found.mean < found.high


def test_of_a_precise_estimate_nothing_is_taken_and_of_a_vague_one_nearly_all():
    prior = Prior(mean=0.0, sd=0.01)
    assert shrink(0.05, 1e-6, prior, 0.05).mean == pytest.approx(0.05, rel=1e-6)
    assert shrink(0.05, 1.0, prior, 0.05).mean == pytest.approx(0.05e-4, rel=1e-3)


def test_winners_come_out_as_they_are_where_the_prior_is_true():
    """True effects from the prior, estimates with noise, the largest tenth chosen: raw ones promise too much."""
    rng = np.random.default_rng(1)
    prior, se = Prior(mean=0.0, sd=0.01), 0.01
    true = rng.normal(0, 0.01, 20_000)
    estimates = true + rng.normal(0, se, 20_000)
    chosen = np.argsort(estimates)[-2_000:]
    promised = np.array([shrink(estimates[at], se, prior, 0.05).mean for at in chosen])
    error = true[chosen].std() / math.sqrt(len(chosen))
    assert promised.mean() == pytest.approx(true[chosen].mean(), abs=3 * error)
    assert estimates[chosen].mean() > 1.5 * true[chosen].mean()
