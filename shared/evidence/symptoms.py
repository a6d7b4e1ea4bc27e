"""Symptoms: what beyond the sample ratio tells whether a pilot's data can be believed. They describe, the gate judges.

Every check says something each time it is asked: that all is good, what is not, or why it could not look. What could
not be looked at is never good.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from typing import Any

from shared.charter import Charter
from shared.engines.protocol import SIZE, Summary, covariate, early_of, late_of, per_of, value_of
from shared.evidence.contrasts import compared_with_first, reasons
from shared.evidence.domain import outside
from shared.evidence.estimates import Quantity, degrees, means, p_no_difference
from shared.evidence.model import Effect, SegmentEffect, Symptom
from shared.evidence.moments import Cells
from shared.evidence.sample_ratios import DEVIATION_FLOOR, P_MIN, mismatched, of_groups
from shared.metrics import Metric

# GrowthBook's default for the same question.
MULTIPLE_FRAC_MAX = 0.01
# GrowthBook's and Statsig's default for bias before the pilot.
BALANCE_P_MIN = 0.001
NOVELTY_P_MIN = 0.01
# So improbable a silence between outcomes that the recording, and not chance, is to be asked about.
SILENCE_P_MIN = 0.001
# What the team itself called worth scaling, ten times over: Twyman's law says to look for the mistake first (Kohavi,
# Tang and Xu 2020, "Trustworthy Online Controlled Experiments", ch. 3).
IMPROBABLE_TIMES = 10
UNTRAITED_FRAC_MAX = 0.05
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")


@dataclass(frozen=True, slots=True)
class Seen:
    """What the checks look at.

    Attributes:
        planned: each arm's planned share.
        complete: whether the time box is over and all of it in the data.
    """

    charter: Charter
    metrics: Mapping[str, Metric]
    planned: Mapping[str, float]
    summary: Summary
    effects: Sequence[Effect]
    segments: Sequence[SegmentEffect]
    complete: bool

    @property
    def primaries(self) -> list[Effect]:
        """The effects on primary metrics."""
        return [effect for effect in self.effects if effect.part == "primary"]


def symptoms(seen: Seen) -> tuple[Symptom, ...]:
    """What every check found, in the order of `CHECKS`."""
    return tuple(found for check in CHECKS for found in check(seen))


def _ratio_by_day(seen: Seen) -> Iterator[Symptom]:
    yield from _ratios(seen, "sample_ratio_by_day", {"": seen.summary.day_units}, "day")


def _ratio_by_segment(seen: Seen) -> Iterator[Symptom]:
    if not seen.charter.segments:
        yield Symptom(check="sample_ratio_by_segment", state="unevaluable", reason="the charter names no segments")
        return
    yield from _ratios(seen, "sample_ratio_by_segment", seen.summary.segment_units, "level")


def _ratios(seen: Seen, check: str, units: Mapping[str, Mapping[tuple[str, Any], int]], what: str) -> Iterator[Symptom]:
    found = {
        (name, group): ratio
        for name, counts in units.items()
        for group, ratio in of_groups(counts, seen.planned).items()
    }
    known = {group: ratio for group, ratio in found.items() if ratio.p is not None}
    if not known or len(known) < len(found):
        why = "units are in an arm that was not planned" if found else f"no {what} has enough units to compare the arms"
        yield Symptom(check=check, state="unevaluable", reason=why)
        return
    wrong = mismatched(known)
    for (name, group), ratio in sorted(wrong.items(), key=str):
        yield Symptom(
            check=check,
            state="warning",
            where=f"{name}: {group}" if name else str(group),
            measured=ratio.p,
            threshold=P_MIN / len(known),
            reason=f"the arms are not as large as planned {f'where {name} is' if name else 'on'} {group}",
        )
    if not wrong:
        where = "on each day" if what == "day" else f"in each {what}"
        told = f"{where} the arms are as large as planned, to {100 * DEVIATION_FLOOR:g} % or chance"
        yield Symptom(check=check, state="good", reason=told)


def _multiple_exposure(seen: Seen) -> Iterator[Symptom]:
    whole = sum(seen.summary.units.values()) + seen.summary.multiple_units
    if not whole:
        yield Symptom(check="multiple_exposure", state="unevaluable", reason="nobody was exposed")
        return
    frac = seen.summary.multiple_units / whole
    yield Symptom(
        check="multiple_exposure",
        state="warning" if frac > MULTIPLE_FRAC_MAX else "good",
        reason=f"{seen.summary.multiple_units:,} ({100 * frac:.2f} %) were seen in two arms; they are left out",
        measured=frac,
        threshold=MULTIPLE_FRAC_MAX,
    )


def _pre_period_balance(seen: Seen) -> Iterator[Symptom]:
    """Each covariate in each arm against the control, by Welch's test at its part of the error rate."""
    check, names = "pre_period_balance", seen.charter.covariates
    if not names:
        yield Symptom(check=check, state="unevaluable", reason="the charter names no covariates to compare the arms by")
        return
    tests = len(names) * len(seen.charter.treatments)
    quiet = True
    for arm in seen.charter.treatments:
        found = _welch(seen, seen.summary.arms, arm.name, [_trait(seen, name) for name in names])
        for name, p, problem in zip(names, found[0], found[1], strict=True):
            state = "unevaluable" if problem else "warning" if p < BALANCE_P_MIN / tests else "good"
            if state == "good":
                continue
            quiet = False
            yield Symptom(
                check=check, state=state, arm=arm.name, where=name, threshold=BALANCE_P_MIN / tests,
                measured=None if problem else p,
                reason=f"{name} cannot be compared: {problem}" if problem else
                f"{arm.name} differed from {seen.charter.control.name} in {name} before the pilot began",
            )  # fmt: skip
    if quiet:
        yield Symptom(check=check, state="good", reason="the arms were alike before the pilot: " + ", ".join(names))


