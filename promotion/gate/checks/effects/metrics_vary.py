"""Could every metric of the charter be compared, and does it vary?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.stats.problems import Problem, words
from shared.trust.finding import Finding, Level

CONSTANT = words(Problem.CONSTANT_ARM, where="")


class MetricsVaryRule(Rule):
    """Policy.

    Attributes:
        level: it warns by default: primary metrics and guardrails that cannot be compared block by their own checks,
            and a secondary metric decides nothing. In Kayenta a group without data scores 100; here it never passes.
    """

    level: Level = "warn"


@check(MetricsVaryRule, reads="recomputed effects on primary metrics, guardrails and secondary metrics")
def metrics_vary(case: Case, _rule: MetricsVaryRule) -> Iterator[Finding]:
    """Could every metric of the charter be compared, and does it vary?"""
    for arm in case.charter.treatments:
        effects = {name: case.evidence.effect(arm.name, name) for name in case.charter.measured}
        silent = {
            name: (effect.problem or "there is no number") if effect else "no data"
            for name, effect in effects.items()
            if effect is None or effect.estimate is None
        }
        told = "; ".join(f"{name}: {problem}" for name, problem in silent.items())
        measured = {name: silent.get(name, "compared") for name in effects}
        if not silent:
            yield finding("passed", "every metric varies, and could be compared", arm=arm.name, measured=measured)
        elif any(problem.startswith(CONSTANT) for problem in silent.values()):
            yield finding(
                "failed",
                told,
                arm=arm.name,
                measured=measured,
                remedy="look whether the outcomes are recorded at all; a metric that never varies shows nothing",
            )
        else:
            remedy = "record outcomes of this metric in both arms, or leave it out of the next charter"
            yield finding("unevaluable", told, arm=arm.name, measured=measured, remedy=remedy)
