"""Is the arm expected to bring more than it costs to run?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.stakes import stakes
from promotion.gate.facts.symptoms import NOTHING_DECLARED
from promotion.gate.promised import Past, past_pilots, promised
from shared.trust.finding import Finding
from shared.ui import phrases

# Whose effects per unit add up over units; the gain of a ratio or of a quantile does not.
ADDS_UP = ("proportion", "mean", "count")
DECLARE = "say in the charter of the next pilot what a gain is worth (`value`)"


class WorthItRule(Rule):
    """Policy.

    Attributes:
        required: whether a charter has to say what a gain is worth; what costs little and can be taken back need not.
    """

    required: bool = False


@check(
    WorthItRule,
    reads="the promised effect (shrunk), the charter's `value`: worth of a gain, units and costs per month",
    group="value and risk",
)
def worth_it(case: Case, rule: WorthItRule) -> Iterator[Finding]:
    """Is the arm expected to bring more than it costs?"""
    charter = case.charter
    if charter.value is None:
        reason = NOTHING_DECLARED.format("worth of a gain, so nobody knows whether it pays")
        yield finding("unevaluable" if rule.required else "passed", reason, remedy=DECLARE)
        return
    kind = case.promise.metrics[charter.primary.metric].kind
    if kind not in ADDS_UP:
        reason = f"the gain in {charter.primary.metric} is that of a {kind}, which does not add up over units"
        yield finding("unevaluable", reason, remedy=f"{DECLARE}, with a primary metric that counts or adds up")
        return
    past = past_pilots(case)
    for arm in charter.treatments:
        yield _of_arm(case, arm.name, past)


def _of_arm(case: Case, arm: str, past: list[Past]) -> Finding:
    charter = case.charter
    metric = case.promise.metrics[charter.primary.metric]
    told = next((one for one in promised(case, arm, past) if one.metric == charter.primary.metric), None)
    spent = case.spend.total(charter.budget.currency)
    expected = stakes(charter, spent, metric.sign, told).expected
    if expected is None or charter.value is None:
        return finding(
            "unevaluable",
            f"what the arm promises on {charter.primary.metric} cannot be computed",
            arm=arm,
            remedy="record more data in this arm and the control, or choose a metric that varies",
        )
    compared: dict[str, Any] = {"arm": arm, "measured": expected.as_json(), "threshold": expected.cost.as_json()}
    if expected.pays:
        return finding("passed", f"it is expected to bring {expected}", **compared)
    least = phrases.number(metric, metric.sign * charter.value.break_even)
    return finding(
        "failed",
        f"it is expected to bring {expected}, which does not pay: that takes {charter.primary.metric} {least}",
        remedy="stop, or revise with a stronger treatment, a cheaper one, or one that reaches more units",
        **compared,
    )
