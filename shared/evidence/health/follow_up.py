"""Follow-up: whether every arm's units could be watched equally long, overall and from the same time of the day."""

from __future__ import annotations

import math
from collections.abc import Sequence

from shared.engines.by_arm import ByArm, Spread
from shared.evidence.model import FollowUp, TimeOfDay
from shared.stats.estimates import degrees, p_two_sided

HOUR_S = 3_600
# Fabijan et al. (2019), as for arms of the wrong size.
P_MIN = 0.001
# About 1 % of a week, the shortest time box: what comes evenly over time then differs by 1 % of itself between arms,
# the share of units in two arms and of rows held back that is accepted too. No gate publishes one.
HOURS_MIN = 2.0
# A variance needs two units.
UNITS_MIN = 2


def follow_up(told: ByArm, arms: Sequence[str]) -> tuple[FollowUp, ...]:
    """Each treatment against the control, the first of these arms, per window; none of an arm without units."""
    control = arms[0]
    return tuple(
        FollowUp(
            arm=arm,
            window_days=window,
            mean_h=spread.mean / HOUR_S,
            control_h=base.mean / HOUR_S,
            p=_p(spread.mean - base.mean, [spread, base], [1.0, 1.0]) if min(spread.n, base.n) >= UNITS_MIN else None,
            cut_short=None if window is None else told.cut_short.get((window, arm), 0),
            control_cut_short=None if window is None else told.cut_short.get((window, control), 0),
        )
        for (window, arm), spread in told.follow_up.items()
        if arm != control and (base := told.follow_up.get((window, control))) is not None
    )


def time_of_day(told: ByArm, arms: Sequence[str]) -> tuple[TimeOfDay, ...]:
    """Each treatment's exposures against the control's of the same day, all days together.

    A day's difference weighs n m / (n + m), which makes the variance of their sum the least (Cochran 1954, "Some
    methods for strengthening the common chi-square tests", sect. 6.2).
    """
    return tuple(_of_day(told, arm, arms[0]) for arm in arms[1:])


def apart(
    lengths: Sequence[FollowUp], times: Sequence[TimeOfDay], p_min: float = P_MIN, hours_min: float = HOURS_MIN
) -> list[FollowUp | TimeOfDay]:
    """The treatments that were watched longer or shorter than the control, or exposed at another time of the day.

    Each is tested at its part of `p_min` (Bonferroni), and differs by so many hours.
    """
    least = p_min / max(1, len(lengths) + len(times))
    found: list[FollowUp | TimeOfDay] = [
        one for one in lengths if _beyond(one.p, least) and abs(one.mean_h - one.control_h) >= hours_min
    ]
    return [*found, *(one for one in times if _beyond(one.p, least) and abs(one.later_h or 0.0) >= hours_min)]


def p_values(lengths: Sequence[FollowUp], times: Sequence[TimeOfDay]) -> list[float | None]:
    """Of every comparison; None where there was nothing to compare."""
    return [*(one.p for one in lengths), *(one.p for one in times)]


def _beyond(p: float | None, least: float) -> bool:
    return p is not None and p < least


def _of_day(told: ByArm, arm: str, control: str) -> TimeOfDay:
    days = sorted({day for of, day in told.times if of == arm} & {day for of, day in told.times if of == control})
    pairs = [(told.times[arm, day], told.times[control, day]) for day in days]
    pairs = [pair for pair in pairs if min(spread.n for spread in pair) >= UNITS_MIN]
    weights = [one.n * other.n / (one.n + other.n) for one, other in pairs]
    if not weights:
        return TimeOfDay(arm=arm, later_h=None, p=None)
    total = sum(weights)
    later = sum(w * (one.mean - other.mean) for w, (one, other) in zip(weights, pairs, strict=True)) / total
    spreads = [spread for pair in pairs for spread in pair]
    return TimeOfDay(
        arm=arm, later_h=later / HOUR_S, p=_p(later, spreads, [w / total for w in weights for _ in range(2)])
    )


def _p(difference: float, spreads: Sequence[Spread], weights: Sequence[float]) -> float:
    """Two-sided p of no difference, by Welch; where nothing varies every difference is beyond chance."""
    parts = [w * w * spread.variance / spread.n for spread, w in zip(spreads, weights, strict=True)]
    error = math.sqrt(sum(parts))
    if error == 0:
        return 1.0 if difference == 0 else 0.0
    return float(p_two_sided(difference, error, degrees(parts, [spread.n for spread in spreads])))
