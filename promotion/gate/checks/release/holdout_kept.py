"""Does the play leave the holdouts alone, and is the workspace's the one that the pilot was frozen with?"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from promotion.gate.facts.per_arm import by_arm
from promotion.gate.preflight import remedy
from shared.trust.finding import Finding
from shared.trust.preflight import ShadowRun
from shared.ui.console import counted


@check(
    reads="the promise, the preflight report: holdout shares and the shadow run's messages",
    group="value and risk",
    blind=True,
)
def holdout_kept(case: Case, _rule: Rule) -> Iterator[Finding]:
    """Does the play leave the holdouts alone, as the pilot was frozen?"""
    yield _of_shares(case)
    yield from by_arm(case, case.preflight.report.shadow_runs, lambda run: _of_arm(case, run))


def _of_shares(case: Case) -> Finding:
    found, frozen = case.preflight.report.holdout, case.promise.holdout_frac
    compared: dict[str, Any] = {
        "measured": found.model_dump(mode="json"),
        "threshold": str(frozen),
    }
    again = remedy(case.charter.pilot)
    if found.published is None:
        told = "nothing is published, so nobody can say which holdout the Lab was told of"
        return finding("unevaluable", told, remedy=f"pilotplant factory publish, then {again}", **compared)
    shares = {Decimal(found.frozen), Decimal(found.published), Decimal(found.present)}
    if shares != {frozen}:
        return finding(
            "failed",
            f"the holdout of all customers is {found.present} now and {found.published} as published, "
            f"and the pilot was frozen with {frozen}",
            remedy="start a new pilot; or have holdout_frac in configs/factory.yaml put back and published, "
            f"then {again}",
            **compared,
        )
    return finding("passed", f"a share of {frozen} of all customers is left alone, as the pilot was frozen", **compared)


def _of_arm(case: Case, run: ShadowRun) -> Finding:
    share = case.charter.play(run.arm).holdout_frac
    compared: dict[str, Any] = {
        "measured": {"touched": run.holdout_touched, "held_out": run.held_out, "audience": run.audience},
        "threshold": {"touched": 0, "holdout_frac": str(share)},
    }
    if not run.ran:
        told = "the play was not run, so nobody can say whom it would leave alone"
        return finding("unevaluable", told, remedy=f"see shadow_run, then {remedy(case.charter.pilot)}", **compared)
    if run.holdout_touched:
        told = f"{counted(run.holdout_touched, 'message')} would go to units of a holdout"
        return finding("failed", told, remedy="report this: the Factory counts its holdouts in two ways", **compared)
    told = f"{run.held_out:,} of {run.audience:,} units are left alone, none of them is written to"
    return finding("passed", told, **compared)
