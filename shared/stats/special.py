"""SciPy's special functions by their own names, loaded with the first call of one.

Loading them takes longer than most commands do otherwise, and lists, `status` and whatever else only reads call none.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def _of_scipy(name: str) -> Callable[..., Any]:
    def function(*arguments: Any) -> Any:
        import scipy.special

        return getattr(scipy.special, name)(*arguments)

    return function


bdtr, bdtrc, betaincinv, chdtrc = map(_of_scipy, ("bdtr", "bdtrc", "betaincinv", "chdtrc"))
gammaincinv, gammaln, lambertw, roots_legendre = map(
    _of_scipy, ("gammaincinv", "gammaln", "lambertw", "roots_legendre")
)
log_ndtr, ndtr, ndtri, ndtri_exp = map(_of_scipy, ("log_ndtr", "ndtr", "ndtri", "ndtri_exp"))
nctdtr, stdtr, stdtrit = map(_of_scipy, ("nctdtr", "stdtr", "stdtrit"))
