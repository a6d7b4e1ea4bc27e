"""Single estimates, one pair of arms at a time, until `compute` asks for all of them at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from scipy.special import stdtrit

from shared.evidence import multiplicity
from shared.evidence.estimates import BASELINE_SE_MIN, ROUNDING, UNITS_MIN, degrees, p_no_better, p_no_difference, reach
from shared.evidence.model import Moments, QuantileMoments, RatioMoments
from shared.evidence.quantiles import ranks


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
    for name, part in zip(("treatment", "control"), parts, strict=True):
        if part == 0:
            return f"the metric does not vary in the {name} arm"
    return Difference(treated.mean - control.mean, math.sqrt(variance), float(degrees(parts, (treated.n, control.n))))


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
    half = math.sqrt(variance) * float(stdtrit(degrees(parts, (treated.n, control.n)), 1 - alpha / 2))
    return ratio - 1, ratio - 1 - half, ratio - 1 + half


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values in the order given (Holm 1979): reject where at most alpha."""
    adjusted: list[float] = multiplicity.holm(p_values).tolist()
    return adjusted


def quantile_as_mean(found: QuantileMoments) -> Moments | str:
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
