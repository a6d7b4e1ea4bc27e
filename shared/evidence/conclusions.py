"""Conclusions: whether an effect wins as a primary one, and whether it keeps a guardrail, as the charter says."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from shared.evidence.model import Effect
from shared.experiment.charter import Charter, Guardrail, Primary
from shared.experiment.metrics import Metric
from shared.stats.decision_rule import Shortfall, harm_ruled_out, shortfall, within


def wins(effect: Effect | None, primary: Primary, metric: Metric, charter: Charter) -> bool:
    """Whether the effect is better by enough and beyond chance; what could not be computed is not."""
    if effect is None or None in (effect.estimate, effect.low, effect.high, effect.p_adjusted):
        return False
    lacks = shortfall(
        effect.estimate,
        (effect.low, effect.high),
        effect.p_adjusted,
        math.nan if effect.p_worthwhile is None else effect.p_worthwhile,
        sign=metric.sign,
        alpha=charter.alpha,
        minimum=primary.minimum_effect,
        worthwhile=primary.worthwhile,
    )
    several = charter.sample.looks.method == "group_sequential"
    return int(lacks) == Shortfall.NONE and (not several or still_worthwhile(effect, metric, primary))


def still_worthwhile(effect: Effect, metric: Metric, primary: Primary) -> bool:
    """Whether the present interval, too, is as good as `lower_bound` asks: its p-value is that of the best look."""
    worst = effect.low if metric.sign > 0 else effect.high
    return primary.worthwhile != "lower_bound" or bool(within(worst, metric.sign * primary.minimum_effect, metric.sign))


def kept(effect: Effect | None, rail: Guardrail, metric: Metric, charter: Charter) -> bool:
    """Whether harm beyond the guardrail's margin is ruled out; what could not be computed rules out none."""
    if effect is None or effect.p_non_inferior is None or effect.bound is None:
        return False
    safe = harm_ruled_out(effect.p_non_inferior, charter.guardrail_alpha)
    return bool(safe and within(effect.bound, rail.margin, metric.sign))


def turned(
    charter: Charter, metrics: Mapping[str, Metric], before: Iterable[Effect], after: Iterable[Effect]
) -> list[Effect]:
    """Which primary metrics an arm won, and which guardrails it kept, before and no longer afterwards."""
    found = {(effect.arm, effect.metric): effect for effect in after}
    rails = {rail.metric: rail for rail in charter.guardrails}
    lost = []
    for effect in before:
        metric, later = metrics[effect.metric], found.get((effect.arm, effect.metric))
        primary, rail = charter.primary_of(effect.metric), rails.get(effect.metric)
        if primary and wins(effect, primary, metric, charter) and not wins(later, primary, metric, charter):
            lost.append(effect)
        if rail and kept(effect, rail, metric, charter) and not kept(later, rail, metric, charter):
            lost.append(effect)
    return lost
