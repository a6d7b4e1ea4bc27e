"""Is there one named owner, known and entitled, who is not the requester?"""

from __future__ import annotations

from collections.abc import Iterator

from promotion.case import Case
from promotion.check import Check, NeverOff, finding
from shared.finding import Finding


class OwnerRule(NeverOff):
    """Policy.

    Attributes:
        separate_requester: whether the owner must be somebody else than the requester.
    """

    separate_requester: bool = True


def _run(case: Case, rule: OwnerRule) -> Iterator[Finding]:
    charter = case.charter
    owner, person = charter.owner, case.people.find(charter.owner)
    asked = {"owner": owner, "requester": charter.requester, "tier": charter.risk_tier}
    against: tuple[str, str] | None
    if person is None:
        against = f"{owner} is not in configs/people.yaml", "add the owner there, or revise with another one"
    elif person.decides is None:
        against = f"{owner} is not entitled to decide anything", "have configs/people.yaml entitle somebody, and revise"
    elif rule.separate_requester and owner.casefold() == charter.requester.casefold():
        against = f"{owner} would decide on their own request", "revise with another owner"
    elif beyond := person.decides.against(charter.risk_tier, charter.budget.total):
        against = beyond, "revise with an owner who is entitled"
    else:
        against = None
    if against is None:
        yield finding("passed", f"{owner} may decide this", measured=asked)
    else:
        yield finding("failed", against[0], measured=asked, remedy=against[1])


CHECK = Check(
    "owner_entitled",
    "Is there one named owner, known and entitled, who is not the requester?",
    "charter, configs/people.yaml",
    OwnerRule,
    _run,
    group="decision owner",
)
