"""Do the pilot's outcomes keep their contract?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.case import Case
from promotion.check import Check, Rule, finding
from shared.finding import Finding


class DataQualityRule(Rule):
    """Threshold.

    Attributes:
        rows_min: the least outcomes that say anything about the data's quality; GrowthBook's minimum metric sample.
    """

    rows_min: int = Field(default=150, ge=1)


def _run(case: Case, rule: DataQualityRule) -> Iterator[Finding]:
    report = case.quality
    needed = max(rule.rows_min, report.minimum_rows)
    compared: dict[str, Any] = {
        "measured": {"rows": report.rows, "evaluated": report.evaluated, "breaches": len(report.breaches)},
        "threshold": {"rows_min": needed, "evaluated": report.expected, "breaches": 0},
    }
    told = f"{report.evaluated} of {report.expected} rules of the contract on {report.rows:,} outcomes"
    if report.outcome == "failed":
        broken = "; ".join(f"{breach.rule} ({breach.rows:,} rows)" for breach in report.breaches)
        yield finding(
            "failed", f"the outcomes break their contract: {broken}", remedy="mend the source and run again", **compared
        )
    elif (
        report.outcome == "unevaluable"
        or report.rows < needed
        or report.evaluated != report.expected
        or not report.expected
    ):
        yield finding(
            "unevaluable",
            f"only {told} could be evaluated" + "".join(f"; {problem}" for problem in report.problems),
            remedy=f"record at least {needed:,} outcomes, and check the contract",
            **compared,
        )
    else:
        yield finding("passed", f"{told} hold", **compared)


CHECK = Check(
    "data_quality",
    "Do the pilot's outcomes keep their contract?",
    "sealed outcomes, the contract's Great Expectations suite",
    DataQualityRule,
    _run,
)
