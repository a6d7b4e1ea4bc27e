"""Estimates from moments: Welch's test, the delta method, non-inferiority and Holm's adjustment.

Each formula stands once, for a number or an array of them: evidence asks it of one pilot, a forecast of thousands.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from shared.evidence.model import Moments, RatioMoments

UNITS_MIN = 2
# A relative lift is given only over a baseline this many standard errors above zero: nearer, the delta method's
# linearisation has no meaning (Franz 2007, "Ratios: a short guide to confidence limits", sect. 3).
BASELINE_SE_MIN = 3.0
# A ratio that is the same for every unit leaves a variance that is nothing but the rounding of its three terms.
ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of means with what tests on it need: standard error and Welch's degrees of freedom."""

    estimate: float
    se: float
    df: float

    def interval(self, alpha: float) -> tuple[float, float]:
        """The two-sided interval at 1 - alpha."""
        half = float(reach(self.se, self.df, alpha))
        return self.estimate - half, self.estimate + half

    def p(self) -> float:
        """Two-sided p-value of no difference."""
        return float(p_no_difference(self.estimate, self.se, self.df))

    def p_beyond(self, margin: float, sign: int) -> float:
        """One-sided p-value of a difference that is no better than `margin`; more is better where sign is 1."""
        return float(p_no_better(self.estimate, self.se, self.df, margin, sign))

    def bound(self, alpha: float, sign: int) -> float:
        """The one-sided confidence bound on the bad side."""
        return self.estimate - sign * self.se * float(stdtrit(self.df, 1 - alpha))


def reach(se: Any, df: Any, alpha: float) -> Any:
    """How far the two-sided interval at 1 - alpha reaches to either side."""
    return se * stdtrit(df, 1 - alpha / 2)


def p_no_difference(estimate: Any, se: Any, df: Any) -> Any:
    """Two-sided p-value of no difference."""
    return 2 * stdtr(df, -abs(estimate) / se)


def p_no_better(estimate: Any, se: Any, df: Any, margin: float, sign: int) -> Any:
    """One-sided p-value of a difference that is no better than `margin`; more is better where sign is 1."""
    return stdtr(df, -sign * (estimate - margin) / se)


def degrees(parts: Sequence[Any], units: Sequence[Any]) -> Any:
    """Satterthwaite's degrees of freedom, from each arm's share of the variance and its units.

    They are taken from shares since the variance's square may leave a double's range.
    """
    variance = sum(parts)
    return 1 / sum((part / variance) ** 2 / (n - 1) for part, n in zip(parts, units, strict=True))


def difference(treated: Moments, control: Moments) -> Difference | str:
    """The difference of means (Welch 1947), or why there is none."""
    for name, moments in (("treatment", treated), ("control", control)):
        if moments.n < UNITS_MIN:
            return f"the {name} arm has {moments.n} unit{'' if moments.n == 1 else 's'}"
        if not moments.finite:
            return f"the {name} arm has values that are not finite numbers"
    parts = [moments.m2 / (moments.n - 1) / moments.n for moments in (treated, control)]
    variance = sum(parts)
    if variance <= 0 or not math.isfinite(variance):
        return "the metric does not vary in either arm" if variance == 0 else "the variance is not a finite number"
    return Difference(treated.mean - control.mean, math.sqrt(variance), degrees(parts, (treated.n, control.n)))


def linearised(ratio: RatioMoments) -> Moments | str:
    """A ratio's moments as those of a mean, or why there are none.

    Each unit's value v and denominator d become r + (v - r d) / mean(d), whose mean is the arm's ratio r and whose
    variance is the delta method's (Deng, Knoblich and Lu 2018, "Applying the delta method in metric analytics", eq. 4).
    """
    if ratio.n < UNITS_MIN:
        return Moments(n=ratio.n, mean=0.0, m2=0.0)  # too few for anything, as `difference` will say
    if ratio.per == 0:
        return "the denominator is zero"
    if not ratio.finite:
        return Moments(n=ratio.n, mean=math.nan, m2=math.nan)
    se = math.sqrt(ratio.per_m2 / (ratio.n - 1) / ratio.n)
    if not ratio.per > BASELINE_SE_MIN * se:
        return "the denominator is not clearly above zero"
    r, scale = ratio.mean, ratio.value_m2 + ratio.mean**2 * ratio.per_m2
    m2 = ratio.value_m2 - 2 * r * ratio.co + r * r * ratio.per_m2
    return Moments(n=ratio.n, mean=r, m2=m2 / ratio.per**2 if m2 > ROUNDING * scale else 0.0)


def relative(treated: Moments, control: Moments, alpha: float) -> tuple[float, float, float] | None:
    """The lift over the control's mean with its interval (delta method); None where the baseline is too near zero."""
    if min(treated.n, control.n) < UNITS_MIN:
        return None
    v1, v0 = (moments.m2 / (moments.n - 1) / moments.n for moments in (treated, control))
    if not control.mean > BASELINE_SE_MIN * math.sqrt(v0):
        return None
    ratio = treated.mean / control.mean
    parts = [v1 / control.mean / control.mean, ratio * ratio * (v0 / control.mean / control.mean)]
    variance = sum(parts)
    if variance <= 0 or not math.isfinite(variance):
        return None
    reach = math.sqrt(variance) * float(stdtrit(degrees(parts, (treated.n, control.n)), 1 - alpha / 2))
    return ratio - 1, ratio - 1 - reach, ratio - 1 + reach


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given (Holm 1979): reject where at most alpha."""
    adjusted: list[float] = holm_rows(np.asarray(p_values, dtype=float)).tolist()
    return adjusted


def holm_rows(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Holm's adjustment of each row, a family along the last axis; what is not a number stays none."""
    order = np.argsort(p_values, axis=-1, kind="stable")
    hypotheses_left = np.arange(p_values.shape[-1], 0, -1)
    ranked = np.minimum(1.0, hypotheses_left * np.take_along_axis(p_values, order, axis=-1))
    adjusted = np.empty_like(p_values)
    np.put_along_axis(adjusted, order, np.maximum.accumulate(ranked, axis=-1), axis=-1)
    return adjusted
