"""Were the arms alike before the pilot began?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field, model_validator

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.symptoms import NOTHING_DECLARED, limit_of, symptoms_of, unasked
from shared.data.contracts import load_contract
from shared.evidence.health.sample import BALANCE_P_MIN
from shared.trust.finding import Finding
from shared.ui.console import counted

# Two questions are asked, of the largest difference and of all together, so each has half of the error rate.
QUESTIONS = 2
REMEDY = "find out how units came into their arms, and run the pilot again with a new draw"


class PrePeriodBalanceRule(Rule):
    """Thresholds.

    Attributes:
        p_min: over all columns and arms; GrowthBook's default, which Statsig shares.
        rerandomisations: draws that what was found is held against, at most; 5,000 show a p of 0.0002, and a p of half
            of `p_min` needs 2,000 (Phipson and Smyth 2010, "Permutation p-values should never be zero").
        units_per_column: customers, or clusters, for each column that is compared; Harrell 2015, "Regression Modeling
            Strategies", 4.4, asks for 10 to 20.
        required: under the first rules, whether a charter has to name covariates; Eppo asks with CUPED only.
    """

    p_min: float = Field(default=0.001, gt=0, lt=1)
    rerandomisations: int = Field(default=5_000, ge=100, le=10_000_000)
    units_per_column: int = Field(default=20, ge=1)
    required: bool = False

    @model_validator(mode="after")
    def _can_fail(self) -> PrePeriodBalanceRule:
        if self.rerandomisations * self.p_min < QUESTIONS:
            raise ValueError(
                f"{self.rerandomisations} rerandomisations show no p as low as half of p_min ({self.p_min}); "
                f"at least {QUESTIONS / self.p_min:.0f} do"
            )
        return self


@check(
    PrePeriodBalanceRule,
    reads="every published column of the population in each arm, re-randomised as the arms were drawn",
    blind=True,
)
def pre_period_balance(case: Case, rule: PrePeriodBalanceRule) -> Iterator[Finding]:
    """Were the arms alike before the pilot began?"""
    yield from _of_covariates(case, rule) if case.promise.rules == 1 else (_of_all(case, rule),)


def _of_all(case: Case, rule: PrePeriodBalanceRule) -> Finding:
    """All that was published of the units before the pilot, held against the draw made again and again."""
    from shared.stats.balance import balance

    charter = case.charter
    published = load_contract(case.candidate.file(f"contracts/{charter.population}.odcs.yaml")).told
    # What the charter names comes first: where there are too few units, something else is left out.
    told = tuple(dict.fromkeys((*(name for name in charter.traits if name in published), *published)))
    # The control comes last, so that of two arms the other one is named.
    weights = {arm.name: float(arm.weight) for arm in (*charter.treatments, charter.control)}
    arms = tuple(weights)
    data, per_column = case.candidate.data, rule.units_per_column
    known = case.engine.pre_period(data, arms, told, charter.cluster, units_per_column=per_column)
    left = {"left_out": list(known.left_out)} if known.left_out else {}
    drawn, of = len(known.arms), "cluster" if charter.cluster else "unit"
    empty = [arm for number, arm in enumerate(arms) if not (known.arms == number).any()]
    if not known.labels or empty:
        why = (
            f"nobody is in {', '.join(empty)}"
            if empty
            else f"{counted(drawn, of)} are too few"
            if known.left_out
            else "nothing published tells them apart"
        )
        return finding(
            "unevaluable",
            f"the arms cannot be compared as they were before the pilot: {why}",
            measured={"drawn": drawn, "columns": 0, **left},
            threshold={"units_per_column": rule.units_per_column},
            remedy="publish columns of the population that vary, reach more customers, and run again",
        )
    seed = int(case.registration.nonce, 16) if case.registration else 0
    found = balance(known.arms, known.columns, list(weights.values()), times=rule.rerandomisations, seed=seed)
    where, limit = f"{arms[found.arm]} in {known.labels[found.column]}", rule.p_min / QUESTIONS
    compared: dict[str, Any] = {
        "measured": {
            "largest": found.largest, "where": where, "together": found.together, "columns": len(known.labels),
            "drawn": drawn, **left,
        },
        "threshold": {"p_min": rule.p_min, "p_min_each": limit},
    }  # fmt: skip
    aside = f"; not compared, with so few {of}s: {', '.join(known.left_out)}" if known.left_out else ""
    over = f"{counted(len(known.labels), 'column')} known before the pilot"
    if min(found.largest, found.together) < limit:
        told_by = [
            *([f"most of all {where} (p {found.largest:.1e})"] if found.largest < limit else []),
            *([f"all together (p {found.together:.1e})"] if found.together < limit else []),
        ]
        reason = f"the arms differed before the pilot began: {', and '.join(told_by)}, of {over}{aside}"
        return finding("failed", reason, remedy=REMEDY, **compared)
    reason = (
        f"the arms were alike in {over} (largest difference p {found.largest:.2g}, all together {found.together:.2g})"
    )
    return finding("passed", reason + aside, **compared)


def _of_covariates(case: Case, rule: PrePeriodBalanceRule) -> Iterator[Finding]:
    """The first rules: the covariates that the charter names, by Welch's test."""
    if not case.charter.covariates:
        yield finding(
            "unevaluable" if rule.required else "passed",
            NOTHING_DECLARED.format("covariates to compare the arms by"),
            remedy="name a covariate in the charter of the next pilot, like what each unit spent before",
        )
        return
    found = symptoms_of(case, "pre_period_balance")
    limit = limit_of(found[0], rule.p_min, in_evidence=BALANCE_P_MIN)
    compared: dict[str, Any] = {
        "measured": {" ".join(filter(None, (one.arm, one.where))) or "least p of any": one.measured for one in found},
        "threshold": {"p_min": rule.p_min, "p_min_each": limit},
    }
    wrong = [one for one in found if one.state != "unevaluable" and not (one.measured or 0.0) >= limit]
    if wrong:
        told = "; ".join(
            f"{one.arm or 'an arm'} in {one.where or 'a covariate'} (p {one.measured:.1e})" for one in wrong
        )
        yield finding("failed", f"the arms differed before the pilot began: {told}", remedy=REMEDY, **compared)
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
