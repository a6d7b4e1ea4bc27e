"""Would the play run in the Factory as it stands?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.per_arm import by_arm
from promotion.gate.preflight import remedy
from shared.trust.finding import Finding
from shared.trust.preflight import ShadowRun


class ShadowRule(Rule):
    """Thresholds.

    Attributes:
        messages_min: the fewest messages; a play for nobody brings nothing of what it promised.
        strangers_frac_max: the share of the audience that may be unknown to the population's table; the bound is that
            of multiple exposure, since both are units that are not who they are taken for.
    """

    messages_min: int = Field(default=1, ge=1)
    strangers_frac_max: float = Field(default=0.01, ge=0, lt=1)


@check(
    ShadowRule,
    reads="the preflight report: audience and templates in the box over the Factory's tables, nothing written",
    group="schema quality",
    blind=True,
)
def shadow_run(case: Case, rule: ShadowRule) -> Iterator[Finding]:
    """Would the play run in the Factory as it stands?"""
    yield from by_arm(case, case.preflight.report.shadow_runs, lambda run: _judged(case, rule, run))


def _judged(case: Case, rule: ShadowRule, run: ShadowRun) -> Finding:
    again = remedy(case.charter.pilot)
    compared: dict[str, Any] = {
        "measured": run.model_dump(mode="json", exclude={"arm", "personal", "problem"}),
        "threshold": rule.model_dump(mode="json", exclude={"level"}),
    }
    if run.refusals:
        told = "the Factory would not run it: " + "; ".join(run.refusals)
        return finding("failed", told, remedy="mend the play in a new pilot, or the Factory's settings", **compared)
    if run.problem is not None:
        return finding("unevaluable", f"it could not be tried: {run.problem}", remedy=again, **compared)
    if run.messages < rule.messages_min:
        told = f"it would write {run.messages:,} messages, and at least {rule.messages_min:,} are asked for"
        return finding("failed", told, remedy=f"look at its audience and the tables it reads, then {again}", **compared)
    if run.strangers > rule.strangers_frac_max * run.audience:
        told = f"{run.strangers:,} of {run.audience:,} units are not in table `{case.charter.population}`"
        return finding("failed", told, remedy=f"load the table that knows them, then {again}", **compared)
    told = f"{run.messages:,} messages to {run.audience:,} units, {run.held_out:,} held out; none was written"
    return finding("passed", told, **compared)
