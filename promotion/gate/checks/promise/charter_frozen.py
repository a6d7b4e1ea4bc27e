"""Was what decides in the charter frozen, and deposited with the gate, before anybody was exposed?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import NeverOff, check, finding
from promotion.gate.facts.lineage import Objection, against_goalposts, against_versions, amendments
from shared.core.clock import parse_rfc3339, rfc3339
from shared.experiment.eligibility import ELIGIBLE
from shared.trust.candidate import DATA, FILES
from shared.trust.finding import Finding


@check(
    NeverOff,
    reads="the gate's register, every version of the charter, the frozen files, the first exposure",
    blind=True,
)
def charter_frozen(case: Case, _rule: NeverOff) -> Iterator[Finding]:
    """Was the charter frozen before anybody was exposed?"""
    # What the register says comes first: it holds even where the evidence cannot be computed.
    objection = against_versions(case) or _against_files(case)
    if objection is not None:
        yield _failed(objection)
        return
    first = case.evidence.first_exposure
    if first is None:
        yield finding(
            "unevaluable", "there are no exposures to compare with", remedy="record exposures, analyse, submit"
        )
    elif objection := against_goalposts(case, parse_rfc3339(first)):
        yield _failed(objection)
    else:
        yield _passed(case, first)


def _failed(objection: Objection) -> Finding:
    return finding(
        "failed",
        objection.reason,
        measured=objection.measured,
        threshold=objection.threshold,
        remedy=objection.remedy,
    )


def _passed(case: Case, first: str) -> Finding:
    made = amendments(case)
    stamps = [case.taken_in(version.digest) for version in case.versions]
    frozen = max(stamp for stamp in stamps if stamp and stamp <= parse_rfc3339(first))
    told = "; ".join(f"version {m['version']} at {m['at']} ({', '.join(m['changes'])}): {m['reason']}" for m in made)
    return finding(
        "passed",
        "the charter was frozen before the first exposure"
        + (f", and amended since in nothing that decides after it: {told}" if made else ""),
        measured={"first_exposure": first, "amendments": made} if made else first,
        threshold=rfc3339(frozen),
    )


def _against_files(case: Case) -> Objection | None:
    changed = _changed(case)
    if not changed:
        return None
    return Objection(
        "these files are not the ones that were frozen with the charter: " + ", ".join(changed),
        "submit again with the frozen files; other files need a new pilot",
        measured=changed,
        threshold=[],
    )


def _changed(case: Case) -> list[str]:
    """Files of the promise that the candidate does not carry as frozen, and those the promise fails to name."""
    charter, promised, sealed = case.charter, case.promise.files, case.candidate.manifest.files
    eligible = case.promise.eligible
    needed = {f"contracts/{charter.outcomes}.odcs.yaml"}
    needed |= {*charter.files}
    return sorted(
        {name for name, digest in promised.items() if sealed.get(f"{FILES}/{name}") != digest}
        | (needed - set(promised))
        | ({ELIGIBLE} if eligible and sealed.get(f"{DATA}/{ELIGIBLE}") != eligible.digest else set())
    )
