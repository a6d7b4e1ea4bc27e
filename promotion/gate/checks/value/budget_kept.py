"""Did the pilot stay within its budget?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.trust.finding import Finding


@check(reads="sealed spend, charter", group="value and risk", blind=True)
def budget_kept(case: Case, _rule: Rule) -> Iterator[Finding]:
    """Did the pilot stay within its budget?"""
    budget = case.charter.budget.total
    cost = case.spend.total(budget.currency)
    compared: dict[str, Any] = {"measured": cost.as_json(), "threshold": budget.as_json()}
    if cost.amount > budget.amount:
        yield finding(
            "failed",
            f"the pilot cost {cost}, more than its budget of {budget}",
            remedy="stop, or revise with a budget that fits",
            **compared,
        )
    else:
        yield finding("passed", f"the pilot cost {cost} of {budget}", **compared)
