"""Did outcomes come in without a gap that chance does not explain?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.symptoms import symptoms_of, unasked
from shared.trust.finding import Finding, Level


class RecordingGapsRule(Rule):
    """Threshold.

    Attributes:
        level: it warns by default: after a single mail outcomes die away, and a silence is no fault of the recording.
        p_min: how improbable a silence between outcomes may be if they came evenly; that of the sample ratio.
    """

    level: Level = "warn"
    p_min: float = Field(default=0.001, gt=0, lt=1)


@check(
    RecordingGapsRule,
    reads="outcomes per day: the longest run of days without any, against a steady stream of them",
    blind=True,
)
def recording_gaps(case: Case, rule: RecordingGapsRule) -> Iterator[Finding]:
    """Did outcomes come in without a gap that chance does not explain?"""
    found = symptoms_of(case, "recording_gaps")
    if gaps := unasked(found):
        yield finding("unevaluable", gaps, remedy="record outcomes of the whole time box")
        return
    [told] = found
    compared: dict[str, Any] = {"measured": told.measured, "threshold": rule.p_min}
    if (told.measured or 0.0) >= rule.p_min:
        yield finding("passed", "outcomes came in without a gap that chance does not explain", **compared)
    else:
        yield finding(
            "failed", told.reason, remedy="record what is missing, analyse and submit again; else run again", **compared
        )
