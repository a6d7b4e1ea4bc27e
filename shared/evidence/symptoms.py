"""Symptoms: what beyond the sample ratio tells whether a pilot's data can be believed. They describe, the gate judges.

Every check says something each time it is asked: that all is good, what is not, or why it could not look. What could
not be looked at is never good.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from shared.evidence import missing, recording, what_showed, who_came
from shared.evidence.model import Completeness, Symptom
from shared.evidence.seen import Seen

CHECKS: tuple[Callable[[Seen], Iterator[Symptom]], ...] = (
    who_came.ratio_by_day,
    who_came.ratio_by_segment,
    who_came.multiple_exposure,
    who_came.pre_period_balance,
    who_came.traits_known,
    who_came.left_out_alike,
    recording.recording_gaps,
    recording.weekdays,
    what_showed.novelty,
    what_showed.segment_reversals,
    what_showed.outliers,
    what_showed.in_its_domain,
    what_showed.improbable,
    what_showed.degenerate,
)

# Of what is told by arm, which a promise of an earlier build does not ask for.
BY_ARM: tuple[Callable[[Seen, Completeness], Iterator[Symptom]], ...] = (
    missing.losses_by_arm,
    missing.outages_by_arm,
    missing.time_at_risk,
)


def symptoms(seen: Seen) -> tuple[Symptom, ...]:
    """What every check found, in the order of `CHECKS`, and of `BY_ARM` where anything is told by arm."""
    found = [symptom for check in CHECKS for symptom in check(seen)]
    if seen.completeness is not None:
        found += [symptom for check in BY_ARM for symptom in check(seen, seen.completeness)]
    return tuple(found)
