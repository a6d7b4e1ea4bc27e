"""Were every arm's outcomes recorded on every day, and up to the end?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.completeness import completeness_of
from shared.evidence.health import outages
from shared.evidence.health.missing_data import behind_words, outage_words
from shared.evidence.model import Completeness
from shared.trust.finding import Finding

RECORD = "record what is missing, analyse and submit again; else run the pilot again"


class OutagesByArmRule(Rule):
    """Thresholds.

    Attributes:
        p_min: how improbable so few outcomes may be, over all days, arms and metrics; that of the sample ratio.
        hours_min: an arm whose data end by less before the others' loses 1 % of a week at most.
    """

    p_min: float = Field(default=outages.P_MIN, gt=0, lt=1)
    hours_min: float = Field(default=outages.HOURS_MIN, ge=0)


@check(
    OutagesByArmRule,
    reads="units with an outcome by arm and day, against the other arms' and its own other days; each arm's last "
    "outcome",
    since=2,
)
def outages_by_arm(case: Case, rule: OutagesByArmRule) -> Iterator[Finding]:
    """Were every arm's outcomes recorded on every day, and up to the end?"""
    told = completeness_of(case)
    arms = [case.charter.control.name, *(arm.name for arm in case.charter.treatments)]
    for arm in arms:
        # What is missing of the control is missing from every comparison.
        yield _of_arm(told, arm, rule).model_copy(update={"arm": None if arm == arms[0] else arm})


def _of_arm(told: Completeness, arm: str, rule: OutagesByArmRule) -> Finding:
    worst = next((one for one in told.outages if one.arm == arm), None)
    latest = next((one for one in told.latest if one.arm == arm), None)
    if worst is None or latest is None:
        reason = f"{arm}, or the other arms, have outcomes on too few days to compare them"
        return finding("unevaluable", reason, remedy="record outcomes of the whole time box in every arm")
    compared: dict[str, Any] = {
        "measured": {**worst.model_dump(exclude={"arm"}), "behind": {"hours": latest.hours, "p": latest.p}},
        "threshold": {
            "p_min": rule.p_min,
            "missing_frac_min": outages.MISSING_FRAC_MIN,
            "hours_min": rule.hours_min,
        },
    }
    if outages.down([worst], rule.p_min):
        return finding("failed", f"{outage_words(worst)}: was its recording down?", remedy=RECORD, **compared)
    if outages.behind([latest], rule.p_min, rule.hours_min):
        return finding("failed", f"{behind_words(latest)}: did its recording stop?", remedy=RECORD, **compared)
    return finding("passed", f"the outcomes of {arm} came in like the others' on every day, to the end", **compared)
