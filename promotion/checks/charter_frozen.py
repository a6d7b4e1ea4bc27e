"""Was the charter frozen, and deposited with the gate, before anybody was exposed?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.case import Case
from promotion.check import Check, NeverOff, finding
from shared.candidate import FILES
from shared.clock import parse_rfc3339, rfc3339
from shared.finding import Finding


def _run(case: Case, _rule: NeverOff) -> Iterator[Finding]:
    first, registered = case.evidence.first_exposure, case.registered_at
    if registered is None:
        yield finding(
            "failed",
            "the gate never took in this charter, so it may have been written after the results were known",
            remedy="nothing mends this candidate: launch a new pilot with `pilotplant lab launch`",
        )
    elif case.registrations[-1].body["promise"] != case.candidate.manifest.promise:
        yield finding(
            "failed",
            "another charter was taken in for this pilot after this one; only the last counts",
            measured=case.candidate.manifest.promise,
            threshold=case.registrations[-1].body["promise"],
            remedy="nothing mends this candidate: launch a new pilot under a new name",
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
    """Files of the promise that the candidate does not carry as frozen, and those the promise fails to name."""
    charter, promised, sealed = case.charter, case.promise.files, case.candidate.manifest.files
    needed = {f"contracts/{charter.outcomes}.odcs.yaml"}
    needed |= {name for arm in charter.treatments if arm.play for name in arm.play.files}
    return sorted(
        {name for name, digest in promised.items() if sealed.get(f"{FILES}/{name}") != digest}
        | (needed - set(promised))
    )


CHECK = Check(
    "charter_frozen",
    "Was the charter frozen before anybody was exposed?",
    "the gate's register, the frozen files, the first exposure",
    NeverOff,
    _run,
)
