"""Is every day of the week in the data?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.symptoms import symptoms_of
from shared.core.clock import parse_rfc3339
from shared.evidence.health.coverage import ONCE_MAX, ONCE_WITHIN, WEEKDAYS, were_exposed_once
from shared.trust.finding import Finding


class WeekdaysCompleteRule(Rule):
    """Threshold.

    Attributes:
        missing_max: how many days of the week may be without any exposure or outcome, like those on which a shop is
            closed; whole weeks are GrowthBook's suggestion of 7 days at least.
    """

    missing_max: int = Field(default=0, ge=0, le=6)


@check(WeekdaysCompleteRule, reads="days with exposures or outcomes", blind=True)
def weekdays_complete(case: Case, rule: WeekdaysCompleteRule) -> Iterator[Finding]:
    """Is every day of the week in the data?"""
    if case.charter.exposure == "once":
        yield _of_once(case)
        return
    [told] = symptoms_of(case, "weekdays_complete")
    threshold = len(WEEKDAYS) - rule.missing_max
    if told.measured is None and case.crossed_early:
        yield finding("passed", "a boundary was crossed before the time box was over", threshold=threshold)
    elif told.measured is None:
        yield finding("unevaluable", told.reason, threshold=threshold, remedy="wait for its end, analyse and submit")
    elif told.measured >= threshold:
        yield finding("passed", told.reason, measured=int(told.measured), threshold=threshold)
    elif told.measured == 0:
        yield finding("unevaluable", "nothing was recorded", measured=0, threshold=threshold, remedy="record exposures")
    else:
        compared: dict[str, Any] = {"measured": int(told.measured), "threshold": threshold}
        yield finding(
            "failed",
            told.reason,
            remedy="find out why that day is silent; a mail that goes out once says `exposure: once` in its next "
            "charter, and for a shop that is closed then the policy says `missing_max`",
            **compared,
        )


def _of_once(case: Case) -> Finding:
    """A pilot whose units are reached once is held to that, and to no day of the week."""
    units = sum(arm.units for arm in case.evidence.arms)
    if not units:
        return finding("unevaluable", "nobody was exposed", remedy="record exposures")
    told = case.evidence
    often, first, last = told.exposures / units, told.first_exposure, told.last_exposure
    span = (parse_rfc3339(last) - parse_rfc3339(first)) / timedelta(days=1) if first and last else 0.0
    compared: dict[str, Any] = {
        "measured": {"exposures_per_unit": often, "days": span},
        "threshold": {"exposures_per_unit": ONCE_MAX, "days": ONCE_WITHIN / timedelta(days=1)},
    }
    if were_exposed_once(told.exposures, units, first, last):
        reason = "the charter says `exposure: once`, and units were exposed once: no day of the week is asked for"
        return finding("passed", reason, **compared)
    return finding(
        "failed",
        f"the charter says `exposure: once`, and units were exposed {often:.2f} times each, over {span:.1f} days",
        remedy="revise without `exposure: once`, over whole weeks",
        **compared,
    )
