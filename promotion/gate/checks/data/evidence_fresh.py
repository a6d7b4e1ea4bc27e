"""Is the evidence recent enough to speak of the customers of today?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.core.clock import parse_rfc3339, rfc3339
from shared.experiment.bounds import EVIDENCE_DAYS_MAX
from shared.trust.finding import Finding
from shared.ui import phrases

SECONDS_PER_DAY = 86_400


class EvidenceFreshRule(Rule):
    """Threshold.

    Attributes:
        days_max: how long ago the data may end. No gate publishes one (SQLMesh lets environments expire in a week): a
            month, within which prices, season and rival pilots are mostly those of the pilot.
    """

    days_max: float = Field(default=EVIDENCE_DAYS_MAX, gt=0)


@check(EvidenceFreshRule, reads="the last sealed row, manifest, charter, the gate's clock", blind=True)
def evidence_fresh(case: Case, rule: EvidenceFreshRule) -> Iterator[Finding]:
    """Is the evidence recent enough to speak of the customers of today?"""
    last = case.placement.last_event
    if last is None:
        yield finding("unevaluable", "nothing was recorded", threshold=rule.days_max, remedy="record exposures")
        return
    # What ends first: data are no fresher than the last row, whatever the manifest says that they cover.
    ended = min(last, parse_rfc3339(case.candidate.manifest.covers_until), case.charter.time_box.ends)
    days = (case.now - ended).total_seconds() / SECONDS_PER_DAY
    compared: dict[str, Any] = {"measured": {"days": days, "ended": rfc3339(ended)}, "threshold": rule.days_max}
    if days < 0:
        yield finding(
            "unevaluable",
            f"the data end at {ended:%Y-%m-%d %H:%M} UTC, which the gate's clock has not reached",
            remedy="set this machine's clock right, and check again",
            **compared,
        )
    elif days > rule.days_max:
        yield finding(
            "failed",
            f"the data ended {phrases.ago(days)}, and may speak of customers as they no longer are",
            remedy="run the pilot again; decide sooner after its end",
            **compared,
        )
    else:
        yield finding("passed", f"the data ended {phrases.ago(days)}", **compared)
