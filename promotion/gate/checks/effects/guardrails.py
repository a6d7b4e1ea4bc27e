"""Is harm beyond the margin ruled out for every guardrail?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import NeverOff, check, finding
from promotion.gate.checks.effects.primary_effect import COUNT_ALL, DESCRIPTIVE, NEXT_LOOK, OTHERS_LEFT
from shared.evidence.conclusions import kept
from shared.experiment.charter import Guardrail
from shared.experiment.metrics import Metric
from shared.trust.finding import Finding
from shared.ui import phrases


@check(
    NeverOff,
    reads="recomputed non-inferiority tests, one-sided at the charter's alpha for guardrails",
    on_page=True,
)
def guardrails(case: Case, _rule: NeverOff) -> Iterator[Finding]:
    """Is harm beyond the margin ruled out for every guardrail?"""
    if not case.charter.guardrails:
        yield finding(
            "unevaluable",
            "the charter has no guardrails, so nothing says that the arm does no harm",
            remedy="revise with at least one guardrail",
        )
    for arm in case.charter.treatments:
        for rail in case.charter.guardrails:
            yield _of_arm(case, arm.name, rail)


def _of_arm(case: Case, arm: str, rail: Guardrail) -> Finding:
    alpha, metric = case.charter.guardrail_alpha, case.promise.metrics[rail.metric]
    effect = case.evidence.effect(arm, rail.metric)
    limit = phrases.at_most(metric, "it", rail.margin)
    threshold = {"margin": rail.margin, "alpha": alpha}
    if effect is None or effect.bound is None or effect.p_non_inferior is None or effect.margin != rail.margin:
        return finding(
            "unevaluable",
            f"{rail.metric} cannot be compared: {effect.problem if effect else 'no data'}",
            arm=arm,
            threshold=threshold,
            remedy="record outcomes of this metric in both arms",
        )
    if case.evidence.standing != "decisive":
        return finding("unevaluable", DESCRIPTIVE, arm=arm, threshold=threshold, remedy=NEXT_LOOK)
    if case.evidence.others_left(arm, rail.metric):
        return finding("unevaluable", OTHERS_LEFT.format(rail.metric), arm=arm, threshold=threshold, remedy=COUNT_ALL)
    measured = {"estimate": effect.estimate, "bound": effect.bound, "p_non_inferior": effect.p_non_inferior}
    told = f"{_at_worst(metric, rail.metric, effect.bound)}, and {limit}"
    if kept(effect, rail, metric, case.charter):
        return finding("passed", f"kept: {told}", arm=arm, measured=measured, threshold=threshold)
    return finding(
        "failed",
        told,
        arm=arm,
        measured=measured,
        threshold=threshold,
        remedy="more units narrow the bound if the arm does no harm; else stop",
    )


def _at_worst(metric: Metric, name: str, bound: float) -> str:
    """The end of the interval on the bad side: what the metric rose by at least, or may have fallen by."""
    by, up = phrases.amount(metric, bound), metric.sign > 0
    if bound * metric.sign >= 0:
        return f"{name} {'rose' if up else 'fell'} by at least {by}"
    return f"{name} may have {'fallen' if up else 'risen'} by {by}"
