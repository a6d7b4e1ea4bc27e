"""What showed: whether the effects are such as can be believed."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from shared.engines.protocol import early_of, late_of, value_of
from shared.evidence.health.context import HealthContext
from shared.evidence.model import Effect, State, Symptom
from shared.stats.domain import ALLOWANCE, CONTRIBUTORS_MIN, contributors, is_uneven, outside
from shared.stats.estimates import degrees, p_two_sided
from shared.stats.moments import Cells

NOVELTY_P_MIN = 0.01
# What the team itself called worth scaling, ten times over: Twyman's law says to look for the mistake first (Kohavi,
# Tang and Xu 2020, "Trustworthy Online Controlled Experiments", ch. 3).
IMPROBABLE_TIMES = 10
# From these rules on arms are judged by what was planned of them, one unit by the noise without it, and what wears off
# only where units met it again.
PLAN_SINCE = 3
# From so many exposures per unit on, units met it again and again (half of them at least saw it twice).
EXPOSURES_PER_UNIT_MIN = 1.5


def exposures_per_unit(exposures: Mapping[str, int], units: Mapping[str, int]) -> float | None:
    """How many exposures a unit had, in the arm that had most of them, each given by arm; None where that is not known.

    An average over all arms would hide an arm whose units met it again and again behind a control that is logged once.
    """
    return max((count / units[arm] for arm, count in exposures.items() if units.get(arm)), default=None)


def average_exposures(exposures: int, units: Sequence[int]) -> float | None:
    """How many exposures a unit had over all arms, whose sizes these are; None without units."""
    return exposures / sum(units) if sum(units) else None


def novelty(context: HealthContext) -> Iterator[Symptom]:
    """Whether the effect is smaller in the second part of the units' time than in the first: a difference of both."""
    cells, said = context.summary.tenure, False
    told = context.summary.by_arm
    often = (
        exposures_per_unit(told.exposures, context.summary.units)
        if told is not None
        else average_exposures(context.summary.exposures, [*context.summary.units.values()])
    )
    if context.rules >= PLAN_SINCE and often is not None and often < EXPOSURES_PER_UNIT_MIN:
        reason = f"{often:.1f} exposures per unit: what is seen once does not wear off"
        yield Symptom(check="novelty", state="good", reason=reason)
        return
    for effect in context.primaries if cells is not None else ():
        if early_of(effect.metric) not in cells.means:  # type: ignore[union-attr]
            continue
        said = True
        yield _wearing_off(context, cells, effect)  # type: ignore[arg-type]
    if not said:
        reason = "no unit was exposed early enough, or the primary metric is none that adds up over time"
        yield Symptom(check="novelty", state="unevaluable", reason=reason)


def segment_reversals(context: HealthContext) -> Iterator[Symptom]:
    """Whether a segment goes significantly against the whole."""
    check = "segment_reversals"
    known = [found for found in context.segments if found.p_adjusted is not None and found.estimate is not None]
    if not known:
        reason = (
            "no effect in a segment could be computed" if context.charter.segments else "the charter names no segments"
        )
        yield Symptom(check=check, state="unevaluable", reason=reason)
        return
    overall = {(e.arm, e.metric): e.estimate for e in context.primaries if e.estimate is not None}
    turned = [
        found
        for found in known
        if (found.p_adjusted or 0.0) <= context.charter.alpha
        and (found.estimate or 0.0) * overall.get((found.arm, found.metric), 0.0) < 0
    ]
    for found in turned:
        yield Symptom(
            check=check, state="warning", arm=found.arm, metric=found.metric, where=f"{found.segment}: {found.level}",
            measured=found.p_adjusted, threshold=context.charter.alpha,
            reason=f"{found.metric} goes the other way where {found.segment} is {found.level}",
        )  # fmt: skip
    if not turned:
        yield Symptom(check=check, state="good", reason="no segment goes significantly against the whole")


def outliers(context: HealthContext) -> Iterator[Symptom]:
    """What is left of each primary effect without the most extreme unit of each arm."""
    asked = False
    for effect in context.primaries:
        metric = context.metrics[effect.metric]
        if (
            metric.kind in {"mean", "count"}
            and not (metric.divided or context.charter.cluster)
            and effect.estimate is not None
        ):
            asked = True
            yield _without_the_extremes(context, effect)
    if not asked:
        reason = "no single unit can carry a primary metric that is a share, a ratio, a quantile, or of clusters"
        state: State = "good" if context.primaries and _bounded(context) else "unevaluable"
        yield Symptom(check="outlier_influence", state=state, reason=reason)


