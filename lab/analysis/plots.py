"""The picture of a pilot's effects as SVG, for MLflow and wherever else a page cannot be shown."""

from __future__ import annotations

from lab.pilots.pilot import Pilot
from shared.evidence.model import Evidence
from shared.ui.intervals import intervals


def picture_of_effects(pilot: Pilot, evidence: Evidence) -> str:
    """Intervals of every effect, beside each guardrail's margin."""
    metrics = {name: pilot.promise.metrics[name] for name in pilot.charter.measured}
    margins = {rail.metric: rail.margin for rail in pilot.charter.guardrails}
    return intervals(metrics, [arm.name for arm in pilot.charter.treatments], evidence.effect, margins)
