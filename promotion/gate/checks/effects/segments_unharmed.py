"""Is no declared segment significantly harmed?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.symptoms import NOTHING_DECLARED
from shared.evidence.model import SegmentEffect
from shared.trust.finding import Finding
from shared.ui import phrases


class SegmentsUnharmedRule(Rule):
    """Thresholds.

    Attributes:
        fdr_max: of the segments called harmed or helped, the share that may be so by chance (Benjamini and Hochberg
            1995), over all levels, arms and primary metrics; the error rate at which GrowthBook lets goals lose.
        unknown_frac_max: the share of units that may be in levels of which nothing can be said, like one with a single
            unit: a twentieth, as of units that the population does not know.
    """

    fdr_max: float = Field(default=0.05, gt=0, lt=1)
    unknown_frac_max: float = Field(default=0.05, ge=0, lt=1)


@check(
    SegmentsUnharmedRule,
    reads="recomputed primary effects in every level of the charter's segments, adjusted by Benjamini and Hochberg",
)
def segments_unharmed(case: Case, rule: SegmentsUnharmedRule) -> Iterator[Finding]:
    """Is no declared segment significantly harmed?"""
    if not case.charter.segments:
        yield finding("passed", NOTHING_DECLARED.format("segments"))
        return
    for arm in case.charter.treatments:
        yield _of_arm(case, rule, arm.name)


def _of_arm(case: Case, rule: SegmentsUnharmedRule, arm: str) -> Finding:
    parts = [part for part in case.evidence.segments if part.arm == arm]
    known = [part for part in parts if part.p_adjusted is not None and part.estimate is not None]
    harmed = [part for part in known if (part.p_adjusted or 0.0) <= rule.fdr_max and _against(case, part)]
    unknown = max((_unknown_frac(parts, name) for name in case.charter.segments), default=1.0)
    compared: dict[str, Any] = {
        "measured": {
            "least p_adjusted": {_named(part): part.p_adjusted for part in known if _against(case, part)},
            "unknown_frac": unknown,
        },
        "threshold": {"fdr_max": rule.fdr_max, "unknown_frac_max": rule.unknown_frac_max},
    }
    if harmed:
        told = "; ".join(_told(case, part) for part in harmed)
        return finding(
            "failed",
            f"significantly worse where {told}",
            arm=arm,
            remedy="revise with an audience that leaves these customers out, or stop",
            **compared,
        )
    if not unknown <= rule.unknown_frac_max:
        lacking = (part for part in parts if part not in known or part.level is None)
        silent = dict.fromkeys(f"{_named(part)} ({part.problem or 'no level'})" for part in lacking)
        told = "; ".join(list(silent)[:5]) or "no level of a segment"
        return finding(
            "unevaluable",
            f"{100 * unknown:.0f} % of the units are in segments of which nothing can be said: {told}",
            arm=arm,
            remedy="revise with more units, or declare segments with fewer and larger levels",
            **compared,
        )
    return finding("passed", f"none of {len(known)} effects in segments is significantly harmful", arm=arm, **compared)


def _against(case: Case, part: SegmentEffect) -> bool:
    return (part.estimate or 0.0) * case.promise.metrics[part.metric].sign < 0


def _unknown_frac(parts: Sequence[SegmentEffect], segment: str) -> float:
    """The share of the segment's units without a known level, or without an effect there on each primary metric.

    1 without any unit.
    """
    levels: dict[str | None, tuple[int, bool]] = {}
    for part in parts:
        if part.segment == segment:
            told = part.estimate is not None and part.level is not None and levels.get(part.level, (0, True))[1]
            levels[part.level] = sum(part.units), told
    whole = sum(units for units, _ in levels.values())
    return sum(units for units, told in levels.values() if not told) / whole if whole else 1.0


def _named(part: SegmentEffect) -> str:
    return f"{part.segment} is {'not known' if part.level is None else part.level}"


def _told(case: Case, part: SegmentEffect) -> str:
    number = phrases.number(case.promise.metrics[part.metric], part.estimate or 0.0)
    return f"{_named(part)} ({part.metric} {number}, adjusted p {phrases.p_value(part.p_adjusted)})"
