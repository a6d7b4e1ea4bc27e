"""Could the pilot have ruled harm out, for every guardrail, with the power that was planned?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.evidence.model import Effect
from shared.experiment.charter import Guardrail
from shared.stats.detection import Shift, detection_of
from shared.trust.finding import Finding


class GuardrailsPoweredRule(Rule):
    """Policy; the power asked for is the charter's own, by default .8 (Cohen 1988).

    Attributes:
        level: it blocks by default: GrowthBook may recommend to ship an underpowered "do no harm" after its end.
    """


@check(GuardrailsPoweredRule, reads="standard errors of the guardrails, margins, the charter's looks, power and alpha")
def guardrails_powered(case: Case, _rule: GuardrailsPoweredRule) -> Iterator[Finding]:
    """Could the pilot have ruled harm out, for every guardrail, with the power that was planned?"""
    if not case.charter.guardrails:
        yield finding(
            "unevaluable", "the charter has no guardrails, so none has any power",
            remedy="revise with at least one guardrail",
        )  # fmt: skip
    for arm in case.charter.treatments:
        for rail in case.charter.guardrails:
            yield _of_arm(case, arm.name, rail)


def _of_arm(case: Case, arm: str, rail: Guardrail) -> Finding:
    plan, alpha = case.charter.sample, case.charter.guardrail_alpha
    effect = case.evidence.effect(arm, rail.metric)
    shift = _shift(case, effect, rail)
    if effect is None or effect.p_non_inferior is None or shift is None:
        return finding(
            "unevaluable",
            f"nothing tells how much {rail.metric} varies: {(effect.problem if effect else None) or 'no data'}",
            arm=arm,
            threshold={"power": plan.power},
            remedy="record outcomes of this metric in both arms",
        )
    power = detection_of(plan).one_side(shift, alpha)
    # A pass of a test with little power is more often a false one. Asked for less error in the same measure, it is
    # worth as much as was planned (Wacholder et al. 2004, "Assessing the probability that a positive report is false":
    # what counts is alpha over power).
    asked = alpha * min(1.0, power / plan.power)
    compared: dict[str, Any] = {
        "measured": {"power": power, "p_non_inferior": effect.p_non_inferior},
        "threshold": {"power": plan.power, "margin": rail.margin, "p_max": asked},
    }
    told = f"{rail.metric} had a power of {100 * power:.0f} % to rule out harm of {rail.margin:g}"
    if power >= plan.power:
        return finding("passed", told, arm=arm, **compared)
    if effect.p_non_inferior <= asked:
        so = f"{told}, less than {100 * plan.power:.0f} %, but harm is ruled out at {asked:.2g}, which makes up for it"
        return finding("passed", so, arm=arm, **compared)
    needed = _units_needed(case, shift)
    return finding(
        "failed",
        f"{told}, and {100 * plan.power:.0f} % were planned: that no harm shows does not say that there is none",
        arm=arm,
        remedy=f"revise with about {needed:,} units per arm, or with a wider margin" if needed else
        "revise with more units, or with a wider margin",
        **compared,
    )  # fmt: skip


def _shift(case: Case, effect: Effect | None, rail: Guardrail) -> Shift | None:
    """How far the margin is from no harm, in the noise that there really was; at an early look as when all are in."""
    if effect is None or not effect.se or not effect.df or not math.isfinite(effect.se):
        return None
    arms = [case.evidence.arm(name) for name in (effect.arm, case.charter.control.name)]
    units = min(arm.units if arm else 0 for arm in arms)
    planned = case.charter.sample.units_per_arm
    if not units:
        return None
    grown = max(1.0, planned / units) if case.crossed_early else 1.0
    return Shift(abs(rail.margin) / effect.se * math.sqrt(grown), effect.df * grown, round(units * grown))


def _units_needed(case: Case, shift: Shift) -> int | None:
    """Units of the smaller arm that would have had the planned power, the noise being what it was."""
    plan, alpha = case.charter.sample, case.charter.guardrail_alpha
    looks, factor = detection_of(plan), 1.0
    while factor < 1e6:  # noqa: PLR2004 - beyond it nobody has the units
        grown = Shift(shift.size * math.sqrt(factor), shift.df * factor, round(shift.units * factor))
        if looks.one_side(grown, alpha) >= plan.power:
            return round(shift.units * factor)
        factor *= 1.02
    return None
