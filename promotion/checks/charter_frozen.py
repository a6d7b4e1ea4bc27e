"""Was the charter frozen, and deposited with the gate, before anybody was exposed?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.case import Case
from promotion.check import Check, Rule, finding
from shared.candidate import FILES
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
    elif changed := _changed(case):
        yield finding(
            "failed",
            "these files are not the ones that were frozen with the charter: " + ", ".join(changed),
            measured=changed,
            threshold=[],
            remedy="submit again with the frozen files; other files need a new pilot",
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


def _changed(case: Case) -> list[str]:
    """Files of the promise that the candidate does not carry as they were frozen."""
    sealed = case.candidate.manifest.files
    return [name for name, digest in sorted(case.promise.files.items()) if sealed.get(f"{FILES}/{name}") != digest]


CHECK = Check(
    "charter_frozen",
    "Was the charter frozen before anybody was exposed?",
    "the gate's register, the frozen files, the first exposure",
    Rule,
    _run,
)
