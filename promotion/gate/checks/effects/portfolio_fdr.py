"""Is the arm better even at the level that the pilot has among all that the gate judges?"""

from __future__ import annotations

import math
from collections.abc import Iterator

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.registry.portfolio import Place, place_of
from shared.trust.finding import Finding, Level
from shared.ui import phrases

# The rules from which on an arm that went the wrong way is no gain, however small its p-value.
DIRECTED_SINCE = 3


class PortfolioFdrRule(Rule):
    """Policy; the bound is that of all pilots together, `portfolio` in configs/gate.yaml.

    Attributes:
        level: it warns by default: a team of 20 to 40 pilots a year pays for the bound with a fifth to three fifths of
            its power (docs/proof/portfolio.md); it blocks where a false promotion costs most.
    """

    level: Level = "warn"


@check(
    PortfolioFdrRule,
    reads="the recomputed p-values; the pilot's level, which the gate's ledger fixed at registration (LORD++)",
    group="value and risk",
)
def portfolio_fdr(case: Case, _rule: PortfolioFdrRule) -> Iterator[Finding]:
    """Is the arm better even at the level that the pilot has among all pilots?"""
    # What cannot be relied on has no order: `registrations` raises where the gate's ledger is not whole.
    place = place_of(case.registrations, case.charter.pilot)
    if place is None:
        yield finding(
            "unevaluable",
            "the pilot got no level when it was registered",
            remedy="nothing mends this candidate: a new pilot gets one at launch",
        )
        return
    for arm in case.charter.treatments:
        yield _of_arm(case, arm.name, place)


def _of_arm(case: Case, arm: str, place: Place) -> Finding:
    p = _p_value(case, arm)
    limit = f"{100 * place.level:.2g} %"
    told = f"among all pilots so far this is number {place.number}, which has to pass a limit of {limit}"
    threshold = place.as_json()
    if p is None:
        reason = f"{told}, and the p-value of the primary metric cannot be computed, or only describes"
        remedy = "record more data in this arm and the control, and submit at a look that the charter agreed on"
        return finding("unevaluable", reason, arm=arm, measured={"p": None}, threshold=threshold, remedy=remedy)
    reason = f"{told}, and its p is {phrases.p_value(p)}"
    worse = _worse(case, arm) if case.promise.rules >= DIRECTED_SINCE else []
    if worse:
        return finding(
            "failed",
            f"{reason}, and {', '.join(worse)} went the wrong way: it is no gain that is sure",
            arm=arm,
            measured={"p": p, "worse": worse},
            threshold=threshold,
            remedy="stop it, or revise what it does; what was learned is worth an insight",
        )
    if p <= place.level:
        return finding("passed", reason, arm=arm, measured={"p": p}, threshold=threshold)
    return finding(
        "failed",
        f"{reason}: among so many pilots it could be chance",
        arm=arm,
        measured={"p": p},
        threshold=threshold,
        remedy="run it again as a new pilot, with more units; what it promised is what to expect at most",
    )


def _p_value(case: Case, arm: str) -> float | None:
    """The arm's p-value: of all primary metrics, since it has to win on each, adjusted over the arms."""
    effects = [case.evidence.effect(arm, primary.metric) for primary in case.charter.primaries]
    found = [effect.p_adjusted for effect in effects if effect is not None and effect.p_adjusted is not None]
    if case.evidence.standing != "decisive" or len(found) < len(effects) or not all(map(math.isfinite, found)):
        return None
    return max(found)


def _worse(case: Case, arm: str) -> list[str]:
    """The primary metrics on which the arm did no better than the control."""
    effects = {primary.metric: case.evidence.effect(arm, primary.metric) for primary in case.charter.primaries}
    return [
        name
        for name, effect in effects.items()
        if effect is None or effect.estimate is None or not effect.estimate * case.promise.metrics[name].sign > 0
    ]
