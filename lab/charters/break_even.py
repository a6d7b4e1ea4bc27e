"""Paying: from which gain on an arm pays, by what its charter says of worth and costs."""

from __future__ import annotations

from collections.abc import Iterator

from shared.experiment.charter import Promise
from shared.ui import phrases


def paying(promise: Promise) -> Iterator[str]:
    """What is worth knowing before launch: the gain that pays, and whether a smaller one would count as worthwhile."""
    charter, value = promise.charter, promise.charter.value
    if value is None:
        if charter.risk_tier == "high":
            yield "it does not say what a gain is worth (`value`): the gate's policy may ask for that at high risk"
        return
    primary = charter.primary
    metric = promise.metrics[primary.metric]
    least = value.break_even
    told = f"it pays from {primary.metric} {phrases.number(metric, metric.sign * least)} on"
    if least > primary.minimum_effect:
        yield (
            f"{told}, and `minimum_effect` is less: an arm between the two wins, and does not pay "
            f"({value.cost_per_month:,.2f} {charter.budget.currency} a month)"
        )
    else:
        yield f"{told}, and the smallest effect worth scaling is not less"
