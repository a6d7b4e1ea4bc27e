"""Quantiles: which ranks enclose one, and the standard error that follows from the values there.

The number of units below a quantile is binomial, with variance n q (1 - q), so that ranks around n q enclose it
whatever the distribution. The values there, divided by how many standard deviations of the rank they lie apart, give
its standard error (Woodruff 1952, "Confidence intervals for medians and other position measures"; Deng, Knoblich and
Lu 2018, "Applying the delta method in metric analytics", sect. 4.2).
"""

from __future__ import annotations

import math

from shared.evidence.model import Moments, QuantileMoments

# The normal distribution's 97.5 % point: ranks that enclose the quantile with 95 %.
Z = 1.959963984540054
# Below it the binomial is not close to normal, and the outer rank soon is the last one.
SPREAD_MIN = 10


def ranks(n: int, quantile: float) -> tuple[int, int, int] | None:
    """The ranks, from 1, of the lower limit, the quantile and the upper limit; None for too few units."""
    spread = n * quantile * (1 - quantile)
    if spread < SPREAD_MIN:
        return None
    reach = Z * math.sqrt(spread)
    return (
        max(1, math.floor(n * quantile - reach)),
        math.ceil(n * quantile),
        min(n, math.ceil(n * quantile + reach) + 1),
    )


def as_mean(found: QuantileMoments) -> Moments | str:
    """A quantile as the moments of a mean with the same standard error, or why there are none."""
    at = ranks(found.n, found.quantile)
    if at is None:
        return f"{found.n} units are too few for the {found.quantile:g} quantile"
    if not found.finite:
        return Moments(n=found.n, mean=math.nan, m2=math.nan)
    if not found.low < found.value < found.high:
        return f"many units share the value {found.value:g} at the {found.quantile:g} quantile"
    se = (found.high - found.low) / (at[2] - at[0]) * math.sqrt(found.n * found.quantile * (1 - found.quantile))
    return Moments(n=found.n, mean=found.value, m2=se * se * found.n * (found.n - 1))
