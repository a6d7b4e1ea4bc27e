"""Were outcomes from before the exposure, which no arm can have caused, few and alike in every arm?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.engines.answers import EarlyOutcomes
from shared.evidence.health.sample_ratios import EXPECTED_MIN
from shared.stats.special import chdtrc
from shared.trust.finding import Finding


class OutcomesAfterExposureRule(Rule):
    """Thresholds. What came before its unit's exposure counts in no effect; here it shows how exposures were logged.

    Attributes:
        frac_max: the share of outcomes from before the exposure. No gate publishes one: where units are exposed evenly
            over the time box and go on as ever, half of them are, and more are so only if exposures are logged late.
        p_min: how improbable the difference between arms may be, by a joint chi-square; that of the sample ratio.
    """

    frac_max: float = Field(default=0.5, gt=0, lt=1)
    p_min: float = Field(default=0.001, gt=0, lt=1)


@check(OutcomesAfterExposureRule, reads="sealed exposures, outcomes and conflicts", blind=True)
def outcomes_after_exposure(case: Case, rule: OutcomesAfterExposureRule) -> Iterator[Finding]:
    """Were outcomes from before the exposure, which no arm can have caused, few and alike in every arm?"""
    found = case.engine.early_outcomes(case.candidate.data, case.charter.cluster)
    whole = found.before + found.after
    if not sum(found.drawn.values()) or not whole:
        yield finding(
            "unevaluable",
            "no outcome of an exposed unit was recorded",
            threshold={"frac_max": rule.frac_max, "p_min": rule.p_min},
            remedy="record exposures and outcomes",
        )
        return
    share, p = found.before / whole, _p(found)
    compared: dict[str, Any] = {
        "measured": {"frac": share, "p": p, "early": found.early, "drawn": found.drawn},
        "threshold": {"frac_max": rule.frac_max, "p_min": rule.p_min},
    }
    told = f"{found.before:,} of {whole:,} outcomes came before their unit's first exposure"
    if share > rule.frac_max:
        yield finding(
            "failed",
            f"{told}: exposures are logged too late",
            remedy="log an exposure when it happens, and run the pilot again",
            **compared,
        )
    elif p is not None and p < rule.p_min:
        yield finding(
            "failed",
            f"{told}, in one arm more than in another (p {p:.1e}), which no arm can have caused",
            remedy="find out why exposures are logged otherwise in one arm, mend it, and run the pilot again",
            **compared,
        )
    else:
        yield finding("passed", f"{told}, and the arms are alike in it", **compared)


def _p(found: EarlyOutcomes) -> float | None:
    """Pearson's joint chi-square of arms by having an outcome before the exposure; None where these are too few."""
    drawn, early = sum(found.drawn.values()), sum(found.early.values())
    frac = early / drawn
    least = min(found.drawn.values())
    if len(found.drawn) < 2 or min(frac, 1 - frac) * least < EXPECTED_MIN:  # noqa: PLR2004 - arms to compare
        return None
    chi2 = sum((found.early.get(arm, 0) - n * frac) ** 2 / (n * frac * (1 - frac)) for arm, n in found.drawn.items())
    return float(chdtrc(len(found.drawn) - 1, chi2))
