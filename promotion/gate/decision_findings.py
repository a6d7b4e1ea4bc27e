"""Standing: the findings on who decides and when, and on the charter that says so."""

from __future__ import annotations

from promotion.gate.authority import Objection, Occasion, Right
from promotion.gate.case import Case
from promotion.gate.gate import Judgement
from promotion.gate.policy import Policy
from shared.core.clock import rfc3339
from shared.core.errors import Refused
from shared.trust.finding import Finding

# Whether the owner may decide at all is asked for every word, not only for *scale*.
ENTITLED = "owner_entitled"
# And of an amended charter: owner and deadline must not be what an amendment made of them too late.
FROZEN = "charter_frozen"


def occasion(case: Case, policy: Policy) -> Occasion:
    """What authority over a case depends on, now; a policy that says nothing keeps the requester apart."""
    separate = getattr(policy.rules.get(ENTITLED), "separate_requester", True)
    return Occasion(case.charter, case.people, case.now.date(), separate=bool(separate))


def standing(case: Case, who: str, right: Right | Objection, judgement: Judgement) -> list[Finding]:
    """Findings on charter, person and moment; the key itself is tried when it signs."""
    return [_charter_known(case, judgement), _decider(case, who, right), _in_time(case)]


def _charter_known(case: Case, judgement: Judgement) -> Finding:
    # Owner and deadline are read from the charter, so it must be the one that the gate took in.
    known = not case.tampered and case.registered_at is not None and _amended_in_order(case, judgement)
    return Finding(
        check="charter_known",
        outcome="passed" if known else "failed",
        measured=case.promise.digest,
        reason="the charter is the one that the gate took in"
        if known
        else "the gate never took in this charter, or too late, or the candidate was changed after it was sealed",
        threshold="a charter that was deposited at launch and amended in order, in a candidate as it was sealed",
        remedy=None if known else "submit the pilot again; `pilotplant promote verify` names what was changed",
    )


def _decider(case: Case, who: str, right: Right | Objection) -> Finding:
    asked = {"check": "decider_is_owner", "measured": who, "threshold": case.charter.owner}
    if isinstance(right, Objection):
        return Finding(**asked, outcome="failed", reason=right.reason, remedy=right.remedy)
    away = right.stands_in
    if away is None:
        return Finding(**asked, outcome="passed", reason=f"{who} is the charter's owner")
    told = f"{who} decides in the place of {away.owner}, who is away from {away.first_day} to {away.last_day}"
    return Finding(**asked, outcome="passed", reason=told)


def second_signature(who: str, proposer: str, at: str) -> Finding:
    """That a second person, who is entitled, has signed what the first one proposed."""
    return Finding(
        check="second_signature",
        outcome="passed",
        measured=who,
        threshold="a second person, entitled, who did not ask for it",
        reason=f"{who} signed as the second person what {proposer} proposed at {at}",
    )


def _in_time(case: Case) -> Finding:
    in_time = case.now < case.charter.deadline
    return Finding(
        check="decided_in_time",
        outcome="passed" if in_time else "failed",
        measured=rfc3339(case.now),
        threshold=rfc3339(case.charter.deadline),
        reason="decided in time" if in_time else "the deadline has passed, and silence was *stop*",
        remedy=None if in_time else "start another pilot; its charter may repeat this one",
    )


def _amended_in_order(case: Case, judgement: Judgement) -> bool:
    """Whether owner and deadline are those of a charter that was amended in order, or not amended at all.

    Where the check of it says no for another reason, the owner may still stop or revise: all versions name them alike.
    """
    if case.promise.amends is None:
        return True
    asked = [finding for finding in judgement.findings if finding.check == FROZEN]
    if asked and all(finding.outcome == "passed" for finding in asked):
        return True
    theirs = {(version.charter.owner, version.charter.deadline) for version in case.versions}
    return len(theirs) == 1 and all(case.taken_in(version.digest) is not None for version in case.versions)


def raise_first(findings: list[Finding], pilot: str) -> None:
    """Raises Refused for the first finding that did not pass."""
    for finding in findings:
        if finding.outcome != "passed":
            raise Refused(
                finding.reason, where=f"pilot {pilot}", expected=str(finding.threshold), remedy=finding.remedy
            )
