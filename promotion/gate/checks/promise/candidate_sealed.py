"""Is the candidate, to the byte, what the Lab sealed?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import NeverOff, check, finding
from shared.trust.finding import Finding


@check(NeverOff, reads="every file", blind=True)
def candidate_sealed(case: Case, _rule: NeverOff) -> Iterator[Finding]:
    """Is the candidate, to the byte, what the Lab sealed?"""
    if case.tampered:
        yield finding(
            "failed",
            "the candidate was changed after it was sealed: " + "; ".join(case.tampered),
            measured=list(case.tampered),
            threshold=[],
            remedy="submit the pilot again; find out who changed the gate's intake",
        )
    else:
        yield finding(
            "passed", f"all {len(case.candidate.manifest.files)} files are as sealed", measured=[], threshold=[]
        )
