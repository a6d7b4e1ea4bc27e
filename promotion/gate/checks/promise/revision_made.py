"""Did a revised pilot change what its owner asked for?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.registry.revision import unmade
from promotion.registry.succession import opened_by
from shared.trust.candidates import find_candidate
from shared.trust.finding import Finding


@check(reads="charter, the gate's own decisions, the charter of the pilot before it", blind=True)
def revision_made(case: Case, _rule: Rule) -> Iterator[Finding]:
    """Did a revised pilot change what its owner asked for?"""
    decided = opened_by(case.room, case.candidate.manifest.pilot)
    if decided is None:
        yield finding("passed", "it follows nobody, so nothing was asked to be changed", measured=[])
        return
    asked = [str(change) for change in decided.body["decision"].get("changes", [])]
    if not asked:
        yield finding("passed", "its owner named no field that had to change", measured=[])
        return
    before = find_candidate(case.room.workspace, decided.body["candidate"]).promise().charter
    left = unmade(asked, before, case.charter)
    if left:
        yield finding(
            "failed",
            f"the owner of {before.pilot} asked to change {', '.join(left)}, and the charter has it as it was",
            measured=left,
            threshold=asked,
            remedy="nothing mends this candidate: launch a pilot in which that is changed",
        )
    else:
        yield finding("passed", f"what was asked is changed: {', '.join(asked)}", measured=[], threshold=asked)