def in_its_domain(context: HealthContext) -> Iterator[Symptom]:
    """Whether the arms are even enough, or the smaller one large enough, for its test to keep its error rate."""
    check, outside_of = "test_domain", [effect for effect in context.effects if _outside(context, effect)]
    for effect in outside_of:
        told = (
            {}
            if context.rules < PLAN_SINCE
            else {"measured": _rests_on(context, effect), "threshold": CONTRIBUTORS_MIN}
        )
        yield Symptom(
            check=check, state="warning", arm=effect.arm, metric=effect.metric,
            reason=f"one arm is much smaller, and few of its units have any {effect.metric}: a test at "
            f"{100 * context.charter.alpha:g} % may err twice as often",
            **told,
        )  # fmt: skip
    if not outside_of:
        yield Symptom(check=check, state="good", reason="the arms are even, or large, enough for the tests")


def improbable(context: HealthContext) -> Iterator[Symptom]:
    """Twyman's law: what is much better than anybody hoped is more often a mistake than a triumph."""
    known = [effect for effect in context.primaries if effect.estimate is not None]
    if not known:
        yield Symptom(check="improbably_good", state="unevaluable", reason="no primary effect could be computed")
    for effect in known:
        asked = context.charter.primary_of(effect.metric)
        times = abs(effect.estimate or 0.0) / asked.minimum_effect if asked else math.nan
        strange = not times < IMPROBABLE_TIMES
        yield Symptom(
            check="improbably_good",
            state="warning" if strange else "good",
            arm=effect.arm,
            metric=effect.metric,
            measured=times,
            threshold=float(IMPROBABLE_TIMES),
            reason=f"the effect on {effect.metric} is {times:.1f} times the one worth scaling"
            + ("; look for a mistake in the data first" if strange else ""),
        )


def degenerate(context: HealthContext) -> Iterator[Symptom]:
    """Which metrics could not be compared."""
    silent = [effect for effect in context.effects if effect.problem is not None]
    for effect in silent:
        yield Symptom(
            check="metrics_vary", state="warning", arm=effect.arm, metric=effect.metric, reason=str(effect.problem)
        )
    if not silent:
        yield Symptom(check="metrics_vary", state="good", reason="every metric varies, and could be compared")


def _wearing_off(context: HealthContext, cells: Cells, effect: Effect) -> Symptom:
    names = early_of(effect.metric), late_of(effect.metric)
    told = {"check": "novelty", "arm": effect.arm, "metric": effect.metric}
    arms = [cells.of(arm=name) for name in (effect.arm, context.charter.control.name)]
    if min(int(part.n.sum()) for part in arms) < 2:  # noqa: PLR2004 - for a variance
        return Symptom(**told, state="unevaluable", reason="too few units were exposed early enough to compare")
    early = _level(arms, names[0])
    change = [float(part.means[names[1]][0] - part.means[names[0]][0]) for part in arms]
    spread = [
        float(part.product(names[0], names[0])[0] + part.product(names[1], names[1])[0] - 2 * part.product(*names)[0])
        / (int(part.n[0]) - 1) / int(part.n[0])
        for part in arms
    ]  # fmt: skip
    difference, variance = change[0] - change[1], sum(spread)
    if not (variance > 0 and math.isfinite(variance) and math.isfinite(difference)):
        return Symptom(**told, state="unevaluable", reason="the metric does not vary over the units' time")
    df = degrees(spread, [int(part.n[0]) for part in arms])
    p = float(p_two_sided(difference, math.sqrt(variance), df))
    fades = p < NOVELTY_P_MIN / len(context.primaries) and early * difference < 0
    return Symptom(
        **told,
        state="warning" if fades else "good",
        measured=p,
        threshold=NOVELTY_P_MIN / len(context.primaries),
        reason=f"the effect on {effect.metric} wears off as time passes since the exposure"
        if fades
        else f"the effect on {effect.metric} does not wear off from the first quarter of the time box to the second",
    )


def _level(arms: list[Cells], name: str) -> float:
    return float(arms[0].means[name][0] - arms[1].means[name][0])


