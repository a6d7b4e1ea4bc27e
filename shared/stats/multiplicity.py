"""Multiplicity: p-values and power where one decision asks several questions.

A p-value that is not a number keeps its place in its family as if it were 1, so that its absence lightens no other
test; it itself stays none.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from shared.stats.moments import Array


def holm(p_values: Any) -> Array:
    """Adjusted p-values of each family along the last axis: rejecting those at most alpha errs in any with alpha.

    Holm 1979, "A simple sequentially rejective multiple test procedure".
    """
    p, order = _ranked(p_values)
    tests_left = np.arange(p.shape[-1], 0, -1)
    ranked = np.minimum(1.0, tests_left * np.take_along_axis(p, order, axis=-1))
    return _placed(np.maximum.accumulate(ranked, axis=-1), order, p_values)


def benjamini_hochberg(p_values: Any) -> Array:
    """Adjusted p-values of each family along the last axis: of those at most q, a share of q are false on average.

    Benjamini and Hochberg 1995, "Controlling the false discovery rate", for tests that are independent or rise
    together.
    """
    p, order = _ranked(p_values)
    count = p.shape[-1]
    ranked = np.minimum(1.0, count / np.arange(1, count + 1) * np.take_along_axis(p, order, axis=-1))
    return _placed(np.minimum.accumulate(ranked[..., ::-1], axis=-1)[..., ::-1], order, p_values)


def corrected_power(power: float, guardrails: int) -> float:
    """The power that each test needs so that the primary metric and all guardrails pass together with `power`.

    The chance of missing is split among them; alpha is not, since every guardrail has to pass (Schultzberg,
    Ankargren and Frånberg 2024, "Risk-aware product decisions in A/B tests with multiple metrics", sect. 4).
    """
    return 1 - (1 - power) / (guardrails + 1)


def _ranked(p_values: Any) -> tuple[Array, Any]:
    given = np.asarray(p_values, dtype=np.float64)
    p = np.where(np.isnan(given), 1.0, given)
    return p, np.argsort(p, axis=-1, kind="stable")


def _placed(ranked: Array, order: Any, p_values: Any) -> Array:
    adjusted = np.empty_like(ranked)
    np.put_along_axis(adjusted, order, ranked, axis=-1)
    return np.where(np.isnan(np.asarray(p_values, dtype=np.float64)), np.nan, adjusted)
