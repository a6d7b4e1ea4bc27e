"""Does the population know the units that were exposed?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.symptoms import NOTHING_DECLARED, symptoms_of, unasked
from shared.trust.finding import Finding


class TraitsKnownRule(Rule):
    """Threshold.

    Attributes:
        unknown_frac_max: the share of units without a column that the charter names. No gate publishes one: a
            twentieth, the error rate at which everything else here is told.
    """

    unknown_frac_max: float = Field(default=0.05, ge=0, lt=1)


@check(
    TraitsKnownRule, reads="sealed traits: the share of units without each column that the charter names", blind=True
)
def traits_known(case: Case, rule: TraitsKnownRule) -> Iterator[Finding]:
    """Does the population know the units that were exposed?"""
    if not case.charter.traits:
        yield finding("passed", NOTHING_DECLARED.format("column of the population"))
        return
    found = symptoms_of(case, "traits_known")
    if gaps := unasked(found):
        yield finding("unevaluable", gaps, remedy="record exposures, analyse and submit again")
        return
    compared: dict[str, Any] = {
        "measured": {one.where or "the most of any column": one.measured for one in found},
        "threshold": rule.unknown_frac_max,
    }
    wrong = [one for one in found if not (one.measured or 0.0) <= rule.unknown_frac_max]
    if wrong:
        told = ", ".join(f"{100 * (one.measured or 0.0):.1f} % of any {one.where or 'column'}" for one in wrong)
        yield finding(
            "failed",
            f"the population's table does not know units that were exposed: {told}",
            remedy="load and publish the customers that are missing, and run the pilot on a snapshot that has them",
            **compared,
        )
    else:
        yield finding("passed", "the population's table knows the units that were exposed", **compared)
