"""The rule that decides: what keeps an arm from being scaled, for one pilot before the gate or thousands in a forecast.

Every comparison is one that must hold: a number that is none holds nowhere, so it never passes.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

ROUNDING = 1e-9
Worthwhile = Literal["estimate", "lower_bound"]


class Shortfall(IntEnum):
    """What the primary metric lacks, the first of them that applies."""

    NONE = 0
    WRONG_WAY = 1
    CHANCE = 2
    LOWER_BOUND_TOO_LOW = 3
    TOO_SMALL = 4


def shortfall(
    estimate: Any,
    interval: tuple[Any, Any],
    p_adjusted: Any,
    p_worthwhile: Any,
    *,
    sign: int,
    alpha: float,
    minimum: float,
    worthwhile: Worthwhile,
) -> NDArray[np.int64]:
    """What each effect on the primary metric lacks, as `Shortfall`; numbers or arrays of one shape."""
    low, high = interval
    gain, lower = np.multiply(sign, estimate), np.asarray(low if sign > 0 else np.negative(high))
    wrong_way = ~(gain > 0)
    chance = ~np.less_equal(p_adjusted, alpha)
    if worthwhile == "lower_bound":
        # Half of alpha, one-sided: what the lower end of a two-sided interval stands for, over all arms.
        too_small, code = ~np.less_equal(p_worthwhile, alpha / 2), Shortfall.LOWER_BOUND_TOO_LOW
    else:
        too_small, code = ~((gain >= minimum) & (lower > 0)), Shortfall.TOO_SMALL
    return np.select([wrong_way, chance, too_small], [Shortfall.WRONG_WAY, Shortfall.CHANCE, code], Shortfall.NONE)


def within(bound: Any, margin: float, sign: int) -> NDArray[np.bool_]:
    """Whether a confidence bound on the bad side is no worse than a margin, but for rounding.

    After several looks a p-value is that of the best of them, and does not take back what an earlier one showed. The
    bound is of the present one.
    """
    return np.asarray(np.multiply(sign, np.subtract(bound, margin)) >= -ROUNDING * abs(margin))


def harm_ruled_out(p_non_inferior: Any, alpha: float) -> NDArray[np.bool_]:
    """Whether each guardrail's test excludes harm beyond its margin, one-sided at alpha."""
    return np.asarray(p_non_inferior) <= alpha
