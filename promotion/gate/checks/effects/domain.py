"""Are the arms such that the test keeps the error rate that it promises?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.symptoms import symptoms_of
from shared.evidence.model import Symptom
from shared.stats.domain import CONTRIBUTORS_MIN, UNEVEN, UNITS_MIN
from shared.trust.finding import Finding


class DomainRule(Rule):
    """Policy.

    Attributes:
        level: it blocks by default: simulated outside its domain, a test at 5 % finds what is not there in 6 to 11 %
            of pilots (docs/proof/error-rates.md), so that what it finds is not what the charter promised.
    """


@check(DomainRule, reads="units per arm, and how many of the smaller one carry a primary metric or guardrail")
def domain(case: Case, _rule: DomainRule) -> Iterator[Finding]:
    """Are the arms such that the test keeps the error rate that it promises?"""
    outside = {(one.arm, one.metric): one for one in symptoms_of(case, "test_domain") if one.state != "good"}
    rails = tuple(rail.metric for rail in case.charter.guardrails)
    decides = (*(primary.metric for primary in case.charter.primaries), *rails)
    compared: dict[str, Any] = {
        "threshold": {"uneven": UNEVEN, "units_min": UNITS_MIN, "contributors_min": CONTRIBUTORS_MIN}
    }
    for arm in case.charter.treatments:
        units = {one.arm: one.units for one in case.evidence.arms if one.arm in {arm.name, case.charter.control.name}}
        known = [name for name in decides if (e := case.evidence.effect(arm.name, name)) and e.estimate is not None]
        wrong = {name: outside[arm.name, name] for name in known if (arm.name, name) in outside}
        compared["measured"] = {"units": units, "outside": list(wrong)}
        if wrong:
            yield finding(
                "failed",
                _told(units, wrong, case.charter.alpha),
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


def _told(units: dict[str, int], wrong: dict[str, Symptom], alpha: float) -> str:
    sizes, few = (
        " and ".join(f"{n:,}" for n in units.values()),
        ", ".join(_few(name, one) for name, one in wrong.items()),
    )
    return (
        f"one arm is more than {UNEVEN:g} times the other ({sizes} units), and in the smaller one too few units carry "
        f"{few}: a test at {100 * alpha:g} % may err twice as often"
    )


def _few(name: str, told: Symptom) -> str:
    """A metric, with how many units carry it and how many should, where that was kept."""
    if told.measured is None or told.threshold is None:
        return name
    return f"{name} ({told.measured:,.0f} of {told.threshold:,.0f} that it takes)"
