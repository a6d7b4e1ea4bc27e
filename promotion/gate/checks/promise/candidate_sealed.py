"""Is the candidate, to the byte, what the Lab sealed?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import Check, NeverOff, finding
from shared.trust.finding import Finding


def _run(case: Case, _rule: NeverOff) -> Iterator[Finding]:
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


CHECK = Check("candidate_sealed", "Is the candidate, to the byte, what the Lab sealed?", "every file", NeverOff, _run)
