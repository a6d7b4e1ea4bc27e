"""Did chance put the units into their arms, by a draw that nobody could choose?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.trust.finding import Finding


@check(
    reads="the charter's assignment, sealed exposures and clusters, the nonce in the gate's own ledger",
    blind=True,
    since=2,
)
def randomised(case: Case, _rule: Rule) -> Iterator[Finding]:
    """Did chance put the units into their arms, by a draw that nobody could choose?"""
    if case.charter.assignment == "source":
        yield finding(
            "unevaluable",
            "the arms come from the system that exposed the customers, and nobody here can tell how it draws them",
            measured="source",
            threshold="pilotplant",
            remedy="have somebody who knows that system waive this by name; or let Pilot Plant draw the arms next time",
        )
        return
    wrong = case.placement.misassigned
    if case.placement.last_event is None or wrong is None:
        yield finding("unevaluable", "nothing was recorded", remedy="record exposures, analyse, submit")
    elif wrong:
        yield finding(
            "failed",
            f"{wrong:,} exposures are in another arm than the gate's own draw says",
            measured=wrong,
            threshold=0,
            remedy="see units_assigned, and run the pilot again",
        )
    else:
        nonce = case.registration.nonce if case.registration else ""
        told = "every exposure has the arm that the gate drew when it took in the charter, by a nonce nobody chose"
        if case.mode == "rehearsal":
            told = "every exposure has the arm that the gate drew when it took in the charter, in a rehearsal"
        yield finding("passed", told, measured=nonce, threshold=nonce)
