"""Is the time box complete, and all of it in the data?"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.core.clock import parse_rfc3339, rfc3339
from shared.trust.finding import Finding


class TimeBoxRule(Rule):
    """Threshold.

    Attributes:
        quiet_days_max: how many days at the end may be without any exposure or outcome: a week, so that a pilot
            whose recording stopped when it looked good is not taken for a complete one.
    """

    quiet_days_max: int = Field(default=7, ge=1)


@check(TimeBoxRule, reads="charter, manifest, the last sealed row, the gate's clock", blind=True)
def time_box(case: Case, rule: TimeBoxRule) -> Iterator[Finding]:
    """Is the time box complete, and all of it in the data?"""
    ends = case.charter.time_box.ends
    last = case.placement.last_event
    covered = parse_rfc3339(case.candidate.manifest.covers_until)
    compared: dict[str, Any] = {"measured": rfc3339(covered), "threshold": rfc3339(ends)}
    if min(case.now, covered) < ends and case.crossed_early:
        yield from _at_a_look(case, rule)
    elif case.now < ends:
        yield finding(
            "failed",
            f"the time box is open until {ends:%Y-%m-%d %H:%M} UTC",
            measured=rfc3339(case.now),
            threshold=rfc3339(ends),
            remedy="wait until then, analyse and submit again; a pilot closed early can only be revised or stopped",
        )
    elif covered < ends:
        yield finding(
            "failed",
            f"the data end at {covered:%Y-%m-%d %H:%M} UTC, before the time box does, and no boundary was crossed",
            remedy="analyse and submit what came in since; a pilot closed early can only be revised or stopped",
            **compared,
        )
    elif last is None:
        yield finding("unevaluable", "nothing was recorded", remedy="record exposures, analyse, submit", **compared)
    elif ends - last > timedelta(days=rule.quiet_days_max):
        yield finding(
            "failed",
            f"nothing was recorded of the last {rule.quiet_days_max} days of the time box",
            measured=rfc3339(last),
            threshold=rfc3339(ends - timedelta(days=rule.quiet_days_max)),
            remedy="nothing mends this candidate: record to the end of the time box, then look",
        )
    else:
        yield finding("passed", "the time box is complete, in whole weeks", **compared)


def _at_a_look(case: Case, rule: TimeBoxRule) -> Iterator[Finding]:
    """A pilot may end before its time where the charter agreed on looks, and one of them shows an effect."""
    covered, last = parse_rfc3339(case.candidate.manifest.covers_until), case.placement.last_event
    compared: dict[str, Any] = {"measured": rfc3339(covered), "threshold": case.evidence.until}
    if covered > case.now:
        yield finding("failed", "the data claim to reach beyond today", remedy="analyse and submit again", **compared)
    elif last is not None and last >= covered:
        yield finding(
            "failed",
            f"the data reach to {last:%Y-%m-%d %H:%M} UTC, beyond what they are said to cover: that look is past",
            remedy="analyse and submit again, with all that came in",
            **compared,
        )
    elif last is None or covered - last > timedelta(days=rule.quiet_days_max):
        yield finding(
            "failed",
            f"nothing was recorded of the last {rule.quiet_days_max} days before the look",
            remedy="record what is missing, analyse and submit again",
            **compared,
        )
    else:
        yield finding(
            "passed", "the time box is open, and the boundary of a look that was agreed on is crossed", **compared
        )
