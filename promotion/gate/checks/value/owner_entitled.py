"""Is there one named owner, known and entitled, who is not the requester?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.gate.authority import Occasion, against
from promotion.gate.case import Case
from promotion.gate.check import NeverOff, check, finding
from shared.trust.finding import Finding


class OwnerRule(NeverOff):
    """Policy.

    Attributes:
        separate_requester: whether the owner must be somebody else than the requester.
    """

    separate_requester: bool = True


@check(OwnerRule, reads="charter, configs/people.yaml", group="decision owner", blind=True)
def owner_entitled(case: Case, rule: OwnerRule) -> Iterator[Finding]:
    """Is there one named owner, known and entitled, who is not the requester?"""
    charter = case.charter
    on = Occasion(charter, case.people, case.now.date(), separate=rule.separate_requester)
    asked = {"owner": charter.owner, "requester": charter.requester, "tier": charter.risk_tier}
    if away := case.people.stand_ins(charter.owner, on.day):
        asked["stand_ins"] = ", ".join(away)
    objection = against(charter.owner, on, "revise with another owner")
    if objection is None:
        yield finding("passed", f"{charter.owner} may decide this", measured=asked)
    else:
        yield finding("failed", objection.reason, measured=asked, remedy=objection.remedy)
