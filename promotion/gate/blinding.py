"""Early results: what a pilot shows before its charter's look, which the gate hides from whoever decides."""

from __future__ import annotations

from promotion.gate.case import Case
from promotion.gate.checks import CHECKS
from promotion.gate.gate import Judgement
from promotion.gate.policy import GateSettings
from shared.core.clock import parse_rfc3339
from shared.core.errors import PilotPlantError
from shared.evidence.looks import look_schedule
from shared.trust.finding import Finding

# A check that does not say that it is blind is hidden.
BLIND = frozenset(check.name for check in CHECKS if check.blind)


def hidden(case: Case, settings: GateSettings) -> str | None:
    """Why the results are not shown now, in words; None where they may be, or there is no charter to have any by."""
    if settings.early_results == "shown":
        return None
    try:
        charter, covered = case.charter, parse_rfc3339(case.candidate.manifest.covers_until)
    except (PilotPlantError, ValueError):
        return None
    ends = charter.time_box.ends
    # Neither the gate's clock nor what the data are said to cover may run ahead of the other.
    due = look_schedule(charter, min(case.now, covered))
    if case.now >= ends or due.standing == "decisive":
        return None
    agreed = "its next agreed look or its end" if charter.sample.looks.method == "group_sequential" else "its end"
    return f"results are hidden until {agreed}, {ends:%Y-%m-%d %H:%M} UTC: who sees them early decides on chance"


def masked(judgement: Judgement, why: str) -> Judgement:
    """The judgement without anything that tells how the arms differ: such findings cannot be evaluated yet."""
    found = tuple(one if one.check in BLIND else _masked(one, why) for one in judgement.findings)
    # Findings of the same check and arm now say the same.
    return Judgement(tuple({(one.check, one.arm, one.reason): one for one in found}.values()), judgement.arms)


def _masked(finding: Finding, why: str) -> Finding:
    return Finding(
        check=finding.check,
        arm=finding.arm,
        level=finding.level,
        outcome="unevaluable",
        reason=why,
        remedy="wait until then; ops may set `early_results: shown` in configs/gate.yaml, and each look is recorded",
    )
