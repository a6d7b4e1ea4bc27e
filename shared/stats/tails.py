"""Tails: from Student's t to the normal distribution and back by equal tail probability, however far out.

Group-sequential theory is of normal statistics; each t is judged as the z whose tail is as heavy (Jennison and
Turnbull 2000, "Group Sequential Methods", sect. 3.8). Tails are taken as logarithms or from the near side, so that an
estimate twenty standard errors from zero has a small p-value and not none.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.stats.special import ndtr, ndtri, stdtr, stdtrit

Array = NDArray[np.float64]
# Below it, a tail is close to where doubles end.
TAIL_MIN = 1e-290
# Beyond so many degrees of freedom, Student's t is normal in every digit.
DF_MAX = 1e15


def z_of(t: Any, df: Any) -> Array:
    """The normal deviate whose upper tail is as heavy as that of t; NaN where either is none."""
    t, df = np.asarray(t, dtype=float), np.minimum(df, DF_MAX)
    tail = stdtr(df, -np.abs(t))
    with np.errstate(over="ignore"):
        z = np.where(tail > TAIL_MIN, -ndtri(np.maximum(tail, TAIL_MIN)), _far(t, df))
    return np.where(np.isnan(tail), np.nan, np.copysign(z, t))


def t_of(z: Any, df: Any) -> Array:
    """The t whose upper tail is as heavy as that of a normal deviate; the inverse of `z_of`."""
    z, df = np.asarray(z, dtype=float), np.minimum(df, DF_MAX)
    tail = ndtr(-np.abs(z))
    with np.errstate(over="ignore"):
        t = np.where(tail > TAIL_MIN, -stdtrit(df, np.maximum(tail, TAIL_MIN)), _far_back(z, df))
    return np.where(np.isnan(tail), np.nan, np.copysign(t, z))


def _far(t: Array, df: Any) -> Any:
    """Where the tail is beyond a double: Wallace 1959, "Bounds on normal approximations to Student's"."""
    return np.sqrt(df * np.log1p(t * t / df)) * (8 * df + 1) / (8 * df + 3)


def _far_back(z: Array, df: Any) -> Any:
    return np.sqrt(df * np.expm1((z * (8 * df + 3) / (8 * df + 1)) ** 2 / df))
