"""Confidence sequences: intervals that hold at all times together, so that anybody may look whenever they like.

Asymptotic sequences of a Gaussian mixture (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas 2024, "Time-uniform central
limit theory and asymptotic confidence sequences", Annals of Statistics 52; arXiv 2103.06476). All is said in standard
errors and in `age`, the paper's t rho^2: information over that at which the mixture's variance is one standard error.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.stats.special import lambertw

Array = NDArray[np.float64]


def age_when_tightest(alpha: float) -> float:
    """The age at which a sequence at 1 - alpha is tightest for what it has seen.

    Exact by the lower branch of Lambert's W (the paper's appendix on rho, which then approximates it).
    """
    return float(-1 - lambertw(-alpha * alpha / math.e, -1).real)


def radius(age: Any, alpha: float) -> Array:
    """How many standard errors the two-sided interval reaches to either side (eq. 9)."""
    return np.asarray(np.sqrt((1 + 1 / age) * (np.log1p(age) - 2 * math.log(alpha))))


def p_two_sided(z: Any, age: Any) -> Array:
    """The smallest alpha at which the two-sided interval leaves z out: `radius` solved for alpha."""
    return np.asarray(np.minimum(1.0, np.exp(np.log1p(age) / 2 - np.square(z) * age / (1 + age) / 2)))


def radius_one_sided(age: Any, alpha: float) -> Array:
    """How many standard errors a bound on one side lies away.

    The paper's one-sided sequence: a mixture over half a normal distribution is 2 / sqrt(1 + age) exp(x x / 2) ndtr(x)
    for x = z sqrt(age / (1 + age)), and ndtr(x) is at least 1 - exp(-x x / 2) / 2, so that this is never too near.
    """
    return np.asarray(np.sqrt((1 + 1 / age) * 2 * np.log1p(np.sqrt(1 + age) / (2 * alpha))))


def p_one_sided(z: Any, age: Any) -> Array:
    """The smallest alpha at which the bound lies beyond: `radius_one_sided` solved for alpha; 1 on the wrong side."""
    z = np.asarray(z, dtype=float)
    power = np.square(z) * age / (1 + age) / 2
    with np.errstate(divide="ignore", over="ignore"):
        # exp(power) - 1 in logarithms, so that far out it does not end where doubles do.
        small = np.log1p(age) / 2 - math.log(2) - power - np.log(-np.expm1(-power))
    return np.where(np.isnan(z + age), np.nan, np.where(z > 0, np.minimum(1.0, np.exp(small)), 1.0))
