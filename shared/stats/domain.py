"""The domain of Welch's test: where arms are uneven, and the smaller one's mean rests on few of its units.

Arms of a size forgive skewness: it is the same in both, and cancels in their difference. Where one arm is much smaller,
its own mean has to be normal enough. How many units it rests on is Kish's effective number, (sum x)^2 / (sum x^2), as
long as no value is below zero: a tenth of them if one unit in ten has any, fewer if a few have most.
docs/proof/error-rates.md has what happens outside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

UNITS_MIN = 20
# One arm is more than so many times the other.
UNEVEN = 2.0
CONTRIBUTORS_MIN = 200
# Arms that are planned even enough may come out a little less so: the sample ratio asks whether that was chance.
ALLOWANCE = 1.1
# Shares are fractions, and this is more than they lose as floats.
EQUAL = 1e-9


def outside(
    n: tuple[Any, Any], mean: tuple[Any, Any], m2: tuple[Any, Any], least: tuple[Any, Any], allowance: float = 1.0
) -> NDArray[np.bool_]:
    """Whether two arms are outside: units, means, sums of squared deviations and smallest values, in pairs of arrays.

    Of what can be below zero nothing is known but the number of units. Arms may be `allowance` times as uneven.
    """
    smaller, larger = np.minimum(*n), np.maximum(*n)
    with np.errstate(all="ignore"):
        few = (np.minimum(*least) >= 0) & ~(contributors(n, mean, m2) >= CONTRIBUTORS_MIN)
    return np.asarray((larger > UNEVEN * allowance * smaller) & (few | (smaller < UNITS_MIN)))


def contributors(n: tuple[Any, Any], mean: tuple[Any, Any], m2: tuple[Any, Any]) -> NDArray[np.float64]:
    """On how many units the smaller arm's mean rests: Kish's effective number, by the lesser of both arms' shares."""
    with np.errstate(all="ignore"):
        frac = np.minimum(*(np.square(m) / (np.square(m) + s / k) for k, m, s in zip(n, mean, m2, strict=True)))
        return np.asarray(np.minimum(*n) * frac)


def is_uneven(planned: Sequence[float]) -> bool:
    """Whether arms of these planned shares are uneven."""
    return max(planned) > UNEVEN * min(planned) * (1 + EQUAL)
