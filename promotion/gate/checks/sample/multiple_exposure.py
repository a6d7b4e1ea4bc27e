"""Did (almost) every unit see one arm only?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.trust.finding import Finding

# By who draws the arms, what shows a unit the second one.
REMEDIES = {
    "pilotplant": "have the system that exposes look every arm up in the list of `lab assign`, and run again",
    "source": "find why the system that draws gives one customer two arms (does it draw by visit or by device? were "
    "its shares changed?), and run again",
}


class MultipleExposureRule(Rule):
    """Threshold.

    Attributes:
        frac_max: the share of exposed units seen in two arms; GrowthBook's 1 %.
    """

    frac_max: float = Field(default=0.01, ge=0, lt=1)


@check(MultipleExposureRule, reads="exposures, conflicts", blind=True, on_page=True)
def multiple_exposure(case: Case, rule: MultipleExposureRule) -> Iterator[Finding]:
    """Did every unit see one arm only?"""
    health = case.evidence.health
    if health.multiple_frac is None:
        yield finding("unevaluable", "nobody was exposed", threshold=rule.frac_max, remedy="record exposures")
        return
    told = f"{health.multiple_units:,} units ({100 * health.multiple_frac:.2f} %) were seen in two arms"
    compared: dict[str, Any] = {"measured": health.multiple_frac, "threshold": rule.frac_max}
    if health.multiple_frac > rule.frac_max:
        yield finding("failed", told, remedy=REMEDIES[case.charter.assignment], **compared)
    else:
        yield finding("passed", told, **compared)
