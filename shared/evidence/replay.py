"""Replay: what looks would have said of an experiment that is over, from its summary statistics over time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.stats.alpha_spending import Schedule, Spending
from shared.stats.estimates import UNITS_MIN, degrees
from shared.stats.tails import t_of, z_of
from shared.stats.test_methods import SEQUENCE_UNITS_MIN, AlwaysValid

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Series:
    """One arm at every checkpoint, all up to then: units, their mean, and the variance of one unit.

    A checkpoint without a variance has NaN (or a number below zero) there.
    """

    n: Array
    mean: Array
    variance: Array


@dataclass(frozen=True, slots=True)
class Replayed:
    """One checkpoint.

    Attributes:
        estimate, low, high: the difference, with its interval at that look; None where it could not be evaluated.
        z: how many standard errors it is from zero, as a normal deviate.
        boundary: how far z must be from zero to cross.
        crossed: whether it is; None where it could not be evaluated.
        problem: why it could not; None where it could.
    """

    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    z: float | None = None
    boundary: float | None = None
    crossed: bool | None = None
    problem: str | None = None


def replay_looks(
    treated: Series, control: Series, shares: Sequence[float], spending: Spending, alpha: float
) -> tuple[Replayed, ...]:
    """Every checkpoint as a look agreed on beforehand; `shares` of the time box were over at each."""
    information = np.nan_to_num(treated.n) + np.nan_to_num(control.n)
    plan = Schedule(tuple(map(float, shares)), tuple(information.tolist()), spending)
    return _replay(treated, control, plan.boundaries(alpha))


def replay_any_time(treated: Series, control: Series, planned: int, alpha: float) -> tuple[Replayed, ...]:
    """Every checkpoint as a look at any time, where `planned` units per arm were."""
    smaller = np.minimum(treated.n, control.n)
    return _replay(treated, control, AlwaysValid(smaller, planned, alpha).boundary(alpha))


def first_crossing(looks: Sequence[Replayed]) -> int | None:
    """Which look crossed first, from 0; None where none did."""
    return next((number for number, look in enumerate(looks) if look.crossed), None)


def _replay(treated: Series, control: Series, boundaries: Array) -> tuple[Replayed, ...]:
    parts = [np.where(arm.variance >= 0, arm.variance, np.nan) / arm.n for arm in (treated, control)]
    with np.errstate(divide="ignore", invalid="ignore"):
        estimate, se = treated.mean - control.mean, np.sqrt(parts[0] + parts[1])
        df = degrees(parts, (treated.n, control.n))
        z, half = z_of(estimate / se, df), se * t_of(boundaries, df)
    told = zip(estimate, half, z, boundaries, strict=True)
    return tuple(_one(_problem(treated, control, at), *found) for at, found in enumerate(told))


def _one(problem: str | None, estimate: float, half: float, z: float, boundary: float) -> Replayed:
    if problem is None and np.isnan(boundary):
        problem = f"an arm has fewer than {SEQUENCE_UNITS_MIN:,} units"
    if problem is not None:
        return Replayed(problem=problem)
    low, high = float(estimate - half), float(estimate + half)
    return Replayed(float(estimate), low, high, float(z), float(boundary), bool(abs(z) >= boundary))


def _problem(treated: Series, control: Series, at: int) -> str | None:
    """Why a checkpoint cannot be evaluated; None where it can."""
    for name, arm in (("treatment", treated), ("control", control)):
        n, mean, variance = (float(each[at]) for each in (arm.n, arm.mean, arm.variance))
        if not n >= UNITS_MIN:
            return f"the {name} arm has too few units"
        if not np.isfinite(mean):
            return f"the {name} arm has no mean"
        if not (np.isfinite(variance) and variance >= 0):
            return f"the {name} arm has no variance"
    if treated.variance[at] + control.variance[at] == 0:
        return "the metric does not vary in either arm"
    return None


def series_of(n: Any, mean: Any, variance: Any) -> Series:
    """An arm from sequences of numbers, in which None stands for what is not there."""
    return Series(
        *(np.array([np.nan if v is None else v for v in values], dtype=float) for values in (n, mean, variance))
    )
