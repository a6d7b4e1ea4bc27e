"""Completeness: what did not count, when, and for how long units could be watched, by arm."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from shared.engines.protocol import Summary
from shared.evidence.contrasts import Contrasts
from shared.evidence.effects import effects
from shared.evidence.health import follow_up, losses, outages
from shared.evidence.model import Completeness, Effect
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.stats.test_methods import Method

Estimated = tuple[Contrasts, Method]


def completeness(
    charter: Charter,
    metrics: Mapping[str, Metric],
    summary: Summary,
    planned: Mapping[str, float],
    whole: Summary | None,
    estimate: Callable[[Summary], Estimated],
) -> Completeness | None:
    """All that is told by arm; None where nobody asked for it.

    `whole` is the summary with everything counted in, None where nothing was lost; `estimate` makes contrasts of a
    summary, with what the charter judges them by.
    """
    told = summary.by_arm
    if told is None:
        return None
    arms = (charter.control.name, *(arm.name for arm in charter.treatments))
    everything, worst = _counted_in(charter, metrics, summary, whole, estimate)
    return Completeness(
        assigned=dict(told.assigned),
        answering=dict(told.answering),
        losses=losses.losses(told, planned),
        unread={name: dict(arms) for name, arms in told.unread.items()},
        everything=everything,
        worst=worst,
        bounds=losses.bounds(told),
        days=outages.days(summary, arms),
        outages=outages.outages(summary, arms),
        latest=outages.latest(summary, arms),
        follow_up=follow_up.follow_up(told, arms),
        time_of_day=follow_up.time_of_day(told, arms),
    )


def _counted_in(
    charter: Charter,
    metrics: Mapping[str, Metric],
    summary: Summary,
    whole: Summary | None,
    estimate: Callable[[Summary], Estimated],
) -> tuple[tuple[Effect, ...], tuple[Effect, ...]]:
    """The deciding effects with everything counted in, and with what is unknown held against the arm as well."""
    told = summary.by_arm
    nobodys = told is not None and any(value for pair in told.unattributed_values.values() for value in pair)
    unknown = nobodys or (told is not None and bool(told.unread))
    if told is None or (whole is None and not unknown):
        return (), ()
    contrasts, method = estimate(whole or summary)
    everything = _deciding(effects(charter, metrics, contrasts, method)) if whole else ()
    if not unknown:
        return everything, ()
    contrasts = losses.against_the_arm(charter, metrics, contrasts, told, (whole or summary).units)
    return everything, _deciding(effects(charter, metrics, contrasts, method))


def _deciding(found: tuple[Effect, ...]) -> tuple[Effect, ...]:
    return tuple(effect for effect in found if effect.part != "secondary")