def _bounded(context: HealthContext) -> bool:
    return all(context.metrics[effect.metric].kind == "proportion" for effect in context.primaries)


def _without_the_extremes(context: HealthContext, effect: Effect) -> Symptom:
    told = {"check": "outlier_influence", "arm": effect.arm, "metric": effect.metric}
    column = value_of(effect.metric)
    rest = [_trimmed(context.summary.arms.of(arm=name), column) for name in _pair(context, effect)]
    if any(part is None for part in rest):
        return Symptom(**told, state="unevaluable", reason="an arm has too few units to leave one out")
    left = rest[0] - rest[1]  # type: ignore[operator]
    # The plain estimate: without its extremes the adjusted one would need the covariates of those units.
    before = effect.plain[0] if effect.plain else effect.estimate or 0.0
    moved = _moved(context, effect, left - before)
    turned = left * before < 0 or not moved < 1
    return Symptom(
        **told,
        state="warning" if turned else "good",
        measured=left,
        threshold=before,
        reason=f"without the most extreme unit of each arm the difference in {effect.metric} would be {left:+.4g}, "
        f"not {before:+.4g}",
    )


def _moved(context: HealthContext, effect: Effect, by: float) -> float:
    """How many standard errors a change of the effect is; NaN where that cannot be told.

    Since rules 3 those of the noise of all other units: an extreme one inflates its own arm's, and would hide in it.
    """
    if context.rules < PLAN_SINCE:
        se = effect.plain[1] if effect.plain else effect.se or math.nan
        return abs(by) / se if se > 0 else math.nan
    column = value_of(effect.metric)
    variances = [_trimmed_variance(context.summary.arms.of(arm=name), column) for name in _pair(context, effect)]
    se = math.sqrt(sum(variances)) if all(math.isfinite(each) for each in variances) else math.nan
    return abs(by) / se if se > 0 else math.inf if by else 0.0


def _trimmed_variance(cell: Cells, column: str) -> float:
    """The variance of the mean without the unit farthest from it; NaN where too few are left."""
    n = int(cell.n[0])
    if n <= 2:  # noqa: PLR2004 - a variance takes two
        return math.nan
    left = float(cell.product(column, column)[0]) - n / (n - 1) * _farthest(cell, column) ** 2
    return max(left, 0.0) / (n - 2) / (n - 1)


def _trimmed(cell: Cells, column: str) -> float | None:
    """The mean without the unit farthest from it, exactly."""
    if len(cell) == 0 or cell.n[0] <= 1:
        return None
    return float(cell.means[column][0]) - _farthest(cell, column) / (int(cell.n[0]) - 1)


def _farthest(cell: Cells, column: str) -> float:
    """How far the unit is from the mean that is farthest from it, with its sign."""
    mean = float(cell.means[column][0])
    return max(float(cell.least[column][0]) - mean, float(cell.most[column][0]) - mean, key=abs)


def _outside(context: HealthContext, effect: Effect) -> bool:
    metric = context.metrics[effect.metric]
    if effect.estimate is None or metric.divided or metric.kind == "quantile" or context.charter.cluster:
        return False
    planned = [context.planned[name] for name in _pair(context, effect)]
    allowance = ALLOWANCE if context.rules >= PLAN_SINCE and not is_uneven(planned) else 1.0
    n, mean, m2, least = _moments(context, effect)
    return bool(outside(n, mean, m2, least, allowance=allowance))


def _rests_on(context: HealthContext, effect: Effect) -> float:
    """On how many units the smaller arm's mean rests."""
    n, mean, m2, _ = _moments(context, effect)
    return float(contributors(n, mean, m2))


def _pair(context: HealthContext, effect: Effect) -> tuple[str, str]:
    return effect.arm, context.charter.control.name


def _moments(context: HealthContext, effect: Effect) -> list[tuple[Any, Any]]:
    """Units, means, sums of squared deviations and smallest values of an arm and the control."""
    column, arms = value_of(effect.metric), [context.summary.arms.of(arm=name) for name in _pair(context, effect)]
    return [
        (arms[0].n[0], arms[1].n[0]),
        (arms[0].means[column][0], arms[1].means[column][0]),
        (arms[0].product(column, column)[0], arms[1].product(column, column)[0]),
        (arms[0].least[column][0], arms[1].least[column][0]),
    ]
