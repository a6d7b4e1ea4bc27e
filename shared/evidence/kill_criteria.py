"""Kill criteria: whether one is met, in which arm and at which look. Both rooms ask here."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from shared.evidence.model import DayEffect, Effect, Evidence, LookEffect
from shared.experiment.charter import Charter, KillCriterion, Promise
from shared.experiment.metrics import Metric

AnyEffect = Effect | LookEffect | DayEffect


@dataclass(frozen=True, slots=True)
class Answer:
    """What one criterion says of one arm.

    Attributes:
        met: whether the arm's whole interval lies beyond it, or did at any look before; None where that could not be
            asked at one of them, and it was met at none.
        at: the look (RFC 3339) or day at which it was met first; None for the present numbers.
        estimate, low, high: as they were then; the present ones where it was met at no look before.
        problem: why it could not be asked; None where it could.
    """

    criterion: KillCriterion
    arm: str
    met: bool | None
    at: str | None = None
    estimate: float | None = None
    low: float | None = None
    high: float | None = None
    problem: str | None = None


def read_by(promise: Promise) -> frozenset[str]:
    """The metrics that have to be computed at every look because a kill criterion reads them.

    Evidence that was promised before the gate asked for them is computed as it was.
    """
    return frozenset(kill.metric for kill in promise.charter.kill_criteria) if promise.rules > 1 else frozenset()


def answers(promise: Promise, evidence: Evidence) -> list[Answer]:
    """What each kill criterion says of each treatment arm; empty where the charter names none."""
    return [
        _answer(promise, evidence, kill, arm.name)
        for kill in promise.charter.kill_criteria
        for arm in promise.charter.treatments
    ]


def met(promise: Promise, evidence: Evidence) -> list[Answer]:
    """The criteria that are met, each with the arm that meets it."""
    return [answer for answer in answers(promise, evidence) if answer.met]


def unasked(charter: Charter, metrics: dict[str, Metric]) -> Iterator[str]:
    """The metrics of kill criteria that the charter's looks could never be asked for."""
    for kill in charter.kill_criteria:
        if charter.sample.looks.method == "always_valid" and metrics[kill.metric].kind == "quantile":
            yield kill.metric


def _answer(promise: Promise, evidence: Evidence, kill: KillCriterion, arm: str) -> Answer:
    sign, now = promise.metrics[kill.metric].sign, evidence.effect(arm, kill.metric)
    looks = [*_before(evidence, arm, kill.metric), (None, now)]
    for at, effect in looks:
        if effect is not None and _computed(effect) and _beyond(effect, kill.worse_than, sign):
            return Answer(kill, arm, True, at, effect.estimate, effect.low, effect.high)
    problem = next(filter(None, (_problem(at, effect) for at, effect in looks)), None)
    if problem is None and kill.metric in unasked(promise.charter, promise.metrics):
        problem = "a quantile is not computed day by day, and this charter looks at any time"
    if problem is None and evidence.others_left(arm, kill.metric):
        problem = "it leaves out more, or fewer, units of this arm than of the control"
    if now is None or problem is not None:
        return Answer(kill, arm, None, problem=problem)
    return Answer(kill, arm, False, None, now.estimate, now.low, now.high)


def _before(evidence: Evidence, arm: str, metric: str) -> Iterator[tuple[str, AnyEffect | None]]:
    """Every look before the present one; where anybody may look at any time, every day on which there was an interval.

    A confidence sequence begins with so many units, so that a day without an interval is none on which one could look.
    """
    for look in evidence.looks[:-1]:
        yield look.at, next((each for each in look.effects if (each.arm, each.metric) == (arm, metric)), None)
    if evidence.method == "always_valid":
        for day in evidence.days:
            yield from ((day.day, each) for each in day.effects if _is(each, arm, metric) and each.low is not None)


def _is(effect: DayEffect, arm: str, metric: str) -> bool:
    return (effect.arm, effect.metric) == (arm, metric)


def _computed(effect: AnyEffect) -> bool:
    """Whether there is an interval of numbers: a comparison with NaN holds nowhere, and would read as kept."""
    return all(number is not None and math.isfinite(number) for number in (effect.estimate, effect.low, effect.high))


def _beyond(effect: AnyEffect, worse_than: float, sign: int) -> bool:
    best = effect.high if sign > 0 else effect.low
    return best is not None and sign * best < sign * worse_than


def _problem(at: str | None, effect: AnyEffect | None) -> str | None:
    if effect is not None and _computed(effect):
        return None
    why = getattr(effect, "problem", None) or ("it is not a number" if effect else "no data")
    return f"at the look of {at[:10]} {why}" if at else why
