"""Did every arm reach its planned number of units?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.trust.finding import Finding
from shared.ui.console import counted


@check(reads="charter, arms", blind=True)
def sample_planned(case: Case, _rule: Rule) -> Iterator[Finding]:
    """Did every arm reach its planned number of units?"""
    planned = case.charter.sample.units_per_arm
    counts = {arm.arm: arm.units for arm in case.evidence.arms}
    short = {arm: units for arm, units in counts.items() if units < planned}
    if not sum(counts.values()):
        yield finding(
            "unevaluable", "nobody was exposed", measured=counts, threshold=planned, remedy="record exposures"
        )
    elif short and case.crossed_early:
        yield finding(
            "passed", "a boundary was crossed before the planned units were reached", measured=counts, threshold=planned
        )
    elif short:
        told = ", ".join(f"{arm} {units:,}" for arm, units in short.items())
        missing = max(planned - units for units in short.values())
        yield finding(
            "failed",
            f"too few units: {told}; {planned:,} were planned for every arm",
            measured=counts,
            threshold=planned,
            remedy=f"revise with a longer time box, for {counted(missing, 'more unit')} in an arm",
        )
    else:
        yield finding("passed", f"every arm has its {planned:,} planned units", measured=counts, threshold=planned)
