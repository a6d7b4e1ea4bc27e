"""Is every number of the promise within the policy's bounds, and against what was measured without a treatment?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.data.contracts import load_contract
from shared.experiment.bounds import SINCE, Bounds, Level, never_negative, objections
from shared.stats.summaries import AnyMoments, Moments, QuantileMoments, RatioMoments
from shared.trust.finding import Finding

MEASURED = "measured in the control"
# The 95 % confidence interval of a mean: a promise that was sound for the true mean fails one time in forty at most.
DOUBT_Z = 1.96


class PromiseReasonableRule(Rule, Bounds):
    """Policy: the bounds that the Lab asks for at launch, too."""


@check(
    PromiseReasonableRule,
    reads="charter, metrics, what was measured in the control, the contract of outcomes",
    since=SINCE,
)
def promise_reasonable(case: Case, rule: PromiseReasonableRule) -> Iterator[Finding]:
    """Is every number of the promise one by which something can be shown?"""
    levels = _levels(case)
    against = objections(case.promise, rule, levels)
    for each in against:
        yield finding(
            "failed",
            f"{each.part}: {each.reason}",
            measured=each.measured,
            threshold=each.threshold,
            remedy=f"nothing mends this candidate; in a new pilot {each.remedy}",
        )
    # Whatever was objected to without a baseline holds; what was not might be with one.
    unknown = [name for name in case.charter.bounded if name not in levels]
    if unknown:
        yield finding(
            "unevaluable",
            f"nothing tells what {' and '.join(unknown)} would be without a treatment, so that nobody knows whether "
            "the promise means anything there",
            measured=unknown,
            remedy="record outcomes of the control",
        )
    elif not against:
        yield finding(
            "passed",
            "error rates, power, units, shares, windows, minimum effects and margins are within the policy's bounds",
            measured={name: level.mean for name, level in levels.items() if name in case.charter.bounded},
        )


def _levels(case: Case) -> dict[str, Level]:
    """What the control came to, metric by metric, as the gate computes it from the sealed data.

    One that says the same of every unit, or of none, is no level to hold a plan against: `metrics_vary` tells of it.
    """
    control = case.evidence.arm(case.charter.control.name)
    outcomes = load_contract(case.candidate.file(f"contracts/{case.charter.outcomes}.odcs.yaml"))
    found = {}
    for name, moments in (control.moments if control else {}).items():
        if moments.n and moments.finite:
            # Of clusters the mean is that of their units, and the spread is not.
            units = moments if isinstance(moments, Moments) and moments.n > 1 else None
            if units is not None and not units.m2:
                continue
            sd = math.sqrt(units.m2 / (units.n - 1)) if units else None
            floor = never_negative(case.promise.metrics[name], outcomes)
            found[name] = Level(moments.mean, sd, floor, MEASURED, _doubt(moments))
    return found


def _doubt(moments: AnyMoments) -> float:
    """Half of the width of the 95 % interval of what the control came to."""
    if isinstance(moments, QuantileMoments):
        return max(moments.value - moments.low, moments.high - moments.value)
    if moments.n <= 1:
        return 0.0
    if isinstance(moments, RatioMoments):  # by the delta method, as Deng, Knoblich and Lu (2018) have it
        ratio = moments.mean
        spread = moments.value_m2 - 2 * ratio * moments.co + ratio**2 * moments.per_m2
        sd = math.sqrt(max(spread, 0.0) / (moments.n - 1)) / abs(moments.per)
    else:
        sd = math.sqrt(moments.m2 / (moments.n - 1))
    return DOUBT_Z * sd / math.sqrt(moments.n)
