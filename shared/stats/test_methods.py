"""Test methods: how far an estimate must be from nothing to count, by when the charter lets anybody look.

A test method judges every effect of a pilot alike. What it is given are arrays of one shape (or numbers): estimates,
standard errors and degrees of freedom. Where one of them is NaN the effect could not be evaluated, and NaN comes back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from shared.experiment.sample_plan import AlwaysValid as AnyTime
from shared.experiment.sample_plan import FixedHorizon as OneLook
from shared.experiment.sample_plan import SamplePlan
from shared.stats import confidence_sequences as sequences
from shared.stats.alpha_spending import Schedule
from shared.stats.special import stdtr, stdtrit
from shared.stats.tails import t_of, z_of

Array = NDArray[np.float64]
# From so many units in either arm on a sequence keeps its promise: with even arms whatever the tails, with five control
# units per treated one where a unit in twenty has any of a heavy-tailed metric, or one in a hundred any of a share
# (docs/proof/sequential.md). At half as many the latter errs in 6 % of pilots, not 5.
SEQUENCE_UNITS_MIN = 1_000


class Effects(Protocol):
    """Differences to the control with their standard errors and degrees of freedom: arrays of one shape."""

    @property
    def estimate(self) -> Any:
        """The differences, in the metric's unit."""
        ...

    @property
    def se(self) -> Any:
        """Their standard errors."""
        ...

    @property
    def df(self) -> Any:
        """Degrees of freedom."""
        ...


class Method(Protocol):
    """What every method of looks can say of effects."""

    def half_width(self, se: Any, df: Any, alpha: float) -> Array:
        """How far the two-sided interval at 1 - alpha reaches to either side."""
        ...

    def p_two_sided(self, found: Effects) -> Array:
        """Two-sided p-value of no difference; where there are several looks, one that holds at every look."""
        ...

    def p_one_sided(self, found: Effects, margin: Any, sign: Any) -> Array:
        """One-sided p-value of a difference no better than `margin`; more is better where sign is 1."""
        ...

    def bound(self, found: Effects, alpha: float, sign: Any) -> Array:
        """The one-sided confidence bound at 1 - alpha on the bad side."""
        ...


@dataclass(frozen=True, slots=True)
class FixedHorizon:
    """One look: Student's t with Welch's degrees of freedom."""

    def half_width(self, se: Any, df: Any, alpha: float) -> Array:
        """How far the two-sided interval at 1 - alpha reaches to either side."""
        return np.asarray(se * stdtrit(df, 1 - alpha / 2))

    def p_two_sided(self, found: Effects) -> Array:
        """Two-sided p-value of no difference."""
        return np.asarray(2 * stdtr(found.df, -np.abs(_ratio(found, 0.0))))

    def p_one_sided(self, found: Effects, margin: Any, sign: Any) -> Array:
        """One-sided p-value of a difference no better than `margin`; more is better where sign is 1."""
        return np.asarray(stdtr(found.df, -sign * _ratio(found, margin)))

    def bound(self, found: Effects, alpha: float, sign: Any) -> Array:
        """The one-sided confidence bound at 1 - alpha on the bad side."""
        return np.asarray(found.estimate - sign * found.se * stdtrit(found.df, 1 - alpha))


@dataclass(frozen=True, slots=True)
class EveryLook:
    """Looks agreed on beforehand that share alpha (Lan and DeMets 1983), all of them at once.

    Intervals are repeated confidence intervals (Jennison and Turnbull 1989, "Interim analyses: the repeated confidence
    interval approach"): all looks' together cover with 1 - alpha. A p-value is the smallest alpha at which any look so
    far crosses (Liu and Anderson 2008, "On adaptive extensions of group sequential trials"). What could not be
    evaluated at a look has not crossed there, and its part of alpha is gone.

    Attributes:
        schedule: the looks; what is asked and answered has them as its first axis.
    """

    schedule: Schedule

    def half_width(self, se: Any, df: Any, alpha: float) -> Array:
        """How far the two-sided interval at 1 - alpha reaches to either side."""
        return np.asarray(se * t_of(_along(self.schedule.boundaries(alpha), se), df))

    def p_two_sided(self, found: Effects) -> Array:
        """Two-sided p-value of no difference that holds at every look."""
        return self._p(self.schedule, np.abs(z_of(_ratio(found, 0.0), found.df)))

    def p_one_sided(self, found: Effects, margin: Any, sign: Any) -> Array:
        """One-sided p-value of a difference no better than `margin` that holds at every look."""
        return self._p(self.schedule.one_sided(), z_of(sign * _ratio(found, margin), found.df))

    def bound(self, found: Effects, alpha: float, sign: Any) -> Array:
        """The one-sided confidence bound at 1 - alpha on the bad side."""
        c = _along(self.schedule.one_sided().boundaries(alpha), found.se)
        return np.asarray(found.estimate - sign * found.se * t_of(c, found.df))

    @staticmethod
    def _p(schedule: Schedule, z: Array) -> Array:
        return np.where(np.isnan(z), np.nan, schedule.levels(z))


