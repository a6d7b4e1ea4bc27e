"""What the checks of health look at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from shared.engines.protocol import Summary
from shared.evidence.model import Completeness, Effect, SegmentEffect
from shared.experiment.charter import RULES, Charter
from shared.experiment.metrics import Metric


@dataclass(frozen=True, slots=True)
class HealthContext:
    """What the checks look at.

    Attributes:
        planned: each arm's planned share.
        complete: whether the time box is over and all of it in the data.
        completeness: what is told by arm; None under rules 1.
        rules: under which the promise was made.
    """

    charter: Charter
    metrics: Mapping[str, Metric]
    planned: Mapping[str, float]
    summary: Summary
    effects: Sequence[Effect]
    segments: Sequence[SegmentEffect]
    complete: bool
    completeness: Completeness | None = None
    rules: int = RULES

    @property
    def primaries(self) -> list[Effect]:
        """The effects on primary metrics."""
        return [effect for effect in self.effects if effect.part == "primary"]
