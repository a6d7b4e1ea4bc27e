"""Do the arms have the sizes that the randomisation planned?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.trust.finding import Finding
from shared.ui.phrases import p_value


class SampleRatioRule(Rule):
    """Thresholds.

    Attributes:
        p_min: GrowthBook's, Eppo's and Statsig's default.
        deviation_floor: a smaller deviation of shares is not held against a pilot: Statsig's 0.1 %.
        units_per_arm_min: below it the chi-square says nothing: Eppo's 8.
    """

    p_min: float = Field(default=0.001, gt=0, lt=1)
    deviation_floor: float = Field(default=0.001, ge=0, lt=1)
    units_per_arm_min: int = Field(default=8, ge=1)


def lost(case: Case, where: str = "") -> str:
    """Where to look for units that an arm has too few or too many of; `where` is a day or a segment."""
    if case.charter.assignment == "source":
        return (
            f"find whether the system that draws kept to the charter's weights{where}, and where units got lost there"
        )
    return f"find where units got lost{where} between assignment and record"


@check(SampleRatioRule, reads="units per arm, planned weights", blind=True, on_page=True)
def sample_ratio(case: Case, rule: SampleRatioRule) -> Iterator[Finding]:
    """Do the arms have the sizes that the randomisation planned?"""
    ratio = case.evidence.health.sample_ratio
    # What arms were drawn for is what chance can be asked about.
    units = {arm.arm: arm.units if arm.clusters is None else arm.clusters for arm in case.evidence.arms}
    planned = {arm.arm: arm.planned_frac for arm in case.evidence.arms}
    expected = min(planned.values()) * sum(units.values())
    if ratio.p is None or ratio.deviation is None or expected < rule.units_per_arm_min:
        yield finding(
            "unevaluable",
            "there are too few units to compare the arms' sizes",
            measured=units,
            threshold=rule.units_per_arm_min,
            remedy="record exposures, analyse and submit again",
        )
        return
    total = sum(units.values())
    told = ", ".join(f"{arm} {100 * n / total:.2f} % of {100 * planned[arm]:.2f} %" for arm, n in units.items())
    compared: dict[str, Any] = {
        "measured": {"p": ratio.p, "deviation": ratio.deviation, "units": units},
        "threshold": {"p_min": rule.p_min, "deviation_floor": rule.deviation_floor},
    }
    if ratio.p < rule.p_min and ratio.deviation >= rule.deviation_floor:
        yield finding(
            "failed",
            f"the arms are not as large as planned ({told}; p {ratio.p:.1e}): units were lost or added on the way",
            remedy=f"{lost(case)}, mend it, and run the pilot again",
            **compared,
        )
    else:
        near = f"p {p_value(ratio.p)}, and shares to {100 * ratio.deviation:.2g} %"
        yield finding("passed", f"the arms are as large as planned ({near})", **compared)
