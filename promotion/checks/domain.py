"""Are the arms such that the test keeps the error rate that it promises?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion.case import Case
from promotion.check import Check, Rule, finding
from promotion.symptoms import symptoms_of
from shared.evidence.domain import CONTRIBUTORS_MIN, UNEVEN, UNITS_MIN
from shared.finding import Finding


class DomainRule(Rule):
    """Policy.

    Attributes:
        level: it blocks by default: simulated outside its domain, a test at 5 % finds what is not there in 6 to 11 %
            of pilots (docs/proof/error-rates.md), so that what it finds is not what the charter promised.
    """


def _run(case: Case, _rule: DomainRule) -> Iterator[Finding]:
    outside = {(one.arm, one.metric) for one in symptoms_of(case, "test_domain") if one.state != "good"}
    rails = tuple(rail.metric for rail in case.charter.guardrails)
    decides = (*(primary.metric for primary in case.charter.primaries), *rails)
    compared: dict[str, Any] = {
        "threshold": {"uneven": UNEVEN, "units_min": UNITS_MIN, "contributors_min": CONTRIBUTORS_MIN}
    }
    for arm in case.charter.treatments:
        units = {one.arm: one.units for one in case.evidence.arms if one.arm in {arm.name, case.charter.control.name}}
        known = [name for name in decides if (e := case.evidence.effect(arm.name, name)) and e.estimate is not None]
        wrong = [name for name in known if (arm.name, name) in outside]
        compared["measured"] = {"units": units, "outside": wrong}
        if wrong:
            yield finding(
                "failed",
                f"one arm is more than {UNEVEN:g} times the other, and in the smaller one too few units carry "
                f"{', '.join(wrong)}: a test at {100 * case.charter.alpha:g} % may err twice as often",
                arm=arm.name,
                remedy="revise with arms of nearly the same size, or with more units in the smaller one",
                **compared,
            )
        elif not known:
            yield finding(
                "unevaluable",
                "no effect could be computed whose test would have a domain",
                arm=arm.name,
                remedy="record outcomes in both arms",
                **compared,
            )
        else:
            yield finding("passed", "the arms are even, or large, enough for the tests", arm=arm.name, **compared)


CHECK = Check(
    "domain",
    "Are the arms such that the test keeps the error rate that it promises?",
    "units per arm, and how many of the smaller one carry a primary metric or guardrail",
    DomainRule,
    _run,
)
