"""Does a pilot carry the error rate that the earlier ones of its line have spent, whatever it is called?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import NeverOff, check, finding
from promotion.registry.line import recorded_line
from promotion.registry.succession import opened_by, spent_by
from shared.experiment.line import ROUNDING, Line, Uncarried, carried, require_carried
from shared.trust.candidates import find_candidate
from shared.trust.finding import Finding

REMEDY = "nothing mends this candidate: launch the draft that *revise* wrote, with its `follows` as it is"

ANEW = "nothing mends this candidate: launch another attempt, with the `follows` that `pilotplant lab check` asks for"


@check(
    NeverOff,
    reads="charter, the gate's own decisions, and what it found of earlier pilots when it registered this one",
    blind=True,
)
def alpha_carried(case: Case, _rule: NeverOff) -> Iterator[Finding]:
    """Does a pilot carry the error rate that its line has spent, whatever its name and its charter say?"""
    if case.promise.rules == 1:
        yield _of_decisions(case)
        return
    line = recorded_line(case.registrations, case.candidate.manifest.promise)
    if line is None:
        yield finding(
            "unevaluable",
            "the gate was not shown the pilot's files when it took in the charter, so it cannot tell what it continues",
            remedy="nothing mends this candidate: launch a new pilot with `pilotplant lab launch`",
        )
        return
    named = case.charter.line is not None and case.charter.line.pilot in {each.pilot for each in line.before}
    decided = None if opened_by(case.room, case.candidate.manifest.pilot) is None and named else _of_decisions(case)
    if decided is not None and (decided.outcome != "passed" or not line.before):
        yield decided
    else:
        yield _of_line(case, line)


def _of_line(case: Case, line: Line) -> Finding:
    """Whether the charter carries what the gate's register found."""
    told, said = f"the pilots before it ({line.names}) have spent an alpha of {line.spent:g}", carried(case.charter)
    try:
        require_carried(line, case.charter)
    except Uncarried as error:
        return finding("failed", error.what, measured=said, threshold=line.spent, remedy=ANEW)
    return finding("passed", f"{told}, so it is tested at {case.charter.alpha:g}", measured=said, threshold=line.spent)


def _of_decisions(case: Case) -> Finding:
    """Whether a pilot that the gate's own decision opened carries what that said."""
    follows, decided = case.charter.line, opened_by(case.room, case.candidate.manifest.pilot)
    if decided is None:
        if follows is None:
            return finding("passed", "it revises no other pilot, and is tested at its own alpha", measured=0.0)
        return finding(
            "failed",
            f"the charter says that it follows {follows.pilot}, and the gate never decided so",
            measured=follows.candidate,
            remedy="launch a new pilot without `follows`, or the draft that *revise* wrote",
        )
    before = find_candidate(case.room.workspace, decided.body["candidate"])
    spent = spent_by(before.promise().charter)
    said = follows.alpha_spent if follows and follows.candidate == decided.body["candidate"] else 0.0
    told = f"the pilots before it have spent an alpha of {spent:g}"
    own, most = case.charter.alpha, before.promise().charter.alpha / 2
    if said < spent - ROUNDING:
        return finding(
            "failed", f"{told}, and its charter carries {said:g}", measured=said, threshold=spent, remedy=REMEDY
        )
    if own > most * (1 + ROUNDING):
        # A larger alpha of its own would give back what the line has spent.
        return finding(
            "failed",
            f"{told}, and it would be tested at {own:g}, more than half of the alpha of the one before it",
            measured=own,
            threshold=most,
            remedy=f"{REMEDY}, and no larger alpha",
        )
    return finding("passed", f"{told}, so it is tested at {own:g}", measured=said, threshold=spent)
