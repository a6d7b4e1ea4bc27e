"""Does the gain survive without what a few extreme units add to it?"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from pydantic import Field

from promotion.gate.case import Case
from promotion.gate.check import Rule, check, finding
from shared.core.clock import parse_rfc3339
from shared.evidence.model import Evidence
from shared.trust.finding import Finding

# What a cap can take something from; a share and a quantile are not moved by how extreme a unit is.
CAPPED = {"mean", "count", "ratio"}


class OutlierInfluenceRule(Rule):
    """Thresholds.

    Attributes:
        cap_quantile: each unit counts for at most this quantile of the values above zero, over all arms together (a cap
            for each arm would hide what one of them does). Statsig caps at .999 before it looks; this looks first, and
            asks at a cap that also small pilots feel.
        kept_frac_min: how much of the gain has to be left then. No gate publishes one: half, so that more of it comes
            from the many than from the few.
    """

    cap_quantile: float = Field(default=0.99, gt=0.5, lt=1)
    kept_frac_min: float = Field(default=0.5, ge=0, lt=1)


@check(OutlierInfluenceRule, reads="sealed data: the primary effects computed again with capped units")
def outlier_influence(case: Case, rule: OutlierInfluenceRule) -> Iterator[Finding]:
    """Does the gain survive without what a few extreme units add to it?"""
    names = [each.metric for each in case.charter.primaries if case.promise.metrics[each.metric].kind in CAPPED]
    if not names:
        yield finding("passed", "no single unit can carry a primary metric that is a share or a quantile")
        return
    capped = _capped(case, rule.cap_quantile, names)
    for arm in case.charter.treatments:
        for name in names:
            yield _of_effect(case, rule, capped, arm.name, name)


def _of_effect(case: Case, rule: OutlierInfluenceRule, capped: Evidence, arm: str, name: str) -> Finding:
    whole, left = (each.effect(arm, name) for each in (case.evidence, capped))
    before = math.nan if whole is None or whole.estimate is None else whole.estimate
    after = math.nan if left is None or left.estimate is None else left.estimate
    compared: dict[str, Any] = {"threshold": {"cap_quantile": rule.cap_quantile, "kept_frac_min": rule.kept_frac_min}}
    if not (math.isfinite(before) and math.isfinite(after)):
        problem = next((each.problem for each in (whole, left) if each and each.problem), "no data")
        return finding(
            "unevaluable",
            f"the effect on {name} cannot be computed with and without a cap: {problem}",
            arm=arm,
            remedy="record more data in this arm and the control, or choose a metric that varies",
            **compared,
        )
    compared["measured"] = {"estimate": before, "capped": after}
    told = f"with units capped at the {rule.cap_quantile:g} quantile the difference in {name} is {after:+.4g}, "
    if not before * case.promise.metrics[name].sign > 0:
        return finding("passed", f"there is no gain in {name} that a few units could carry", arm=arm, **compared)
    if after / before >= rule.kept_frac_min:
        return finding("passed", f"{told}without {before:+.4g}", arm=arm, **compared)
    return finding(
        "failed",
        f"{told}and {before:+.4g} without: a few extreme units carry it",
        arm=arm,
        remedy="look whether these units are real; revise with a metric that has a cap",
        **compared,
    )


def _capped(case: Case, quantile: float, names: list[str]) -> Evidence:
    """The evidence once more from the sealed data, with a cap on these metrics in place of their own."""
    from shared.evidence.compute import compute  # DuckDB, which is not for those who only list what waits

    promise = case.promise
    metrics = {
        name: metric.model_copy(update={"cap": None, "cap_quantile": quantile}) if name in names else metric
        for name, metric in promise.metrics.items()
    }
    until = parse_rfc3339(case.candidate.manifest.covers_until)
    return compute(promise.model_copy(update={"metrics": metrics}), case.candidate.data, until, case.engine)
