"""Do the pilot's outcomes keep their contract?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import AliasChoices, Field

from promotion.gate.case import Case
from promotion.gate.check import NeverOff, check, finding
from shared.engines.protocol import EARLY, IN_TWO_ARMS, NOT_ASSIGNED
from shared.experiment.draw import AFTER_ENROLMENT, AFTER_THE_END
from shared.trust.finding import Finding
from shared.ui.console import counted

# The rules from which on units count, and not rows.
UNITS_SINCE = 3


class DataQualityRule(NeverOff):
    """Threshold.

    Attributes:
        units_min: the least exposed units whose outcomes say anything about the data's quality; GrowthBook's minimum
            metric sample. Units count, not rows: who leaves out the rows that say "nothing came of it" tells as much.
        held_back_frac_max: the share of recorded rows that intake may have held back. What intake held back is
            missing from the effects, and need not be missing at random; the bound is that of multiple exposure.
    """

    # Policies of before called it `rows_min`.
    units_min: int = Field(default=150, ge=1, validation_alias=AliasChoices("units_min", "rows_min"))
    held_back_frac_max: float = Field(default=0.01, ge=0, lt=1)


@check(
    DataQualityRule,
    reads="sealed outcomes, the contract's Great Expectations suite",
    group="schema quality",
    blind=True,
    on_page=True,
)
def data_quality(case: Case, rule: DataQualityRule) -> Iterator[Finding]:
    """Do the pilot's outcomes keep their contract?"""
    yield from _of_rows(case, rule)
    yield from _of_intake(case, rule)


def _of_intake(case: Case, rule: DataQualityRule) -> Iterator[Finding]:
    """Rows held back, but for those in two arms or the wrong one, which multiple_exposure counts.

    Outcomes before the exposure are no loss either: no arm has caused them, so no estimate would count them. Nor is
    whoever came after the enrolment had ended, or whatever happened after the time box: they take no part.
    """
    evidence = case.evidence
    apart = {IN_TWO_ARMS, NOT_ASSIGNED, EARLY}
    if case.charter.time_box.enrol_until is not None:
        apart.add(AFTER_ENROLMENT)
    if case.charter.time_box.record_until is not None:
        apart.add(AFTER_THE_END)
    held = {r: n for r, n in evidence.health.conflicts.items() if r not in apart}
    total = sum(held.values()) + evidence.exposures + evidence.outcomes
    if not total:
        return
    share = sum(held.values()) / total
    told = "; ".join(f"{reason} ({rows:,})" for reason, rows in held.items())
    if share > rule.held_back_frac_max:
        yield finding(
            "failed",
            f"{100 * share:.1f} % of the recorded rows were held back, and are missing from the effects: {told}",
            measured=share,
            threshold=rule.held_back_frac_max,
            remedy="mend the source of these rows and run the pilot again",
        )


def _of_rows(case: Case, rule: DataQualityRule) -> Iterator[Finding]:
    report = case.quality
    units, units_min, rows_min = (
        sum(arm.units for arm in case.evidence.arms),
        rule.units_min,
        max(1, report.minimum_rows),
    )
    if case.promise.rules < UNITS_SINCE:
        units_min, rows_min = 0, max(rows_min, rule.units_min)
    compared: dict[str, Any] = {
        "measured": {
            "units": units, "rows": report.rows, "evaluated": report.evaluated, "breaches": len(report.breaches)
        },
        "threshold": {"units_min": units_min, "rows_min": rows_min, "evaluated": report.expected, "breaches": 0},
    }  # fmt: skip
    told = (
        f"{report.evaluated} of {report.expected} rules of the contract on {counted(report.rows, 'outcome')} "
        f"of {counted(units, 'unit')}"
    )
    if report.outcome == "failed":
        broken = "; ".join(f"{breach.rule} ({counted(breach.rows, 'row')})" for breach in report.breaches)
        yield finding(
            "failed", f"the outcomes break their contract: {broken}", remedy="mend the source and run again", **compared
        )
    elif (
        report.outcome == "unevaluable"
        or units < units_min
        or report.rows < rows_min
        or report.evaluated != report.expected
        or not report.expected
    ):
        yield finding(
            "unevaluable",
            f"only {told} could be evaluated" + "".join(f"; {problem}" for problem in report.problems),
            remedy=f"record at least {counted(rows_min, 'outcome')}"
            + (f" of {counted(units_min, 'unit')}" if units_min else "")
            + ", and check the contract",
            **compared,
        )
    else:
        yield finding("passed", f"{told} hold", **compared)
