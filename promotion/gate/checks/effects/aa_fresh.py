"""Does the test keep its error rate on this workspace's own data?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.evidence.effects import part_of
from shared.evidence.model import Part
from shared.trust.aa_certificate import AaCertificate
from shared.trust.finding import Finding, Level


class AaFreshRule(Rule):
    """Thresholds. The certificate is the Lab's word, which the gate does not compute again.

    Attributes:
        level: it warns by default: a workspace without a history has nothing to certify.
        days_max: how old a certificate may be, unless it was made from this candidate's own data; a quarter.
        times_min: the fewest splits that say anything: with 1,000 a rate of 7.2 % is told from 5 %.
        required: whose metrics must hold.
    """

    level: Level = "warn"
    days_max: float = Field(default=90, gt=0)
    times_min: int = Field(default=1_000, ge=100)
    required: tuple[Part, ...] = Field(default=("primary", "guardrail"), min_length=1)


@check(AaFreshRule, reads="the sealed A/A certificate", blind=True)
def aa_fresh(case: Case, rule: AaFreshRule) -> Iterator[Finding]:
    """Does the test keep its error rate on this workspace's own data?"""
    again = f"pilotplant lab aa {case.charter.pilot}, and submit again"
    certificate = case.candidate.certificate()
    if certificate is None:
        yield finding("unevaluable", "the candidate holds no A/A certificate of its metrics", remedy=again)
        return
    required = [name for name in case.charter.measured if part_of(case.charter, name) in rule.required]
    found = {name: certificate.of(name, case.promise.metrics[name].definition) for name in required}
    compared: dict[str, Any] = {
        "measured": {
            "days": round(certificate.age_days(case.now), 3),
            "times": certificate.asked.times,
            "rates": {name: each.rate if each else None for name, each in found.items()},
        },
        "threshold": {"alpha": case.charter.sample.alpha, "days_max": rule.days_max, "times_min": rule.times_min},
    }
    unfit = list(_unfit(case, rule, certificate))
    failed = [each for each in found.values() if each and each.verdict == "fails"]
    if unfit:
        yield finding("unevaluable", "; ".join(unfit), remedy=again, **compared)
    elif failed:
        yield finding(
            "failed",
            "; ".join(f"{each.metric}: {each.reason}" for each in failed),
            remedy="cap the metric or take more units; a difference that such a test finds may be none",
            **compared,
        )
    elif gaps := [_gap(name, each) for name, each in found.items() if each is None or each.verdict != "holds"]:
        yield finding("unevaluable", "; ".join(gaps), remedy=again, **compared)
    else:
        told = ", ".join(f"{each.metric} {100 * (each.rate or 0):.1f} %" for each in found.values() if each)
        yield finding("passed", f"false alarms in {certificate.asked.times:,} splits: {told}", **compared)


def _unfit(case: Case, rule: AaFreshRule, certificate: AaCertificate) -> Iterator[str]:
    """Why a certificate says nothing of this candidate."""
    asked, alpha = certificate.asked, case.charter.sample.alpha
    if (asked.workspace, asked.mode) != (case.room.workspace.id, case.mode):
        yield "the certificate was made in another workspace"
    if asked.alpha != alpha:
        yield f"the certificate is on tests at {asked.alpha:g}, and the charter's are at {alpha:g}"
    if asked.times < rule.times_min:
        yield f"its {asked.times:,} splits are too few"
    days = certificate.age_days(case.now)
    if days < 0:
        yield "the certificate is from the future"
    elif days > rule.days_max and asked.source.data != case.evidence.data:
        yield f"the certificate is {days:.0f} days old"


def _gap(name: str, found: Any) -> str:
    return f"{name} is not certified" + (f": {found.reason}" if found else " by the charter's definition")