def _trait(seen: Seen, name: str) -> Quantity:
    return Quantity(covariate(name), SIZE if seen.charter.cluster else None)


def _welch(seen: Seen, cells: Cells, arm: str, quantities: list[Quantity]) -> tuple[list[float], list[str]]:
    """Two-sided p-values of an arm against the control, and for each the problem in words, or nothing."""
    both = [cells.of(arm=name) for name in (arm, seen.charter.control.name)]
    if min(len(part) for part in both) == 0:
        return [math.nan] * len(quantities), ["an arm has no units"] * len(quantities)
    found = means(both[1].joined(both[:1]), quantities)
    compared = compared_with_first(found)
    why = reasons(found, compared, [seen.charter.control.name, arm])
    return compared.p()[0].tolist(), why[0].tolist()


def _left_out_alike(seen: Seen) -> Iterator[Symptom]:
    """Whether as many units of each arm have an outcome, where a metric leaves the others out."""
    check = "left_out_alike"
    names = [name for name in seen.charter.measured if seen.metrics[name].no_outcome == "left_out"]
    tests = len(names) * len(seen.charter.treatments)
    quiet = True
    for arm in seen.charter.treatments:
        size = SIZE if seen.charter.cluster else None
        p_values, problems = _welch(seen, seen.summary.arms, arm.name, [Quantity(per_of(n), size) for n in names])
        for name, p, problem in zip(names, p_values, problems, strict=True):
            # Where every unit has one, or none, the arms are as alike as they can be.
            if problem or not p < BALANCE_P_MIN / tests:
                continue
            quiet = False
            yield Symptom(
                check=check, state="warning", arm=arm.name, metric=name, measured=p, threshold=BALANCE_P_MIN / tests,
                reason=f"{name} leaves out units without an outcome, and in {arm.name} these are more or fewer than in "
                f"{seen.charter.control.name}: who is left may be others, not changed ones",
            )  # fmt: skip
    if quiet:
        why = "as many units of each arm have one" if names else "every metric counts a unit without an outcome as 0"
        yield Symptom(check=check, state="good", reason=why)


def _recording_gaps(seen: Seen) -> Iterator[Symptom]:
    """The longest run of days without an outcome between two that have some, against a steady stream of them."""
    check, days = "recording_gaps", sorted(date.fromisoformat(day) for day in seen.summary.outcome_days)
    if len(days) < 2:  # noqa: PLR2004 - between two days
        yield Symptom(check=check, state="unevaluable", reason="there are outcomes of fewer than two days")
        return
    longest, start = max((after - before - timedelta(1), before) for before, after in pairwise(days))
    span = (days[-1] - days[0]).days + 1
    per_day = sum(seen.summary.outcome_days.values()) / span
    # Poisson: that a given run is empty, times the places where it could begin.
    chance = min(1.0, span * math.exp(-per_day * longest.days)) if longest.days else 1.0
    strange = chance < SILENCE_P_MIN
    yield Symptom(
        check=check,
        state="warning" if strange else "good",
        where=(start + timedelta(1)).isoformat() if strange else None,
        measured=chance,
        threshold=SILENCE_P_MIN,
        reason=f"no outcome for {longest.days} days from {start + timedelta(1)} on: was the recording down?"
        if strange
        else "outcomes came in without a gap that chance does not explain",
    )


