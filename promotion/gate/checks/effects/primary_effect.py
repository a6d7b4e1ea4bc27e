"""Is the arm better where it promised to be, beyond chance and by enough?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import NeverWaived, check, finding
from shared.evidence.conclusions import still_worthwhile
from shared.evidence.model import Effect
from shared.experiment.charter import Primary
from shared.stats.decision_rule import Shortfall, Worthwhile, shortfall
from shared.trust.finding import Finding
from shared.ui import phrases

OTHERS_LEFT = (
    "{} leaves out units without an outcome, and in this arm these are more or fewer than in the control: who is left "
    "may be others, not changed ones"
)
DESCRIPTIVE = "the charter agreed on no look at this moment, so these numbers only describe"
NEXT_LOOK = "analyse and submit at a look that the charter agreed on"
COUNT_ALL = "choose a metric that counts every unit that was exposed"


@check(NeverWaived, reads="the recomputed effects, adjusted over primary metrics and arms (Holm)")
def primary_effect(case: Case, _rule: NeverWaived) -> Iterator[Finding]:
    """Is the arm better where it promised to be, beyond chance and by enough?"""
    for arm in case.charter.treatments:
        for primary in case.charter.primaries:
            yield _of_arm(case, arm.name, primary)


def _of_arm(case: Case, arm: str, primary: Primary) -> Finding:
    alpha = case.charter.alpha
    metric, effect = case.promise.metrics[primary.metric], case.evidence.effect(arm, primary.metric)
    threshold = {"alpha": alpha, "minimum_effect": primary.minimum_effect, "worthwhile": primary.worthwhile}
    if effect is None or not _computed(effect):
        problem = (effect.problem or "it is not a number") if effect else "no data"
        return finding(
            "unevaluable",
            f"the effect on {primary.metric} cannot be computed: {problem}",
            arm=arm,
            threshold=threshold,
            remedy="record more data in this arm and the control, or choose a metric that varies",
        )
    if case.evidence.standing != "decisive":
        return finding("unevaluable", DESCRIPTIVE, arm=arm, threshold=threshold, remedy=NEXT_LOOK)
    if case.evidence.others_left(arm, primary.metric):
        return finding(
            "unevaluable", OTHERS_LEFT.format(primary.metric), arm=arm, threshold=threshold, remedy=COUNT_ALL
        )
    told = f"{primary.metric} {phrases.effect(metric, effect)}, adjusted p {phrases.p_value(effect.p_adjusted)}"
    measured = {"estimate": effect.estimate, "low": effect.low, "high": effect.high, "p_adjusted": effect.p_adjusted}
    against = _against(effect, metric.sign, alpha, primary.minimum_effect, primary.worthwhile)
    if against is None and case.evidence.method == "group_sequential" and not still_worthwhile(effect, metric, primary):
        against = _bound_too_low(primary.minimum_effect)
    if against is None:
        return finding("passed", told, arm=arm, measured=measured, threshold=threshold)
    reason, remedy = against
    return finding("failed", f"{told}: {reason}", arm=arm, measured=measured, threshold=threshold, remedy=remedy)


def _computed(effect: Effect) -> bool:
    """Whether every number that is compared below is one: a comparison with NaN is never true, so it would pass."""
    numbers = (effect.estimate, effect.low, effect.high, effect.p_adjusted)
    return all(number is not None and math.isfinite(number) for number in numbers)


def _against(effect: Effect, sign: int, alpha: float, minimum: float, worthwhile: Worthwhile) -> tuple[str, str] | None:
    """Why the effect is not enough, with what would be; None where it is."""
    found = shortfall(
        effect.estimate,
        (effect.low, effect.high),
        effect.p_adjusted,
        math.nan if effect.p_worthwhile is None else effect.p_worthwhile,
        sign=sign,
        alpha=alpha,
        minimum=minimum,
        worthwhile=worthwhile,
    )
    return {
        Shortfall.NONE: None,
        Shortfall.WRONG_WAY: ("it went the wrong way", "nothing: stop, and keep the insight"),
        Shortfall.CHANCE: ("it could be chance", "revise with more units, or stop and keep the insight"),
        Shortfall.LOWER_BOUND_TOO_LOW: _bound_too_low(minimum),
        Shortfall.TOO_SMALL: (
            f"it is below the {minimum:g} worth scaling",
            "stop, or revise with a stronger treatment",
        ),
    }[Shortfall(int(found))]


def _bound_too_low(minimum: float) -> tuple[str, str]:
    return f"its lower bound is below the {minimum:g} worth scaling", "revise with more units, or stop"