@dataclass(frozen=True, slots=True)
class GroupSequential:
    """The last of `EveryLook`: what a pilot is judged by at the present one.

    Attributes:
        schedule: the looks so far, the present one last.
        history: the effects at the looks before it, oldest first, in the order of those it is asked about.
    """

    schedule: Schedule
    history: Sequence[Effects] = ()

    def half_width(self, se: Any, df: Any, alpha: float) -> Array:
        """How far the two-sided interval at 1 - alpha reaches to either side."""
        return np.asarray(se * t_of(self.schedule.boundaries(alpha)[-1], df))

    def p_two_sided(self, found: Effects) -> Array:
        """Two-sided p-value of no difference that holds at every look."""
        return np.asarray(EveryLook(self.schedule).p_two_sided(self._all(found))[-1])

    def p_one_sided(self, found: Effects, margin: Any, sign: Any) -> Array:
        """One-sided p-value of a difference no better than `margin` that holds at every look."""
        return np.asarray(EveryLook(self.schedule).p_one_sided(self._all(found), margin, sign)[-1])

    def bound(self, found: Effects, alpha: float, sign: Any) -> Array:
        """The one-sided confidence bound at 1 - alpha on the bad side."""
        c = self.schedule.one_sided().boundaries(alpha)[-1]
        return np.asarray(found.estimate - sign * found.se * t_of(c, found.df))

    def _all(self, found: Effects) -> Effects:
        looks = (*self.history, found)
        return _Stacked(*(np.stack([getattr(look, name) for look in looks]) for name in ("estimate", "se", "df")))


@dataclass(frozen=True, slots=True)
class AlwaysValid:
    """A look at any time: confidence sequences, as tight as can be where an arm has the units that were planned.

    They are asymptotic: below `SEQUENCE_UNITS_MIN` units in either arm nothing can be said, and NaN comes back.

    Attributes:
        units: in the smaller of the two arms, a number or one per effect.
        planned: how many the charter planned per arm.
        alpha: the charter's.
    """

    units: Any
    planned: int
    alpha: float

    def half_width(self, se: Any, df: Any, alpha: float) -> Array:
        """How far the two-sided interval at 1 - alpha reaches to either side."""
        return np.asarray(se * t_of(sequences.radius(self._age(self.alpha), alpha), df))

    def p_two_sided(self, found: Effects) -> Array:
        """Two-sided p-value of no difference that holds whenever one looks."""
        return sequences.p_two_sided(z_of(_ratio(found, 0.0), found.df), self._age(self.alpha))

    def p_one_sided(self, found: Effects, margin: Any, sign: Any) -> Array:
        """One-sided p-value of a difference no better than `margin` that holds whenever one looks."""
        z = z_of(sign * _ratio(found, margin), found.df)
        return sequences.p_one_sided(z, self._one_sided_age())

    def bound(self, found: Effects, alpha: float, sign: Any) -> Array:
        """The one-sided confidence bound at 1 - alpha on the bad side."""
        radius = sequences.radius_one_sided(self._one_sided_age(), alpha)
        return np.asarray(found.estimate - sign * found.se * t_of(radius, found.df))

    def boundary(self, alpha: float) -> Array:
        """How far z must be from zero to cross now."""
        return sequences.radius(self._age(self.alpha), alpha)

    def _age(self, alpha: float) -> Array:
        units = np.asarray(self.units, dtype=float)
        known = np.where(units >= SEQUENCE_UNITS_MIN, units, np.nan)
        return known / self.planned * sequences.age_when_tightest(alpha)

    def _one_sided_age(self) -> Array:
        """A one-sided sequence at alpha is nearly a two-sided one at twice that, and is tuned like it."""
        return self._age(2 * self.alpha)


def method_of(
    plan: SamplePlan,
    *,
    shares: Sequence[float] = (),
    information: Sequence[float] = (),
    history: Sequence[Effects] = (),
    units: Any = 0,
) -> Method:
    """The test method that a charter's plan asks for at the present look.

    Looks agreed on beforehand need `shares` (of the time box that was over) and `information` (exposed units) at every
    look so far, the present one last, and `history`, the effects at the looks before it. Looks at any time need
    `units`, those of the smaller of the two arms: a number, or one per effect. One look needs neither.
    """
    looks = plan.looks
    if isinstance(looks, OneLook):
        return FixedHorizon()
    if isinstance(looks, AnyTime):
        return AlwaysValid(units, plan.units_per_arm, plan.alpha)
    return GroupSequential(Schedule(tuple(shares), tuple(map(float, information)), looks.spending), tuple(history))


@dataclass(frozen=True, slots=True)
class _Stacked:
    estimate: Array
    se: Array
    df: Array


def _along(bounds: Array, like: Any) -> Array:
    """One boundary per look, in the shape of effects with looks as their first axis."""
    return bounds.reshape(-1, *[1] * (np.ndim(like) - 1))


def _ratio(found: Effects, margin: Any) -> Array:
    """How many standard errors an estimate is from a margin; NaN where that is not a number, or nothing varies."""
    estimate, se = np.asarray(found.estimate, dtype=float), np.asarray(found.se, dtype=float)
    known = np.isfinite(estimate) & np.isfinite(se) & (se > 0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        return np.where(known, (estimate - margin) / se, np.nan)
