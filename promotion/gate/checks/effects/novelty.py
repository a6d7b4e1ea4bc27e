"""Does the effect last, where units were exposed again and again?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.symptoms import limit_of, symptoms_of
from shared.evidence.health.effects import (
    EXPOSURES_PER_UNIT_MIN,
    NOVELTY_P_MIN,
    PLAN_SINCE,
    average_exposures,
    exposures_per_unit,
)
from shared.evidence.model import Symptom
from shared.trust.finding import Finding


class NoveltyRule(Rule):
    """Thresholds.

    Attributes:
        p_min: how improbable it must be that the effect is the same in the second quarter of the time box as in the
            first; that of the health report, as no gate publishes one.
        exposures_per_unit_min: from how many on units were exposed again and again, in the arm with most of them. The
            effect of a single mail dies away by its nature, and is no novelty that wears off: half of the units at
            least saw it twice. Of a promise under rules 3 or later it is never asked of fewer than 1.5 exposures per
            unit.
    """

    p_min: float = Field(default=NOVELTY_P_MIN, gt=0, le=NOVELTY_P_MIN)
    exposures_per_unit_min: float = Field(default=EXPOSURES_PER_UNIT_MIN, ge=1)


@check(NoveltyRule, reads="exposures per unit; primary effects in the first and the second quarter of the units' time")
def novelty(case: Case, rule: NoveltyRule) -> Iterator[Finding]:
    """Does the effect last, where units were exposed again and again?"""
    units = {arm.arm: arm.units for arm in case.evidence.arms}
    if case.promise.rules >= PLAN_SINCE:
        often = exposures_per_unit(case.placement.exposures, units)
    else:  # promises of before keep the average over all arms
        often = average_exposures(case.evidence.exposures, [*units.values()])
    least = max(rule.exposures_per_unit_min, EXPOSURES_PER_UNIT_MIN if case.promise.rules >= PLAN_SINCE else 0.0)
    threshold = {"p_min": rule.p_min, "exposures_per_unit_min": least}
    if often is None:
        yield finding("unevaluable", "nobody was exposed", threshold=threshold, remedy="record exposures")
        return
    if often < least:
        yield finding(
            "passed",
            f"{often:.1f} exposures per unit: nobody could get used to what was hardly ever seen twice",
            measured={"exposures_per_unit": often},
            threshold=threshold,
        )
        return
    for told in symptoms_of(case, "novelty"):
        yield _of_effect(told, rule, {"measured": {"exposures_per_unit": often, "p": told.measured},
                                      "threshold": threshold})  # fmt: skip


def _of_effect(told: Symptom, rule: NoveltyRule, compared: dict[str, Any]) -> Finding:
    if told.state == "unevaluable":
        remedy = "expose units early in the time box, and choose a primary metric that adds up over time"
        return finding("unevaluable", told.reason, arm=told.arm, remedy=remedy, **compared)
    if told.state == "warning" and (told.measured or 0.0) < limit_of(told, rule.p_min, in_evidence=NOVELTY_P_MIN):
        return finding(
            "failed",
            told.reason,
            arm=told.arm,
            remedy="revise with a longer time box, until what is left of the effect shows",
            **compared,
        )
    told_so = f"the effect on {told.metric} does not wear off beyond chance"
    return finding("passed", told_so, arm=told.arm, **compared)
