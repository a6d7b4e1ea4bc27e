"""Do the Factory's tables that the play will read keep their contracts, as they are and as they were sealed?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.preflight import remedy
from shared.trust.finding import Finding
from shared.trust.preflight import TableQuality

# Both contracts of a table are tried: the present one on all of it, the sealed one on what the play will see.
CONTRACTS = ("present", "sealed")


class TableRule(Rule):
    """Threshold.

    Attributes:
        rows_min: the fewest rows of a table; its contract may ask for more.
    """

    rows_min: int = Field(default=1, ge=1)


@check(
    TableRule,
    reads="the preflight report: the contracts' Great Expectations suites on the Factory's tables",
    group="schema quality",
    blind=True,
)
def factory_table(case: Case, rule: TableRule) -> Iterator[Finding]:
    """Do the Factory's tables that the play will read keep their contracts?"""
    found, again = case.preflight.report.quality, remedy(case.charter.pilot)
    compared: dict[str, Any] = {
        "measured": {f"{each.table} ({each.contract})": _measured(each) for each in found},
        "threshold": {"breaches": 0, "rows_min": rule.rows_min, "evaluated": "all"},
    }
    broken = [f"{each.table}: {breach.rule} ({breach.rows:,} rows)" for each in found if each.report
              for breach in each.report.breaches]  # fmt: skip
    gaps = [*_missing(case, found), *(gap for each in found if (gap := _gap(each, rule)))]
    if broken:
        yield finding(
            "failed",
            "the Factory's tables break a contract: " + "; ".join(broken),
            remedy=f"mend the source and load the table again, then {again}",
            **compared,
        )
    elif gaps:
        told = "the Factory's tables could not be judged: " + "; ".join(gaps)
        yield finding("unevaluable", told, remedy=f"load the tables, then {again}", **compared)
    else:
        reports = [each.report for each in found if each.report]
        rules, rows = sum(report.evaluated for report in reports), max(report.rows for report in reports)
        yield finding("passed", f"{rules} rules of {len(found)} contracts hold on up to {rows:,} rows", **compared)


def _measured(found: TableQuality) -> dict[str, int] | None:
    report = found.report
    if report is None:
        return None
    return {"rows": report.rows, "evaluated": report.evaluated, "expected": report.expected,
            "breaches": len(report.breaches)}  # fmt: skip


def _missing(case: Case, found: tuple[TableQuality, ...]) -> list[str]:
    tried = {(each.table, each.contract) for each in found}
    wanted = [(table, each) for table in (case.charter.population, *case.charter.sources) for each in CONTRACTS]
    return [
        f"{table}: its {contract} contract was not tried"
        for table, contract in wanted
        if (table, contract) not in tried
    ]


def _gap(found: TableQuality, rule: TableRule) -> str | None:
    report = found.report
    if report is None:
        return f"{found.table}: {found.problem}"
    if report.outcome != "unevaluable" and report.rows >= rule.rows_min:
        return None
    told = f"{report.evaluated} of {report.expected} rules on {report.rows:,} rows"
    return f"{found.table}: {told}" + "".join(f"; {problem}" for problem in report.problems)
