"""Was the charter frozen, and deposited with the gate, before anybody was exposed?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.case import Case
from promotion.check import Check, Rule, finding
from shared.clock import parse_rfc3339, rfc3339
from shared.finding import Finding


def _run(case: Case, _rule: Rule) -> Iterator[Finding]:
    first, registered = case.evidence.first_exposure, case.registered_at
    if registered is None:
        yield finding(
            "failed",
            "the gate never took in this charter, so it may have been written after the results were known",
            remedy="nothing mends this candidate: launch a new pilot with `pilotplant lab launch`",
        )
    elif first is None:
        yield finding(
            "unevaluable", "there are no exposures to compare with", remedy="record exposures, analyse, submit"
        )
    elif registered > parse_rfc3339(first):
        yield finding(
            "failed",
            "units were exposed before the charter was frozen",
            measured=first,
            threshold=rfc3339(registered),
            remedy="nothing mends this candidate: launch first, expose afterwards",
        )
    else:
        yield finding(
            "passed", "the charter was frozen before the first exposure", measured=first, threshold=rfc3339(registered)
        )


CHECK = Check(
    "charter_frozen",
    "Was the charter frozen before anybody was exposed?",
    "the gate's register, the first exposure",
    Rule,
    _run,
)
