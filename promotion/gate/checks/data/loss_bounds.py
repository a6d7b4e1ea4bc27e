"""Would the arm still be better if whoever was lost beyond the other arm's losses had been the worst case?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.completeness import completeness_of
from shared.engines.protocol import EARLY
from shared.evidence.conclusions import wins
from shared.evidence.health.losses import lost_share
from shared.evidence.model import Bound, Completeness
from shared.trust.finding import Finding, Level
from shared.ui import phrases


class LossBoundsRule(Rule):
    """No threshold: bounds that hold nothing better than zero cannot tell the arm from the control.

    Attributes:
        level: it warns by default: the bounds are the worst that can be, not the likely (Lee 2009).
    """

    level: Level = "warn"


@check(LossBoundsRule, reads="Lee's bounds on the effects, by the share that one arm lost more", since=2)
def loss_bounds(case: Case, _rule: LossBoundsRule) -> Iterator[Finding]:
    """Would the arm still be better if whoever was lost of one arm beyond the other had been the worst case?"""
    told = completeness_of(case)
    if not any(loss.units for loss in told.losses if loss.what != EARLY):
        yield finding("passed", "nothing was lost that an arm could miss")
        return
    for arm in case.charter.treatments:
        for primary in case.charter.primaries:
            yield _of_arm(case, told, arm.name, primary.metric)


def _of_arm(case: Case, told: Completeness, arm: str, name: str) -> Finding:
    metric = case.promise.metrics[name]
    if case.charter.cluster or metric.divided or metric.kind == "quantile":
        reason = f"no bounds are known for {name}: they are of a mean over single units"
        return finding("unevaluable", reason, arm=arm, remedy="read the numbers that were lost in each arm")
    found = next((one for one in told.bounds if (one.arm, one.metric) == (arm, name)), None)
    control = case.charter.control.name
    shares = {each: lost_share(told, each) for each in (arm, control)}
    if found is None and shares[arm] == shares[control] != 1:
        return finding("passed", f"{arm} and {control} lost the same share of their units", arm=arm)
    if found is None:
        reason = f"{max(shares, key=lambda each: shares[each])} lost too much for any bound of {name} to be told"
        return finding("unevaluable", reason, arm=arm, remedy="lose fewer, and run the pilot again")
    primary, effect = case.charter.primary_of(name), case.evidence.effect(arm, name)
    words = f"between {phrases.number(metric, found.low)} and {phrases.number(metric, found.high)}"
    loser = max(shares, key=lambda each: shares[each])
    told_of = f"{loser} lost {100 * found.frac:.2f} % more; whoever these were, the effect on {name} lies {words}"
    compared: dict[str, Any] = {"measured": _measured(found), "threshold": 0.0}
    worst = found.low if metric.sign > 0 else found.high
    if primary and wins(effect, primary, metric, case.charter) and metric.sign * worst <= 0:
        return finding(
            "failed", f"{told_of}: it may be none", arm=arm, remedy="lose fewer, and run the pilot again", **compared
        )
    return finding("passed", told_of, arm=arm, **compared)


def _measured(found: Bound) -> dict[str, float]:
    return {"frac": found.frac, "low": found.low, "high": found.high}
