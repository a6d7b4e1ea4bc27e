"""Has the pilot met what its charter said would close it?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion.gate.case import Case
from promotion.gate.check import NeverOff, check, finding
from promotion.gate.checks.effects.primary_effect import DESCRIPTIVE, NEXT_LOOK
from promotion.gate.facts.symptoms import NOTHING_DECLARED
from shared.evidence.kill_criteria import Answer, answers
from shared.trust.finding import Finding
from shared.ui import phrases


@check(
    NeverOff,
    reads="charter, the recomputed effects at every look; each day's where the charter looks at any time",
    since=2,
)
def kill_criteria(case: Case, _rule: NeverOff) -> Iterator[Finding]:
    """Did every arm stay clear of what its charter said would close the pilot, at every look and at the end?"""
    if not case.charter.kill_criteria:
        yield finding("passed", NOTHING_DECLARED.format("kill criterion"), measured=[])
        return
    for answer in answers(case.promise, case.evidence):
        yield _of_arm(case, answer)


def _of_arm(case: Case, answer: Answer) -> Finding:
    metric = case.promise.metrics[answer.criterion.metric]
    said: dict[str, Any] = {
        "arm": answer.arm,
        "measured": {"estimate": answer.estimate, "low": answer.low, "high": answer.high, "look": answer.at},
        "threshold": {"metric": answer.criterion.metric, "worse_than": answer.criterion.worse_than},
    }
    told = phrases.kill_criterion(metric, answer)
    if answer.met:
        return finding(
            "failed", told, remedy="stop, and keep the insight: the charter said that this closes it", **said
        )
    if answer.met is None:
        remedy = "record outcomes of this metric in both arms; a look that is past cannot be mended, only a new pilot"
        return finding("unevaluable", told, remedy=remedy, **said)
    if case.evidence.standing != "decisive":
        return finding("unevaluable", DESCRIPTIVE, remedy=NEXT_LOOK, **said)
    return finding("passed", told, **said)