def _weekdays(seen: Seen) -> Iterator[Symptom]:
    check = "weekdays_complete"
    if not seen.complete:
        yield Symptom(check=check, state="unevaluable", reason="the time box is not over")
        return
    active = {date.fromisoformat(day) for day in seen.summary.outcome_days}
    active |= {date.fromisoformat(str(day)) for _, day in seen.summary.day_units}
    silent = [WEEKDAYS[n] for n in range(len(WEEKDAYS)) if n not in {day.weekday() for day in active}]
    yield Symptom(
        check=check,
        state="warning" if silent else "good",
        measured=float(len(WEEKDAYS) - len(silent)),
        threshold=float(len(WEEKDAYS)),
        reason=f"nothing was ever recorded on a {', '.join(silent)}"
        if silent
        else "every day of the week is in the data",
    )


def _novelty(seen: Seen) -> Iterator[Symptom]:
    """Whether the effect is smaller in the second part of the units' time than in the first: a difference of both."""
    cells, said = seen.summary.tenure, False
    for effect in seen.primaries if cells is not None else ():
        if early_of(effect.metric) not in cells.means:  # type: ignore[union-attr]
            continue
        said = True
        yield _wearing_off(seen, cells, effect)  # type: ignore[arg-type]
    if not said:
        reason = "no unit was exposed early enough, or the primary metric is none that adds up over time"
        yield Symptom(check="novelty", state="unevaluable", reason=reason)


def _wearing_off(seen: Seen, cells: Cells, effect: Effect) -> Symptom:
    names = early_of(effect.metric), late_of(effect.metric)
    told = {"check": "novelty", "arm": effect.arm, "metric": effect.metric}
    arms = [cells.of(arm=name) for name in (effect.arm, seen.charter.control.name)]
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
    p = float(p_no_difference(difference, math.sqrt(variance), df))
    fades = p < NOVELTY_P_MIN / len(seen.primaries) and early * difference < 0
    return Symptom(
        **told,
        state="warning" if fades else "good",
        measured=p,
        threshold=NOVELTY_P_MIN / len(seen.primaries),
        reason=f"the effect on {effect.metric} wears off as time passes since the exposure"
        if fades
        else f"the effect on {effect.metric} does not wear off from the first quarter of the time box to the second",
    )


def _level(arms: list[Cells], name: str) -> float:
    return float(arms[0].means[name][0] - arms[1].means[name][0])


def _segment_reversals(seen: Seen) -> Iterator[Symptom]:
    check = "segment_reversals"
    known = [found for found in seen.segments if found.p_adjusted is not None and found.estimate is not None]
    if not known:
        reason = (
            "no effect in a segment could be computed" if seen.charter.segments else "the charter names no segments"
        )
        yield Symptom(check=check, state="unevaluable", reason=reason)
        return
    overall = {(e.arm, e.metric): e.estimate for e in seen.primaries if e.estimate is not None}
    turned = [
        found
        for found in known
        if (found.p_adjusted or 0.0) <= seen.charter.alpha
        and (found.estimate or 0.0) * overall.get((found.arm, found.metric), 0.0) < 0
    ]
    for found in turned:
        yield Symptom(
            check=check, state="warning", arm=found.arm, metric=found.metric, where=f"{found.segment}: {found.level}",
            measured=found.p_adjusted, threshold=seen.charter.alpha,
            reason=f"{found.metric} goes the other way where {found.segment} is {found.level}",
        )  # fmt: skip
    if not turned:
        yield Symptom(check=check, state="good", reason="no segment goes significantly against the whole")


def _outliers(seen: Seen) -> Iterator[Symptom]:
    """What is left of each primary effect without the most extreme unit of each arm."""
    asked = False
    for effect in seen.primaries:
        metric = seen.metrics[effect.metric]
        if (
            metric.kind in {"mean", "count"}
            and not (metric.divided or seen.charter.cluster)
            and effect.estimate is not None
        ):
            asked = True
            yield _without_the_extremes(seen, effect)
    if not asked:
        reason = "no single unit can carry a primary metric that is a share, a ratio, a quantile, or of clusters"
        yield Symptom(check="outlier_influence", state="good" if seen.primaries and _bounded(seen) else "unevaluable",
                      reason=reason)  # fmt: skip


def _bounded(seen: Seen) -> bool:
    return all(seen.metrics[effect.metric].kind == "proportion" for effect in seen.primaries)


