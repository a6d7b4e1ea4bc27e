"""The report's table by arm: who was reached, what did not count, when outcomes came, how long units were watched."""

from __future__ import annotations

from dataclasses import dataclass

from lab.pilots.pilot import Pilot
from shared.core.times import date_time
from shared.engines.by_arm import TOGETHER
from shared.engines.protocol import EARLY
from shared.evidence.model import Bound, Completeness, Evidence, Loss
from shared.ui import phrases
from shared.ui.console import counted

HOUR_S, HOURS_PER_DAY = 3_600, 24
NONE = "–"


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One line of the table, in words where it is no count."""

    arm: str
    reached: int
    lost: int
    last: str
    wait: str
    watched: str


def by_arm(evidence: Evidence) -> list[ArmRow]:
    """A row per arm; none of evidence that tells nothing by arm."""
    told = evidence.completeness
    return [] if told is None else [_row(told, arm.arm) for arm in evidence.arms]


def lost(pilot: Pilot, evidence: Evidence) -> list[str]:
    """What did not count, a sentence for each way in which it was lost, and what it may have hidden."""
    told = evidence.completeness
    if told is None:
        return []
    return [*(_loss(loss) for loss in told.losses if loss.what != TOGETHER), *(_bound(pilot, b) for b in told.bounds)]


def _row(told: Completeness, arm: str) -> ArmRow:
    latest = next((one for one in told.latest if one.arm == arm), None)
    watched = {one.arm: one.mean_h for one in told.follow_up} or {}
    of_control = next((one.control_h for one in told.follow_up), None)
    hours = watched.get(arm, of_control)
    kinds = [loss for loss in told.losses if loss.what != EARLY]
    together = next((loss for loss in kinds if loss.what == TOGETHER), kinds[0] if kinds else None)
    return ArmRow(
        arm=arm,
        reached=told.assigned.get(arm, 0),
        lost=together.units.get(arm, 0) if together else 0,
        last=date_time(latest.last) if latest else NONE,
        wait=_time(latest.median_s / HOUR_S) if latest and latest.median_s is not None else NONE,
        watched=_time(hours) if hours is not None else NONE,
    )


def _time(hours: float) -> str:
    return f"{hours / HOURS_PER_DAY:.1f} days" if hours >= 2 * HOURS_PER_DAY else f"{hours:.1f} hours"


def _loss(loss: Loss) -> str:
    each = ", ".join(f"{arm} {units:,}" for arm, units in sorted(loss.units.items()))
    nobodys = f"{counted(loss.unattributed, 'row')} of which no arm can be told" if loss.unattributed else ""
    return f"Did not count ({loss.what}): {'; '.join(filter(None, (each, nobodys)))}."


def _bound(pilot: Pilot, bound: Bound) -> str:
    metric = pilot.promise.metrics[bound.metric]
    low, high = phrases.number(metric, bound.low), phrases.number(metric, bound.high)
    return (
        f"{bound.arm}: one arm lost {100 * bound.frac:.2f} % more of its customers. Whoever they were, the effect on "
        f"{bound.metric} lies between {low} and {high} (Lee 2009)."
    )
