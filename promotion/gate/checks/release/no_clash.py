"""Does the play keep out of the way of the releases that are there?"""

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
from shared.ui.console import counted


class ClashRule(Rule):
    """Threshold.

    Attributes:
        simultaneous_frac_max: the share of the play's units that may get another release's message at the very same
            moment; above a half, most people would get two at once.
    """

    simultaneous_frac_max: float = Field(default=0.5, ge=0, lt=1)


@check(
    ClashRule,
    reads="the preflight report: names and schedules of all releases, the units they share",
    group="value and risk",
    blind=True,
)
def no_clash(case: Case, rule: ClashRule) -> Iterator[Finding]:
    """Does the play keep out of the way of the releases that are there?"""
    yield from by_arm(case, case.preflight.report.contacts, lambda found: _judged(case, rule, found))


def _judged(case: Case, rule: ClashRule, found: Contacts) -> Finding:
    again, units = remedy(case.charter.pilot), sum(found.units.values())
    at_once = {each.release: each.simultaneous for each in found.neighbours if each.simultaneous}
    compared: dict[str, Any] = {
        "measured": {"taken_by": found.taken_by, "simultaneous": at_once, "units": units},
        "threshold": {"taken_by": None, "simultaneous_frac_max": rule.simultaneous_frac_max},
    }
    if found.taken_by is not None:
        told = f"a release `{case.charter.release(found.arm)}` is there already, of package {found.taken_by[:19]}…"
        return finding("failed", told, remedy="start a pilot under another name", **compared)
    if found.problem is not None or not units:
        told = found.problem or "the play has no audience that could clash"
        return finding("unevaluable", told, remedy=f"mend that, then {again}", **compared)
    clashing = found.clashing(rule.simultaneous_frac_max)
    if clashing:
        told = "; ".join(f"{shared:,} of {units:,} units would get {name} at the same moment"
                         for name, shared in clashing.items())  # fmt: skip
        ended = f"have {', '.join(clashing)} ended by `revoked` in configs/factory.yaml"
        remedy_ = f"{ended}, then {again}; or revise with another schedule"
        return finding("failed", told, remedy=remedy_, **compared)
    told = f"its name is free, and of {counted(len(found.neighbours), 'other release')} none clashes with it"
    return finding("passed", told, **compared)