def _without_the_extremes(seen: Seen, effect: Effect) -> Symptom:
    told = {"check": "outlier_influence", "arm": effect.arm, "metric": effect.metric}
    column = value_of(effect.metric)
    rest = [_trimmed(seen.summary.arms.of(arm=name), column) for name in (effect.arm, seen.charter.control.name)]
    if any(part is None for part in rest):
        return Symptom(**told, state="unevaluable", reason="an arm has too few units to leave one out")
    left = rest[0] - rest[1]  # type: ignore[operator]
    # The plain estimate: without its extremes the adjusted one would need the covariates of those units.
    before = effect.plain[0] if effect.plain else effect.estimate or 0.0
    se = effect.plain[1] if effect.plain else effect.se or math.nan
    moved = abs(left - before) / se if se > 0 else math.nan
    turned = left * before < 0 or not moved < 1
    return Symptom(
        **told,
        state="warning" if turned else "good",
        measured=left,
        threshold=before,
        reason=f"without the most extreme unit of each arm the difference in {effect.metric} would be {left:+.4g}, "
        f"not {before:+.4g}",
    )


def _trimmed(cell: Cells, column: str) -> float | None:
    """The mean without the unit farthest from it, exactly."""
    if len(cell) == 0 or cell.n[0] <= 1:
        return None
    n, mean = int(cell.n[0]), float(cell.means[column][0])
    extreme = max(float(cell.least[column][0]), float(cell.most[column][0]), key=lambda value: abs(value - mean))
    return mean - (extreme - mean) / (n - 1)


def _in_its_domain(seen: Seen) -> Iterator[Symptom]:
    """Whether the arms are even enough, or the smaller one large enough, for its test to keep its error rate."""
    check, outside_of = "test_domain", [effect for effect in seen.effects if _outside(seen, effect)]
    for effect in outside_of:
        yield Symptom(
            check=check, state="warning", arm=effect.arm, metric=effect.metric,
            reason=f"one arm is much smaller, and few of its units have any {effect.metric}: a test at "
            f"{100 * seen.charter.alpha:g} % may err twice as often",
        )  # fmt: skip
    if not outside_of:
        yield Symptom(check=check, state="good", reason="the arms are even, or large, enough for the tests")


def _outside(seen: Seen, effect: Effect) -> bool:
    metric, column = seen.metrics[effect.metric], value_of(effect.metric)
    if effect.estimate is None or metric.divided or metric.kind == "quantile" or seen.charter.cluster:
        return False
    arms = [seen.summary.arms.of(arm=name) for name in (effect.arm, seen.charter.control.name)]
    of = [(part.n[0], part.means[column][0], part.product(column, column)[0], part.least[column][0]) for part in arms]
    return bool(outside(*zip(*of, strict=True)))


def _improbable(seen: Seen) -> Iterator[Symptom]:
    """Twyman's law: what is much better than anybody hoped is more often a mistake than a triumph."""
    known = [effect for effect in seen.primaries if effect.estimate is not None]
    if not known:
        yield Symptom(check="improbably_good", state="unevaluable", reason="no primary effect could be computed")
    for effect in known:
        asked = seen.charter.primary_of(effect.metric)
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


def _degenerate(seen: Seen) -> Iterator[Symptom]:
    silent = [effect for effect in seen.effects if effect.problem is not None]
    for effect in silent:
        yield Symptom(
            check="metrics_vary", state="warning", arm=effect.arm, metric=effect.metric, reason=str(effect.problem)
        )
    if not silent:
        yield Symptom(check="metrics_vary", state="good", reason="every metric varies, and could be compared")


def _traits_known(seen: Seen) -> Iterator[Symptom]:
    check, units = "traits_known", sum(seen.summary.units.values())
    if not seen.summary.untraited or not units:
        yield Symptom(check=check, state="unevaluable", reason="the charter names no column of the population")
        return
    lacking = {name: n / units for name, n in seen.summary.untraited.items() if n / units > UNTRAITED_FRAC_MAX}
    for name, frac in lacking.items():
        yield Symptom(
            check=check, state="warning", where=name, measured=frac, threshold=UNTRAITED_FRAC_MAX,
            reason=f"{100 * frac:.1f} % of the units have no {name} in the population's table",
        )  # fmt: skip
    if not lacking:
        yield Symptom(check=check, state="good", reason="the population knows the units that were exposed")


CHECKS: tuple[Callable[[Seen], Iterator[Symptom]], ...] = (
    _ratio_by_day,
    _ratio_by_segment,
    _multiple_exposure,
    _pre_period_balance,
    _traits_known,
    _left_out_alike,
    _recording_gaps,
    _weekdays,
    _novelty,
    _segment_reversals,
    _outliers,
    _in_its_domain,
    _improbable,
    _degenerate,
)
