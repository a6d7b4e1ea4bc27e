"""Does the Factory's kill switch answer?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.preflight import remedy
from shared.trust.finding import Finding


@check(reads="the preflight report: stop-all and resume, tried and taken back", group="value and risk", blind=True)
def kill_switch(case: Case, _rule: Rule) -> Iterator[Finding]:
    """Does the Factory's kill switch answer?"""
    found, again = case.preflight.report.kill_switch, remedy(case.charter.pilot)
    measured = found.model_dump(mode="json")
    failing = [told for works, told in ((found.stops, "a live release would have run while everything was stopped"),
                                        (found.resumes, "a stop that is lifted would not let it run again"),
                                        (found.undone, "trying it left a trace")) if not works]  # fmt: skip
    if found.problem is not None:
        told = f"the kill switch could not be tried: {found.problem}"
        yield finding("unevaluable", told, measured=measured, remedy=f"mend the Factory's database, then {again}")
    elif failing:
        told = "the kill switch does not work: " + "; ".join(failing)
        yield finding(
            "failed", told, measured=measured, remedy=f"mend the Factory before anything new runs, then {again}"
        )
    else:
        now = f"; everything is stopped at present: {found.stopped}" if found.stopped is not None else ""
        yield finding("passed", f"stop-all stops a live release, and resume brings it back{now}", measured=measured)
