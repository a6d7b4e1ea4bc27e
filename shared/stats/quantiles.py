"""Quantiles: which ranks enclose one, and the standard error that follows from the values there.

The number of units below a quantile is binomial, with variance n q (1 - q), so that ranks around n q enclose it
whatever the distribution. The values there, divided by how many standard deviations of the rank they lie apart, give
its standard error (Woodruff 1952, "Confidence intervals for medians and other position measures"; Deng, Knoblich and
Lu 2018, "Applying the delta method in metric analytics", sect. 4.2).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from shared.stats.estimates import UNITS_MIN, Means
from shared.stats.problems import Problem, first
from shared.stats.summaries import QuantileMoments

# The normal distribution's 97.5 % point: ranks that enclose the quantile with 95 %.
Z = 1.959963984540054
# Below it the binomial is not close to normal, and the outer rank soon is the last one.
SPREAD_MIN = 10


def ranks(n: int, quantile: float) -> tuple[int, int, int] | None:
    """The ranks, from 1, of the lower limit, the quantile and the upper limit; None for too few units."""
    if n * quantile * (1 - quantile) < SPREAD_MIN:
        return None
    low, middle, high = _ranks(n, quantile)
    return int(low), int(middle), int(high)


def means(found: Sequence[QuantileMoments]) -> Means:
    """Quantiles as means with the same standard errors, in one dimension."""
    return enclosed(*(np.array([getattr(one, name) for one in found]) for name in QuantileMoments.model_fields))


def enclosed(n: Any, quantile: Any, value: Any, low: Any, high: Any) -> Means:
    """Quantiles as means with the same standard errors, from the values at their `ranks`; arrays of one shape."""
    with np.errstate(all="ignore"):
        spread = n * quantile * (1 - quantile)
        lower, _, upper = _ranks(n, quantile)
        variance = np.square((high - low) / (upper - lower)) * spread
        problem = first(
            (np.less(n, UNITS_MIN), Problem.TOO_FEW),
            (np.less(spread, SPREAD_MIN), Problem.TOO_FEW_FOR_QUANTILE),
            (~(np.isfinite(value) & np.isfinite(variance)), Problem.NOT_FINITE),
            (~(np.less(low, value) & np.less(value, high)), Problem.TIES),
        )
    return Means.of(n, value, variance, np.subtract(n, 1.0), problem)


def _ranks(n: Any, quantile: Any) -> tuple[Any, Any, Any]:
    middle = n * quantile
    reach = Z * np.sqrt(middle * (1 - quantile))
    return (
        np.maximum(1, np.floor(middle - reach)),
        np.ceil(middle),
        np.minimum(n, np.ceil(middle + reach) + 1),
    )
