"""Do the arms have the planned sizes in each declared segment?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import check, finding
from promotion.gate.checks.sample.sample_ratio_by_day import RatioOfGroupsRule, groups_as_planned
from promotion.gate.facts.symptoms import NOTHING_DECLARED
from shared.trust.finding import Finding


@check(
    RatioOfGroupsRule,
    reads="units per arm and level of each segment, levels with too few of them taken together",
    blind=True,
)
def sample_ratio_by_segment(case: Case, rule: RatioOfGroupsRule) -> Iterator[Finding]:
    """Do the arms have the planned sizes in each declared segment?"""
    if not case.charter.segments:
        yield finding("passed", NOTHING_DECLARED.format("segments"))
        return
    known = {part.segment for part in case.evidence.segments if part.level is not None and any(part.units)}
    if unknown := [name for name in case.charter.segments if name not in known]:
        yield finding(
            "unevaluable",
            f"{', '.join(unknown)} is not known of any unit, or has too many levels to be a segment",
            remedy="declare segments that the population's table knows, and run the pilot again",
        )
        return
    yield from groups_as_planned(case, rule, "sample_ratio_by_segment", each="segment", where="in that segment")
