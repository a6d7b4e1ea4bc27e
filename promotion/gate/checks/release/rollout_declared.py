"""Is it said how the release grows, how it is watched, and when it is taken back?"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.symptoms import NOTHING_DECLARED
from shared.experiment.charter import Charter
from shared.experiment.precautions import Rollout
from shared.trust.finding import Finding

DECLARE = "revise, and say in the play: `rollout: {steps: [0.05, 0.25, 1], watched: […], rollback: […]}`"


class RolloutDeclaredRule(Rule):
    """Policy.

    Attributes:
        required: whether a play has to say it; what may cost much has to.
        first_max: the largest share of the audience that the first step may reach; GrowthBook's ramp begins with 1, 5
            and 10 %.
    """

    required: bool = False
    first_max: Decimal = Field(default=Decimal("0.10"), gt=0, le=1)


@check(
    RolloutDeclaredRule,
    reads="the play's `rollout`. What is declared: the Factory does not act on it by itself yet",
    group="value and risk",
    blind=True,
)
def rollout_declared(case: Case, rule: RolloutDeclaredRule) -> Iterator[Finding]:
    """Is it said how the release grows, how it is watched, and when it is taken back?"""
    for arm in case.charter.treatments:
        yield _of_arm(case.charter, rule, arm.name)


def _of_arm(charter: Charter, rule: RolloutDeclaredRule, arm: str) -> Finding:
    rollout = charter.play(arm).rollout
    if rollout is None:
        reason = NOTHING_DECLARED.format("rollout, so the release reaches its whole audience at once")
        return finding("unevaluable" if rule.required else "passed", reason, arm=arm, remedy=DECLARE)
    compared: dict[str, Any] = {
        "arm": arm,
        "measured": rollout.model_dump(mode="json"),
        "threshold": {"first_max": str(rule.first_max)},
    }
    if objections := list(_against(charter, rollout, rule)):
        return finding("failed", "; ".join(objections), remedy=DECLARE, **compared)
    steps = " -> ".join(f"{100 * float(step):.4g} %" for step in rollout.steps)
    back = ", ".join(f"{each.metric} is worse than {each.worse_than:g}" for each in rollout.rollback)
    return finding("passed", f"declared: {steps}, taken back where {back}", **compared)


def _against(charter: Charter, rollout: Rollout, rule: RolloutDeclaredRule) -> Iterator[str]:
    if rollout.steps[0] > rule.first_max:
        yield f"its first step reaches {100 * float(rollout.steps[0]):.4g} % of the audience at once"
    for rail in charter.guardrails:
        if rail.metric not in rollout.watched:
            yield f"guardrail {rail.metric} is not watched"
    for each in rollout.rollback:
        if each.metric not in charter.measured:
            yield f"it is taken back by {each.metric}, which the pilot did not measure"
