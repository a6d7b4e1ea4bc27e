"""The domain of Welch's test: where arms are uneven, and the smaller one's mean rests on few of its units.

Arms of a size forgive skewness: it is the same in both, and cancels in their difference. Where one arm is much smaller,
its own mean has to be normal enough. How many units it rests on is Kish's effective number, (sum x)^2 / (sum x^2), as
long as no value is below zero: a tenth of them if one unit in ten has any, fewer if a few have most.
docs/proof/error-rates.md has what happens outside.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

UNITS_MIN = 20
# One arm is more than so many times the other.
UNEVEN = 2.0
CONTRIBUTORS_MIN = 200


def outside(
    n: tuple[Any, Any], mean: tuple[Any, Any], m2: tuple[Any, Any], least: tuple[Any, Any]
) -> NDArray[np.bool_]:
    """Whether two arms are outside: units, means, sums of squared deviations and smallest values, in pairs of arrays.

    Of what can be below zero nothing is known but the number of units.
    """
    smaller, larger = np.minimum(*n), np.maximum(*n)
    with np.errstate(all="ignore"):
        frac = np.minimum(*(np.square(m) / (np.square(m) + s / k) for k, m, s in zip(n, mean, m2, strict=True)))
        few = (np.minimum(*least) >= 0) & ~(smaller * frac >= CONTRIBUTORS_MIN)
    return np.asarray((larger > UNEVEN * smaller) & (few | (smaller < UNITS_MIN)))
