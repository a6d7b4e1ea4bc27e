"""Would anybody be written to more often than the Factory's cap allows?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.per_arm import by_arm
from promotion.gate.preflight import remedy
from shared.trust.finding import Finding
from shared.trust.preflight import Contacts


class PressureRule(Rule):
    """Threshold.

    Attributes:
        above_frac_max: the share of the play's units that may be planned for more contacts than the cap allows.
    """

    above_frac_max: float = Field(default=0, ge=0, lt=1)


@check(
    PressureRule,
    reads="the preflight report: planned contacts per unit and week, over all releases",
    group="value and risk",
    blind=True,
)
def contact_pressure(case: Case, rule: PressureRule) -> Iterator[Finding]:
    """Would anybody be written to more often than the Factory's cap allows?"""
    yield from by_arm(case, case.preflight.report.contacts, lambda found: _judged(case, rule, found))


def _judged(case: Case, rule: PressureRule, found: Contacts) -> Finding:
    again, units = remedy(case.charter.pilot), sum(found.units.values())
    compared: dict[str, Any] = {
        "measured": {"most": found.most, "units": units, "above_cap": found.above_cap, "own": found.per_week,
                     "releases": {each.release: each.shared for each in found.neighbours}},
        "threshold": {"cap_per_week": found.cap, "above_frac_max": rule.above_frac_max},
    }  # fmt: skip
    if found.problem is not None or not units:
        told = found.problem or "the play has no audience whose contacts could be counted"
        return finding("unevaluable", told, remedy=f"mend that, then {again}", **compared)
    if found.pressed(rule.above_frac_max):
        others = "".join(f", {each.release} {each.per_week:,}" for each in found.neighbours if each.shared)
        return finding(
            "failed",
            f"{found.above_cap:,} of {units:,} units would get up to {found.most:,} messages a week, "
            f"and {found.cap:,} are allowed (the play {found.per_week:,}{others})",
            remedy="revise with a schedule of fewer messages; or have other releases ended by `revoked` in "
            f"configs/factory.yaml, or contacts_per_week raised there, then {again}",
            **compared,
        )
    return finding(
        "passed", f"at most {found.most:,} messages per unit and week, {found.cap:,} are allowed", **compared
    )
