"""Is the arm better where it promised to be, beyond chance and by enough?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from promotion.case import Case
from promotion.check import Check, Rule, finding
from shared import wording
from shared.charter import Primary
from shared.evidence.model import Effect
from shared.evidence.rule import Shortfall, Worthwhile, shortfall
from shared.finding import Finding


def _run(case: Case, _rule: Rule) -> Iterator[Finding]:
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
    told = f"{primary.metric} {wording.effect(metric, effect)}, adjusted p {wording.p_value(effect.p_adjusted)}"
    measured = {"estimate": effect.estimate, "low": effect.low, "high": effect.high, "p_adjusted": effect.p_adjusted}
    against = _against(effect, metric.sign, alpha, primary.minimum_effect, primary.worthwhile)
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
        Shortfall.LOWER_BOUND_TOO_LOW: (
            f"its lower bound is below the {minimum:g} worth scaling",
            "revise with more units, or stop",
        ),
        Shortfall.TOO_SMALL: (
            f"it is below the {minimum:g} worth scaling",
            "stop, or revise with a stronger treatment",
        ),
    }[Shortfall(int(found))]


CHECK = Check(
    "primary_effect",
    "Is the arm better where it promised to be, beyond chance and by enough?",
    "the recomputed effects, adjusted over primary metrics and arms (Holm)",
    Rule,
    _run,
)
