"""SciPy's special functions by their own names: the library, a quarter of a second, is loaded at the first call.

Whoever only lists what waits imports what judges, and computes nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any


def _loaded_when_called(name: str) -> Callable[..., Any]:
    @cache
    def function() -> Callable[..., Any]:
        from scipy import special

        found: Callable[..., Any] = getattr(special, name)
        return found

    def call(*arguments: Any, **named: Any) -> Any:
        return function()(*arguments, **named)

    return call


bdtr = _loaded_when_called("bdtr")
bdtrc = _loaded_when_called("bdtrc")
chdtrc = _loaded_when_called("chdtrc")
gammaln = _loaded_when_called("gammaln")
lambertw = _loaded_when_called("lambertw")
log_ndtr = _loaded_when_called("log_ndtr")
nctdtr = _loaded_when_called("nctdtr")
ndtr = _loaded_when_called("ndtr")
ndtri = _loaded_when_called("ndtri")
ndtri_exp = _loaded_when_called("ndtri_exp")
roots_legendre = _loaded_when_called("roots_legendre")
stdtr = _loaded_when_called("stdtr")
stdtrit = _loaded_when_called("stdtrit")
