"""Does a person look before anything that may do harm reaches customers?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.experiment.people import same_person
from shared.experiment.play import Play
from shared.experiment.precautions import Action
from shared.trust.finding import Finding

SAID: dict[Action, str] = {
    "outbound": "it writes to customers",
    "pricing": "it changes prices",
    "regulated_claim": "it makes claims that are regulated",
}
NAME_ONE = "revise, and name in the play who looks: `review: {by: somebody@example.com, before: send}`"


class HumanStepRule(Rule):
    """Policy.

    Attributes:
        reviewed: the actions that need a reviewer of their own; the words of a campaign are frozen, so whoever signs
            *scale* has looked at what goes out, and `outbound` is asked for at high risk only.
        separate_requester: whether the reviewer must be somebody else than the requester; so Mozilla has it.
    """

    reviewed: tuple[Action, ...] = Field(default=("pricing", "regulated_claim"))
    separate_requester: bool = True


@check(
    HumanStepRule,
    reads="the play's kind, `actions` and `review`; configs/people.yaml. What is declared, not whether it was done",
    group="value and risk",
    blind=True,
)
def human_step(case: Case, rule: HumanStepRule) -> Iterator[Finding]:
    """Does a person look before anything that may do harm reaches customers?"""
    for arm in case.charter.treatments:
        yield _of_arm(case, rule, arm.name, case.charter.play(arm.name))


def _of_arm(case: Case, rule: HumanStepRule, arm: str, play: Play) -> Finding:
    asked = [action for action in play.risky if action in rule.reviewed]
    told = " and ".join(SAID[action] for action in asked)
    compared: dict[str, Any] = {
        "arm": arm,
        "measured": {"actions": list(play.risky), "review": play.review.model_dump() if play.review else None},
        "threshold": {"reviewed": list(rule.reviewed)},
    }
    if not asked:
        done = " and ".join(SAID[action] for action in play.risky)
        return finding("passed", f"{done}: its words are frozen, and whoever signs *scale* looks at them", **compared)
    if play.review is None:
        return finding("failed", f"{told}, and nobody is named who looks before", remedy=NAME_ONE, **compared)
    by = play.review.by
    if case.people.find(by) is None:
        reason = f"{told}, and {by}, who is to look, is not in configs/people.yaml"
        return finding("failed", reason, remedy=f"add {by} there, or {NAME_ONE}", **compared)
    if rule.separate_requester and same_person(by, case.charter.requester):
        reason = f"{told}, and {by}, who is to look, is who asks for it"
        return finding("failed", reason, remedy=NAME_ONE, **compared)
    return finding("passed", f"{told}, and {by} is named to look before each {play.review.before}", **compared)
