"""Shrinkage: what to expect of an effect that was chosen because it looked large (the winner's curse)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from shared.evidence.prior import Prior

Array = NDArray[np.float64]
# Of the mixture's weights, and how small they may get: exp(-400) leaves room for an estimate hundreds of scales away.
POINTS, DEPTH = 4_001, 400.0
# Halvings of an interval: more than a double has digits.
HALVINGS = 100


@dataclass(frozen=True, slots=True)
class Posterior:
    """What a true effect is after it was estimated: its mean, and the ends of its credible interval."""

    mean: float
    low: float
    high: float


def shrink(estimate: float, se: float, prior: Prior, alpha: float) -> Posterior:
    """The posterior at 1 - alpha of an effect with a normal estimate; its mean lies between estimate and prior mean.

    Of a normal prior it is the precision-weighted mean (Efron and Morris 1973; Lee and Shen 2018, "Winner's curse: bias
    estimation for total effects of features in online controlled experiments", sect. 3). A t prior is a mixture of
    normals whose precisions are gamma-distributed (Gelman et al. 2013, "Bayesian Data Analysis", sect. 17.2): of an
    estimate far from it, it takes less away.
    """
    spread, log_weights = _mixture(prior.df)
    between = np.square(prior.sd) * spread
    total, away = between + se * se, estimate - prior.mean
    log_weights = log_weights - (np.log(total) + away * away / total) / 2
    weights = np.exp(log_weights - log_weights.max())
    weights /= weights.sum()
    kept = between / total
    means, sds = prior.mean + kept * away, se * np.sqrt(kept)
    return Posterior(
        float(weights @ means),
        _quantile(alpha / 2, means, sds, weights),
        _quantile(1 - alpha / 2, means, sds, weights),
    )


def _mixture(df: float) -> tuple[Array, Array]:
    """Variances, in units of the prior's, with the logarithms of their weights up to a constant."""
    if math.isinf(df):
        return np.ones(1), np.zeros(1)
    half = df / 2
    # Even steps of the logarithm u of a precision, whose density is exp(half * (u - e^u)).
    u = np.linspace(-(1 + DEPTH / half), math.log(2 + 50 / half), POINTS)
    return np.exp(-u), half * (u - np.exp(u))


def _quantile(p: float, means: Array, sds: Array, weights: Array) -> float:
    """Where the mixture of normals has the share `p` below it."""
    reach = 40 * sds.max()
    low, high = float(means.min() - reach), float(means.max() + reach)
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        below = weights @ ndtr((middle - means) / sds) < p
        low, high = (middle, high) if below else (low, middle)
    return (low + high) / 2
