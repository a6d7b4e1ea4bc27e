"""Does a revised pilot carry the error rate that the pilots before it have spent?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.case import Case
from promotion.check import Check, NeverOff, finding
from promotion.succession import opened_by, spent_by
from shared.finding import Finding
from shared.intake import find_candidate

ROUNDING = 1e-12
REMEDY = "nothing mends this candidate: launch the draft that *revise* wrote, with its `follows` as it is"


def _run(case: Case, _rule: NeverOff) -> Iterator[Finding]:
    follows, decided = case.charter.follows, opened_by(case)
    if decided is None:
        if follows is None:
            yield finding("passed", "it revises no other pilot, and is tested at its own alpha", measured=0.0)
        else:
            yield finding(
                "failed",
                f"the charter says that it follows {follows.pilot}, and the gate never decided so",
                measured=follows.candidate,
                remedy="launch a new pilot without `follows`, or the draft that *revise* wrote",
            )
        return
    before = find_candidate(case.room.workspace, decided.body["candidate"])
    spent = spent_by(before.promise().charter)
    said = follows.alpha_spent if follows and follows.candidate == decided.body["candidate"] else 0.0
    told = f"the pilots before it have spent an alpha of {spent:g}"
    own, most = case.charter.alpha, before.promise().charter.alpha / 2
    if said < spent - ROUNDING:
        yield finding(
            "failed", f"{told}, and its charter carries {said:g}", measured=said, threshold=spent, remedy=REMEDY
        )
    elif own > most * (1 + ROUNDING):
        # A larger alpha of its own would give back what the line has spent.
        yield finding(
            "failed",
            f"{told}, and it would be tested at {own:g}, more than half of the alpha of the one before it",
            measured=own,
            threshold=most,
            remedy=f"{REMEDY}, and no larger alpha",
        )
    else:
        yield finding("passed", f"{told}, so it is tested at {own:g}", measured=said, threshold=spent)


CHECK = Check(
    "alpha_carried",
    "Does a revised pilot carry the error rate that its line has spent?",
    "charter, the gate's own decisions",
    NeverOff,
    _run,
)
