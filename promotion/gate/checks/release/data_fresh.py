"""Are the Factory's tables that the play will read up to date?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.preflight import SECONDS_PER_DAY, remedy
from shared.core.clock import parse_rfc3339
from shared.trust.finding import Finding
from shared.trust.preflight import TableState


class FreshRule(Rule):
    """Threshold.

    Attributes:
        days_max: how old a table may be whose contract does not say how often it is renewed; a month, in which the
            longest time boxes of most pilots lie as well.
    """

    days_max: float = Field(default=31, gt=0)


@check(
    FreshRule,
    reads="the preflight report: when each table was loaded, and how often its contract renews it",
    group="schema quality",
    blind=True,
)
def data_fresh(case: Case, rule: FreshRule) -> Iterator[Finding]:
    """Are the Factory's tables that the play will read up to date?"""
    found, again = case.preflight.report.tables, remedy(case.charter.pilot)
    ages = {table.name: _age_days(table, case) for table in found}
    limits = {table.name: table.max_age_days or rule.days_max for table in found}
    compared: dict[str, Any] = {
        "measured": {name: None if age is None else round(age, 3) for name, age in ages.items()},
        "threshold": limits,
    }
    gaps = [f"{name} was never loaded" for name, age in ages.items() if age is None]
    gaps += [f"{name} was loaded in the future" for name, age in ages.items() if age is not None and age < 0]
    gaps += [f"the report does not name {name}" for name in (case.charter.population, *case.charter.sources)
             if name not in ages]  # fmt: skip
    old = [
        f"{name} is {age:.1f} days old, and {limits[name]:g} are allowed"
        for name, age in ages.items()
        if age is not None and age > limits[name]
    ]
    if old:
        told = "out of date: " + "; ".join(old)
        yield finding("failed", told, remedy=f"load the tables again, then {again}", **compared)
    elif gaps:
        yield finding("unevaluable", "; ".join(gaps), remedy=f"load the tables, then {again}", **compared)
    else:
        told = ", ".join(f"{name} {age:.1f} days" for name, age in ages.items() if age is not None)
        yield finding("passed", f"up to date: {told} old", **compared)


def _age_days(table: TableState, case: Case) -> float | None:
    if table.loaded_at is None:
        return None
    return (case.now - parse_rfc3339(table.loaded_at)).total_seconds() / SECONDS_PER_DAY
