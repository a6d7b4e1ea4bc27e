"""Shrinkage: what a promoted effect can be promised to be, after the luck that helped it to be promoted.

An effect is promoted because its estimate is large, so that estimates of promoted effects exaggerate (the winner's
curse). The posterior mean given what effects of the kind are like does not, whatever the rule that promoted (Efron
2011, "Tweedie's formula and selection bias", sect. 1; van Zwet and Cator 2021, "The significance filter, the
winner's curse and the need to shrink").
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.stats.moments import Array
from shared.stats.prior import Prior
from shared.stats.special import ndtr, ndtri

# Points of the quadrature over a t prior's scales, and what is left out at either end, as a power of e.
POINTS, CUT = 400, 37.0
STEPS = 60


@dataclass(frozen=True, slots=True)
class Promised:
    """What effects are promised to be: the posterior's means, with intervals of equal tails; NaN where unknown."""

    mean: Array
    low: Array
    high: Array


def promised(estimate: Any, se: Any, prior: Prior, alpha: float) -> Promised:
    """The posterior of effects given their estimates and standard errors, taken as normal, and a prior.

    A normal prior's is normal. A t prior is a mixture of normal ones over their precision, which is gamma; its
    posterior is computed as the same mixture over `POINTS` points, whose error is that of rounding, and the ends of
    its interval by halving. NaN without an estimate, a standard error above zero, or a prior that varies.
    """
    estimate, se = np.broadcast_arrays(np.asarray(estimate, dtype=float), np.asarray(se, dtype=float))
    if not (prior.sd > 0 and math.isfinite(prior.mean + prior.sd)):
        return Promised(*(np.full(estimate.shape, np.nan) for _ in range(3)))
    valid = np.isfinite(estimate) & np.isfinite(se) & (se > 0)
    at, error = np.where(valid, estimate, 0.0)[..., None], np.where(valid, se, 1.0)[..., None]
    scale, log_weight = _scales(prior, at, error)
    total = np.square(scale) + np.square(error)
    log_weight = log_weight - np.log(total) / 2 - np.square(at - prior.mean) / total / 2
    weight = np.exp(log_weight - log_weight.max(axis=-1, keepdims=True))
    weight /= weight.sum(axis=-1, keepdims=True)
    share = np.square(scale) / total
    mean, sd = prior.mean + share * (at - prior.mean), np.sqrt(share) * error
    ends = (_quantile(weight, mean, sd, q) for q in (alpha / 2, 1 - alpha / 2))
    return Promised(*(np.where(valid, each, np.nan) for each in ((weight * mean).sum(axis=-1), *ends)))


def _scales(prior: Prior, at: Array, error: Array) -> tuple[Array, Array]:
    """The standard deviations of the normal priors that a prior is a mixture of, and the logarithms of their weights.

    With t's degrees of freedom v, the variance is sd^2 / u for a u that is gamma with shape and rate v / 2. The grid is
    even in log(u), where the trapezoidal rule converges exponentially, and reaches down to the scales that estimates
    far out make likely.
    """
    if math.isinf(prior.df):
        return np.full(1, prior.sd), np.zeros(1)
    high = np.log1p(_end(prior.df, CUT))
    # A small u makes an estimate at most so much likelier; or it has all of the weight once it explains it.
    gain = np.square(at - prior.mean) / (np.square(prior.sd) + np.square(error)) / 2
    far = np.log1p(np.square((at - prior.mean) / prior.sd))
    low = -np.minimum(_end(prior.df, CUT + gain), _end(prior.df, CUT) + far)
    log_u = low + (high - low) * np.linspace(0, 1, POINTS)
    # The density of log(u) is u's times u; the step is the same for all points of an estimate.
    return prior.sd * np.exp(-log_u / 2), prior.df / 2 * (log_u - np.exp(log_u))


def _end(df: float, cut: Any) -> Any:
    """How far below 0 the logarithm of u has lost `cut` of its density's logarithm, and more."""
    return 2 * cut / df + np.sqrt(4 * cut / df)


def _quantile(weight: Array, mean: Array, sd: Array, q: float) -> Array:
    """The quantile of mixtures of normal distributions along the last axis."""
    each = mean + sd * ndtri(q)
    low, high = each.min(axis=-1), each.max(axis=-1)
    for _ in range(STEPS):
        middle = (low + high) / 2
        below = (weight * ndtr((middle[..., None] - mean) / sd)).sum(axis=-1) < q
        low, high = np.where(below, middle, low), np.where(below, high, middle)
    return np.asarray((low + high) / 2)
