"""Do the arms have the planned sizes on each day?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.checks.sample.sample_ratio import lost
from promotion.gate.facts.symptoms import limit_of, symptoms_of, unasked
from shared.evidence.health.sample_ratios import DEVIATION_FLOOR
from shared.evidence.model import RATIO_P_MIN
from shared.trust.finding import Finding


class RatioOfGroupsRule(Rule):
    """Threshold.

    Attributes:
        p_min: of all groups together, so each is tested at its part (Bonferroni); GrowthBook's, Eppo's and Statsig's
            default. Shares off by less than 0.1 % (Statsig's floor) are not held against a pilot.
    """

    p_min: float = Field(default=0.001, gt=0, lt=1)


def groups_as_planned(case: Case, rule: RatioOfGroupsRule, name: str, *, each: str, where: str) -> Iterator[Finding]:
    """One finding on the sample ratios of days or segments: `each` names a group for people, `where` points at one."""
    found = symptoms_of(case, name)
    if gaps := unasked(found):
        yield finding("unevaluable", gaps, remedy="record exposures, analyse and submit again")
        return
    limits = [limit_of(symptom, rule.p_min, in_evidence=RATIO_P_MIN) for symptom in found]
    wrong = [one for one, limit in zip(found, limits, strict=True) if not (one.measured or 0.0) >= limit]
    compared: dict[str, Any] = {
        "measured": {symptom.where or f"least p of any {each}": symptom.measured for symptom in found},
        "threshold": {"p_min": rule.p_min, "p_min_each": min(limits), "deviation_floor": DEVIATION_FLOOR},
    }
    if wrong:
        told = "; ".join(f"{one.where or f'any {each}'} (p {one.measured or 0.0:.1e})" for one in wrong)
        yield finding(
            "failed",
            f"the arms are not as large as planned in {told}: units were lost or added there",
            remedy=f"{lost(case, f' {where}')}, mend it, and run the pilot again",
            **compared,
        )
    else:
        yield finding("passed", found[0].reason, **compared)


@check(
    RatioOfGroupsRule,
    reads="units per arm and day of first exposure, days with too few of them taken together",
    blind=True,
)
def sample_ratio_by_day(case: Case, rule: RatioOfGroupsRule) -> Iterator[Finding]:
    """Do the arms have the planned sizes on each day?"""
    yield from groups_as_planned(case, rule, "sample_ratio_by_day", each="day", where="on that day")
