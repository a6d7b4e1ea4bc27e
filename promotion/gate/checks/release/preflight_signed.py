"""Has the Factory tried this very candidate, not long ago, and signed what it found?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import NeverOff, check, finding
from promotion.gate.preflight import DAYS_MAX, remedy
from shared.trust.finding import Finding
from shared.ui import phrases


class PreflightRule(NeverOff):
    """Threshold.

    Attributes:
        days_max: how old the report may be when it is judged.
    """

    days_max: float = Field(default=DAYS_MAX, gt=0)


@check(PreflightRule, reads="the Factory's preflight report, its enrolled key", group="schema quality", blind=True)
def preflight_signed(case: Case, rule: PreflightRule) -> Iterator[Finding]:
    """Has the Factory tried this very candidate, not long ago, and signed what it found?"""
    found, again = case.preflight, remedy(case.charter.pilot)
    age = found.age_days(case.now)
    compared: dict[str, Any] = {
        "measured": {"report": found.digest, "at": found.report.at, "days": round(age, 3), "key": found.key_id},
        "threshold": {"days_max": rule.days_max},
    }
    if age < 0:
        yield finding("unevaluable", "the preflight report is from the future", remedy=again, **compared)
    elif age > rule.days_max:
        yield finding(
            "failed",
            f"the preflight report is {age:.1f} days old, and {rule.days_max:g} are allowed",
            remedy=again,
            **compared,
        )
    else:
        yield finding("passed", f"the Factory tried this candidate {phrases.ago(age)}, and signed it", **compared)
