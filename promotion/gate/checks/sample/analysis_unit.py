"""Is what was analysed no finer than what was drawn?"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.evidence.model import Evidence
from shared.trust.finding import Finding


class AnalysisUnitRule(Rule):
    """Threshold.

    Attributes:
        p_min: a column each of whose values is in one arm alone, as chance has it less often, was drawn by; that of
            the sample ratio. Units analysed that were drawn in groups gave 35 % false positives at 5 %.
    """

    p_min: float = Field(default=0.001, gt=0, lt=1)


@check(AnalysisUnitRule, reads="charter, units or clusters per arm, units per level of each segment", blind=True)
def analysis_unit(case: Case, rule: AnalysisUnitRule) -> Iterator[Finding]:
    """Is what was analysed no finer than what was drawn?"""
    evidence, cluster = case.evidence, case.charter.cluster
    counts = {arm.arm: arm.clusters if cluster else arm.units for arm in evidence.arms}
    chances = {name: _chance(evidence, name) for name in case.charter.segments}
    compared: dict[str, Any] = {
        "measured": {"analysed": counts, "chance": chances},
        "threshold": {"drawn_by": cluster or "unit", "p_min": rule.p_min},
    }
    groups = [name for name, chance in chances.items() if chance < rule.p_min and name != cluster]
    if not all(counts.values()):
        yield finding(
            "unevaluable",
            f"an arm has no {cluster or 'unit'} that could have been analysed",
            remedy="record exposures in every arm",
            **compared,
        )
    elif groups and not cluster:
        yield finding(
            "failed",
            f"every {groups[0]} is in one arm alone: arms were drawn by it, and units were analysed as if each were "
            "drawn by itself",
            remedy=f"run the pilot again with `cluster: {groups[0]}` in its charter",
            **compared,
        )
    else:
        whose = "" if case.charter.assignment == "pilotplant" else ", by the word of the source"
        yield finding("passed", f"each {cluster or 'unit'} was drawn by itself and analysed as one{whose}", **compared)


def _chance(evidence: Evidence, segment: str) -> float:
    """How likely every level would be in one arm alone, were its units drawn one by one; 1 where one is in several."""
    planned = {arm.arm: arm.planned_frac for arm in evidence.arms}
    chance = 1.0
    for units in _levels(evidence, segment).values():
        if len([n for n in units.values() if n]) > 1:
            return 1.0
        chance *= min(1.0, math.fsum(frac ** sum(units.values()) for frac in planned.values()))
    return chance


def _levels(evidence: Evidence, segment: str) -> Mapping[str | None, dict[str, int]]:
    """Units by arm in each level that has any."""
    found: dict[str | None, dict[str, int]] = {}
    for part in evidence.segments:
        if part.segment == segment and any(part.units):
            found.setdefault(part.level, {}).update({part.arm: part.units[0], evidence.control: part.units[1]})
    return found
