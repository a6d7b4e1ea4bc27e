"""Planning: the power of a comparison of two means, the effect it can detect, and the units it needs.

Each is for a way of looking at the data (`shared.stats.detection`), which by default is one look at the end.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from shared.stats.detection import AtEnd, Detection, Shift
from shared.stats.estimates import UNITS_MIN, degrees

# A plan that needs more units in an arm than there are people is none.
UNITS_MAX = 10**10
STEPS = 60
AT_END = AtEnd()


@dataclass(frozen=True, slots=True)
class Baseline:
    """A metric as it is without a treatment.

    Attributes:
        mean, variance: per unit.
        kind: `share`, a proportion, whose variance follows from its mean; `rare`, a mean over units of which most
            have nothing, like what customers spend; `plain`, any other mean.
    """

    mean: float
    variance: float
    kind: Literal["share", "rare", "plain"] = "plain"

    @classmethod
    def of(cls, mean: float, variance: float, *, share: bool, never_negative: bool) -> Baseline:
        """The baseline of its kind: what is never below zero and varies by more than its mean is rare."""
        if share:
            return cls(mean, mean * (1 - mean), "share")
        return cls(mean, variance, "rare" if never_negative and mean > 0 and variance > mean * mean else "plain")

    def moved(self, effect: float) -> Baseline:
        """The metric under a treatment."""
        mean, variance = self.under(effect)
        return Baseline(float(mean), float(variance), self.kind)

    def under(self, effects: Any) -> tuple[Any, Any]:
        """Mean and variance under treatments.

        A share stays between 0 and 1. What is rare changes because more or fewer units have any of it, as much as
        before: its second moment moves with its mean. (So it was in the e-mail test of Hillstrom 2008, whose mails
        doubled the buyers and left the basket as it was.) Any other mean keeps its variance.
        """
        mean = self.mean + np.asarray(effects, dtype=float)
        if self.kind == "share":
            mean = np.clip(mean, 0, 1)
            return mean, mean * (1 - mean)
        if self.kind == "plain":
            return mean, np.full_like(mean, self.variance)
        mean = np.maximum(mean, 0)
        moved = (self.variance / self.mean + self.mean) * mean - mean * mean
        return mean, np.where(mean > self.mean, np.maximum(moved, self.variance), moved)


@dataclass(frozen=True, slots=True)
class Arms:
    """The units of a treatment and of the control."""

    treated: int
    control: int


def power(baseline: Baseline, effect: float, arms: Arms, alpha: float, looks: Detection = AT_END) -> float:
    """The probability that a two-sided test of no difference at alpha is significant at any look."""
    moved = baseline.moved(effect)
    shift = _shift(moved, baseline, moved.mean - baseline.mean, arms)
    return 1.0 if shift is None else looks.either_side(shift, alpha)


def power_to_rule_out(baseline: Baseline, margin: float, arms: Arms, alpha: float, looks: Detection = AT_END) -> float:
    """The probability that harm beyond `margin` is ruled out at any look, one-sided at alpha, where there is none."""
    shift = _shift(baseline, baseline, abs(margin), arms)
    return 1.0 if shift is None else looks.one_side(shift, alpha)


def detectable(
    baseline: Baseline, arms: Arms, alpha: float, wanted: float, sign: int, looks: Detection = AT_END
) -> float | None:
    """The smallest effect on the good side that is found with the wanted power; None where none is."""
    top = _farthest(baseline, arms, sign)
    if power(baseline, sign * top, arms, alpha, looks) < wanted:
        return None
    low, high = 0.0, top
    for _ in range(STEPS):
        middle = (low + high) / 2
        found = power(baseline, sign * middle, arms, alpha, looks) >= wanted
        low, high = (low, middle) if found else (middle, high)
    return sign * high


def units_to_detect(
    baseline: Baseline,
    effect: float,
    alpha: float,
    wanted: float,
    per_treated: float = 1.0,
    looks: Detection = AT_END,
) -> int | None:
    """Units in the treatment to find an effect with the wanted power; `per_treated` of the control for each of them."""
    return _least(lambda arms: power(baseline, effect, arms, alpha, looks) >= wanted, per_treated)


def units_to_rule_out(
    baseline: Baseline,
    margin: float,
    alpha: float,
    wanted: float,
    per_treated: float = 1.0,
    looks: Detection = AT_END,
) -> int | None:
    """Units in the treatment to rule out harm beyond a margin with the wanted power, where there is none."""
    return _least(lambda arms: power_to_rule_out(baseline, margin, arms, alpha, looks) >= wanted, per_treated)


def _least(enough: Callable[[Arms], bool], per_treated: float) -> int | None:
    def reached(units: int) -> bool:
        return enough(Arms(units, max(UNITS_MIN, math.ceil(units * per_treated))))

    found = UNITS_MIN + bisect_left(range(UNITS_MIN, UNITS_MAX), x=True, key=reached)
    return found if found < UNITS_MAX else None


def _shift(treated: Baseline, control: Baseline, distance: float, arms: Arms) -> Shift | None:
    """How far a true difference is from the tested one; None where nothing varies, so that no test misses it."""
    parts = [treated.variance / arms.treated, control.variance / arms.control]
    if sum(parts) <= 0:
        return None
    df = float(degrees(parts, (arms.treated, arms.control)))
    return Shift(distance / math.sqrt(sum(parts)), df, min(arms.treated, arms.control))


def _farthest(baseline: Baseline, arms: Arms, sign: int) -> float:
    """How far a metric can move; where nothing bounds it, beyond what any test misses."""
    if baseline.kind != "plain" and sign < 0:
        return baseline.mean
    if baseline.kind == "share":
        return 1 - baseline.mean
    return 1e3 * math.sqrt(baseline.variance * (1 / arms.treated + 1 / arms.control)) + 1e3 * abs(baseline.mean)
