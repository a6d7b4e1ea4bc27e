"""Were the arms alike before the pilot began?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.case import Case
from promotion.check import Check, Rule, finding
from promotion.symptoms import NOTHING_DECLARED, symptoms_of, unasked
from shared.evidence.who_came import BALANCE_P_MIN
from shared.finding import Finding


class PrePeriodBalanceRule(Rule):
    """Thresholds.

    Attributes:
        p_min: over all covariates and arms, so each is tested at its part (Bonferroni); GrowthBook's default.
        required: whether a charter has to name covariates; Eppo asks the question with CUPED only.
    """

    p_min: float = Field(default=0.001, gt=0, lt=1)
    required: bool = False


def _run(case: Case, rule: PrePeriodBalanceRule) -> Iterator[Finding]:
    if not case.charter.covariates:
        yield finding(
            "unevaluable" if rule.required else "passed",
            NOTHING_DECLARED.format("covariates to compare the arms by"),
            remedy="name a covariate in the charter of the next pilot, like what each unit spent before",
        )
        return
    found = symptoms_of(case, "pre_period_balance")
    limit = rule.p_min * (found[0].threshold or 0.0) / BALANCE_P_MIN
    compared: dict[str, Any] = {
        "measured": {" ".join(filter(None, (one.arm, one.where))) or "least p of any": one.measured for one in found},
        "threshold": {"p_min": rule.p_min, "p_min_each": limit},
    }
    wrong = [one for one in found if one.state != "unevaluable" and not (one.measured or 0.0) >= limit]
    if wrong:
        told = "; ".join(
            f"{one.arm or 'an arm'} in {one.where or 'a covariate'} (p {one.measured:.1e})" for one in wrong
        )
        yield finding(
            "failed",
            f"the arms differed before the pilot began: {told}",
            remedy="find out how units came into their arms, and run the pilot again with a new draw",
            **compared,
        )
    elif gaps := unasked(found):
        yield finding(
            "unevaluable",
            gaps,
            remedy="name covariates that vary and are known of the units, and run again",
            **compared,
        )
    else:
        least = min(one.measured or 0.0 for one in found)
        yield finding(
            "passed",
            f"the arms were alike in {', '.join(case.charter.covariates)} before the pilot began (least p {least:.1e})",
            **compared,
        )


CHECK = Check(
    "pre_period_balance",
    "Were the arms alike before the pilot began?",
    "the charter's covariates in each arm against the control, by Welch's test",
    PrePeriodBalanceRule,
    _run,
)
