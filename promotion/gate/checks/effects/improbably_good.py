"""Is the effect such as somebody could have hoped for, or too good to be true?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.symptoms import symptoms_of
from shared.trust.finding import Finding


class ImprobablyGoodRule(Rule):
    """Threshold.

    Attributes:
        times_max: an effect so many times the smallest one worth scaling is taken for a mistake, in either direction:
            Twyman's law (Kohavi, Tang and Xu 2020, "Trustworthy Online Controlled Experiments", ch. 3), which names
            no number; ten is the health report's.
    """

    times_max: float = Field(default=10, gt=1)


@check(ImprobablyGoodRule, reads="the recomputed primary effects against the charter's minimum effect (Twyman's law)")
def improbably_good(case: Case, rule: ImprobablyGoodRule) -> Iterator[Finding]:
    """Is the effect such as somebody could have hoped for, or too good to be true?"""
    found = {(one.arm, one.metric): one for one in symptoms_of(case, "improbably_good")}
    for arm in case.charter.treatments:
        for primary in case.charter.primaries:
            told = found.get((arm.name, primary.metric))
            compared: dict[str, Any] = {"measured": told.measured if told else None, "threshold": rule.times_max}
            if told is None or told.measured is None:
                yield finding(
                    "unevaluable",
                    f"no effect on {primary.metric} could be computed",
                    arm=arm.name,
                    remedy="record outcomes of this metric in both arms",
                    **compared,
                )
                continue
            reason = f"the effect on {primary.metric} is {told.measured:.1f} times the one worth scaling"
            if told.measured < rule.times_max:
                yield finding("passed", reason, arm=arm.name, **compared)
            else:
                yield finding(
                    "failed",
                    f"{reason}: more often a mistake in the data than a triumph",
                    arm=arm.name,
                    remedy="look for the mistake first (events counted twice, arms told apart by the outcome, bots); "
                    "run again with a minimum effect that is worth something",
                    **compared,
                )
