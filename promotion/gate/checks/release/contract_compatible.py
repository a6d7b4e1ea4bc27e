"""Do the contracts that were sealed with the candidate still hold in the Factory?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.preflight import remedy
from shared.trust.finding import Finding
from shared.trust.preflight import Comparison


class ContractRule(Rule):
    """Policy. A breaking change fails always; dbt only warns of one unless a model is versioned.

    Attributes:
        allow_risky: whether a change may pass under which the play runs, and may say what nobody meant.
    """

    allow_risky: bool = True


@check(
    ContractRule,
    reads="the preflight report: sealed contracts against the present ones",
    group="schema quality",
    blind=True,
)
def contract_compatible(case: Case, rule: ContractRule) -> Iterator[Finding]:
    """Do the contracts that were sealed with the candidate still hold in the Factory?"""
    found = case.preflight.report.compatibility
    by_class = {
        severity: [told for each in found for told in _told(each, severity)]
        for severity in ("breaking", "risky", "safe")
    }
    compared: dict[str, Any] = {
        "measured": {**by_class, "contracts": {each.table: [each.sealed, each.present] for each in found}},
        "threshold": {"breaking": [], "risky": "named" if rule.allow_risky else []},
    }
    refused = by_class["breaking"] + ([] if rule.allow_risky else by_class["risky"])
    problems = [f"{each.table}: {each.problem}" for each in found if each.problem]
    problems += [f"{name}: not compared" for name in sorted(_needed(case) - {each.table for each in found})]
    if refused:
        yield finding(
            "failed",
            "the contracts have changed since the pilot was frozen: " + "; ".join(refused),
            remedy="have the Factory's contract put back, or run the pilot again on the contract as it is",
            **compared,
        )
    elif problems:
        yield finding(
            "unevaluable",
            "contracts could not be compared: " + "; ".join(problems),
            remedy=f"mend configs/contracts, then {remedy(case.charter.pilot)}",
            **compared,
        )
    else:
        risky = "; risky: " + "; ".join(by_class["risky"]) if by_class["risky"] else ""
        yield finding("passed", f"nothing that the play reads has broken in {len(found)} contracts{risky}", **compared)


def _needed(case: Case) -> set[str]:
    return {case.charter.population, case.charter.outcomes, *case.charter.sources}


def _told(found: Comparison, severity: str) -> list[str]:
    return [
        f"{found.table}.{change.column}: {change.told}" if change.column else f"{found.table}: {change.told}"
        for change in found.changes
        if change.severity == severity
    ]
