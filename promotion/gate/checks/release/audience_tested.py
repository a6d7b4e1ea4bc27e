"""Would the play reach those that it was tested on?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.per_arm import by_arm
from promotion.gate.preflight import remedy
from shared.experiment.precautions import TESTED_FRAC_MIN, WIDER_MAX
from shared.trust.finding import Finding, Level
from shared.trust.preflight import ShadowRun


class AudienceRule(Rule):
    """Threshold.

    Attributes:
        level: it warns by default: an audience that is told by what customers do changes by the day, and who had the
            letter may rightly not get another.
        tested_frac_min: the least share of the units that the pilot exposed which the play would reach as well. The
            effect is a mean over all of them; whom a narrower audience leaves out had a part in it (Stuart et al. 2011,
            "The use of propensity scores to assess the generalizability of results from randomized trials").
        wider_max: of a charter that says who is eligible, how many times as many units the play may reach as might take
            part: of the others nothing is known. Where all of the population might, a wider one is not asked about.
    """

    level: Level = "warn"
    tested_frac_min: float = Field(default=TESTED_FRAC_MIN, ge=0, le=1)
    wider_max: float = Field(default=WIDER_MAX, ge=1, allow_inf_nan=False)


@check(
    AudienceRule,
    reads="the preflight report: the audience of the shadow run, and the units of the sealed exposures",
    group="value and risk",
    blind=True,
    since=3,
)
def audience_tested(case: Case, rule: AudienceRule) -> Iterator[Finding]:
    """Would the play reach those that it was tested on?"""
    yield from by_arm(case, case.preflight.report.shadow_runs, lambda run: _judged(case, rule, run))


def _wider(case: Case, rule: AudienceRule, run: ShadowRun) -> Finding | None:
    """What speaks against a play that reaches more than those who might take part."""
    eligible = case.promise.eligible
    if eligible is None or run.audience <= rule.wider_max * eligible.units:
        return None
    return finding(
        "failed",
        f"the play would reach {run.audience:,} units, and {eligible.units:,} were eligible for the pilot: nothing is "
        "known of the others",
        remedy="revise: let the play write to those who are eligible, or try it on all whom it would reach",
        measured={"audience": run.audience, "eligible": eligible.units},
        threshold={"wider_max": rule.wider_max},
    )


def _judged(case: Case, rule: AudienceRule, run: ShadowRun) -> Finding:
    again, tested, both = remedy(case.charter.pilot), run.tested, run.tested_selected
    if not run.ran or not tested or both is None:
        told = (
            "the play was not run" if not run.ran else "the report does not say who of the tested units it would reach"
        )
        return finding("unevaluable", told, remedy=again, measured=None, threshold=rule.tested_frac_min)
    if (wider := _wider(case, rule, run)) is not None:
        return wider
    compared: dict[str, Any] = {
        "measured": {"tested": tested, "of_them_reached": both, "audience": run.audience},
        "threshold": {"tested_frac_min": rule.tested_frac_min},
    }
    told = (
        f"of {tested:,} units that the pilot was tried on the play would reach {both:,} ({100 * both / tested:.0f} %), "
        f"of {run.audience:,} in all"
    )
    if both < rule.tested_frac_min * tested:
        return finding(
            "failed",
            f"{told}: the effect is that on all of them",
            remedy="revise: say `eligible:` with the play's audience, so that nobody else takes part",
            **compared,
        )
    return finding("passed", told, **compared)
