"""Symptoms: what beyond the sample ratio tells whether a pilot's data can be believed. They describe, the gate judges.

Every check says something each time it is asked: that all is good, what is not, or why it could not look. What could
not be looked at is never good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shared.evidence.health import coverage, effects, missing_data, sample
from shared.evidence.health.context import HealthContext
from shared.evidence.model import Completeness, Symptom

CHECKS: tuple[Callable[[HealthContext], Iterator[Symptom]], ...] = (
    sample.ratio_by_day,
    sample.ratio_by_segment,
    sample.multiple_exposure,
    sample.pre_period_balance,
    sample.traits_known,
    sample.left_out_alike,
    coverage.recording_gaps,
    coverage.weekdays,
    effects.novelty,
    effects.segment_reversals,
    effects.outliers,
    effects.in_its_domain,
    effects.improbable,
    effects.degenerate,
)

# Of what is told by arm, which a promise of an earlier build does not ask for.
BY_ARM: tuple[Callable[[HealthContext, Completeness], Iterator[Symptom]], ...] = (
    missing_data.losses_by_arm,
    missing_data.outages_by_arm,
    missing_data.time_at_risk,
)


def symptoms(context: HealthContext) -> tuple[Symptom, ...]:
    """What every check found, in the order of `CHECKS`, and of `BY_ARM` where anything is told by arm."""
    found = [symptom for check in CHECKS for symptom in check(context)]
    if context.completeness is not None:
        found += [symptom for check in BY_ARM for symptom in check(context, context.completeness)]
    return tuple(found)
