"""Detection: how likely each way of looking at the data finds a shift that is really there."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Protocol

from shared.experiment.sample_plan import AlwaysValid, FixedHorizon, SamplePlan
from shared.stats import confidence_sequences as sequences
from shared.stats.alpha_spending import Schedule, Spending
from shared.stats.special import nctdtr, ndtr, stdtrit
from shared.stats.test_methods import SEQUENCE_UNITS_MIN

NORMAL_FROM = 10_000


@dataclass(frozen=True, slots=True)
class Shift:
    """A true difference from what is tested, when all units are in.

    Attributes:
        size: in standard errors of the estimate.
        df: Welch's degrees of freedom.
        units: those of the smaller arm.
    """

    size: float
    df: float
    units: int


class Detection(Protocol):
    """What planning asks of a way of looking."""

    def either_side(self, shift: Shift, alpha: float) -> float:
        """The probability that a two-sided test at alpha is significant at any look."""
        ...

    def one_side(self, shift: Shift, alpha: float) -> float:
        """The probability that a one-sided test at alpha is significant at any look.

        A shift above zero is on the test's side.
        """
        ...


@dataclass(frozen=True, slots=True)
class AtEnd:
    """One look: Welch's t under the noncentral t distribution (Cohen 1988, "Statistical Power Analysis", ch. 2)."""

    def either_side(self, shift: Shift, alpha: float) -> float:
        """The probability that a two-sided test at alpha is significant."""
        bound = float(stdtrit(shift.df, 1 - alpha / 2))
        return _above(shift.df, shift.size, bound) + _above(shift.df, -shift.size, bound)

    def one_side(self, shift: Shift, alpha: float) -> float:
        """The probability that a one-sided test at alpha is significant."""
        return _above(shift.df, shift.size, float(stdtrit(shift.df, 1 - alpha)))


@dataclass(frozen=True, slots=True)
class AtLooks:
    """Looks agreed on beforehand, with units that come evenly over the time box; for a normal statistic.

    Attributes:
        at: when, as shares of the time box.
        spending: how they share alpha.
    """

    at: tuple[float, ...]
    spending: Spending

    def either_side(self, shift: Shift, alpha: float) -> float:
        """The probability that a two-sided test at alpha is significant at any look."""
        return float(self._schedule.power(shift.size, alpha))

    def one_side(self, shift: Shift, alpha: float) -> float:
        """The probability that a one-sided test at alpha is significant at any look."""
        return float(self._schedule.one_sided().power(shift.size, alpha))

    @property
    def _schedule(self) -> Schedule:
        return Schedule(self.at, self.at, self.spending)


@dataclass(frozen=True, slots=True)
class AtAnyTime:
    """A confidence sequence, looked at when all units are in: whoever looks earlier too finds at least as much.

    Attributes:
        alpha: the charter's, for which the sequence is made tight.
        planned: the units per arm at which it is tightest; None for those that there are.
    """

    alpha: float
    planned: int | None = None

    def either_side(self, shift: Shift, alpha: float) -> float:
        """The probability that a two-sided sequence at 1 - alpha leaves zero out at the end."""
        if shift.units < SEQUENCE_UNITS_MIN:
            return 0.0
        radius = float(sequences.radius(self._age(self.alpha, shift.units), alpha))
        return float(ndtr(shift.size - radius) + ndtr(-shift.size - radius))

    def one_side(self, shift: Shift, alpha: float) -> float:
        """The probability that a one-sided sequence at 1 - alpha leaves the tested value out at the end."""
        if shift.units < SEQUENCE_UNITS_MIN:
            return 0.0
        return float(ndtr(shift.size - sequences.radius_one_sided(self._age(2 * self.alpha, shift.units), alpha)))

    def _age(self, alpha: float, units: int) -> float:
        return units / (self.planned or units) * sequences.age_when_tightest(alpha)


def detection_of(plan: SamplePlan) -> Detection:
    """The one that a charter's plan asks for."""
    looks = plan.looks
    if isinstance(looks, FixedHorizon):
        return AtEnd()
    if isinstance(looks, AlwaysValid):
        return AtAnyTime(plan.alpha, plan.units_per_arm)
    return AtLooks(looks.at, looks.spending)


def _above(df: float, shift: float, bound: float) -> float:
    """The probability that noncentral t lies above a bound."""
    below = float(nctdtr(df, shift, bound)) if df <= NORMAL_FROM else math.nan
    if not math.isnan(below):
        return 1 - below
    # Abramowitz and Stegun 1964, eq. 26.7.10: for many degrees of freedom, and far out, where scipy's series gives out.
    return float(ndtr((shift - bound * (1 - 1 / (4 * df))) / math.sqrt(1 + bound * bound / (2 * df))))
