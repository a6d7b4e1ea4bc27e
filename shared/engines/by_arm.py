"""What is asked and answered by arm beside the moments: what did not count, when outcomes came, how long units had."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

# What happened to outcomes that were held back begins so.
OUTCOMES = "outcomes: "
# All outcomes together, beside the streams of single metrics.
ANY = "any outcome"
# Every loss but outcomes from before the exposure, which no arm can have caused and no estimate would count.
TOGETHER = "all together"


@dataclass(frozen=True, slots=True)
class Scope:
    """What an engine has to know of a promise to tell losses by arm.

    Attributes:
        arms: every arm, the control first.
        drawn: whether arms were drawn here: what a row that was held back says of its arm then proves nothing.
        starts, closes: the first moment of the time box, and the first one after it.
        ends: the first moment that is not in the data; if before `closes`, units are watched to the last row.
        enrolled: the first moment at which no unit begins any more; None where they may until the end.
        streams: the metrics whose outcomes are followed by day, and bounded where units were lost.
        windows: how many days of a unit's time count, per kind of metric; None for all of them.
    """

    arms: tuple[str, ...]
    drawn: bool
    starts: datetime
    closes: datetime
    ends: datetime
    streams: tuple[str, ...]
    windows: tuple[int | None, ...]
    enrolled: datetime | None = None


@dataclass(frozen=True, slots=True)
class Spread:
    """Exact sums of whole seconds: how many there are, their sum, and the sum of their squares."""

    n: int
    total: int
    squares: int

    @property
    def mean(self) -> float:
        """In seconds; of nothing it is zero."""
        return self.total / self.n if self.n else 0.0

    @property
    def variance(self) -> float:
        """With n - 1, in squared seconds; of fewer than two it is zero."""
        # Whole numbers lose nothing where large squares cancel.
        return (self.n * self.squares - self.total * self.total) / self.n / (self.n - 1) if self.n > 1 else 0.0


@dataclass(frozen=True, slots=True)
class Trimmed:
    """What is left of a metric's mean in both arms where one of them is trimmed, see `by_arm_queries`.

    Attributes:
        frac: the share of the arm with fewer losses that is trimmed.
        low, high: the difference to the control with its best, and with its worst, units trimmed.
    """

    frac: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class ByArm:
    """What an engine says by arm. What is counted are units, or clusters where these were drawn.

    Attributes:
        assigned: all that were exposed, whatever became of them, by the arm they were assigned.
        answering: of these, such as have an outcome since their first exposure, counted or held back.
        lost: by what happened and arm: of the assigned, such as lost something that way; rows of units that nobody
            knows count one each.
        unattributed: by what happened, rows of which no arm can be told.
        unattributed_values: per metric, the sums of what is above zero and below it among these, each as if of a unit
            of its own.
        unread: per metric, by arm, held-back outcomes of these units whose value for it cannot be read.
        ranges: of such metrics, where they add up, the least and the most that an accepted outcome adds.
        exposures: by arm, of the units that counted.
        later: by arm, units with an outcome after the time box, where these are not as many of each arm as in it.
        trimmed: by treatment and metric; only where something was lost, and the metric is a mean of units.
        streams: per stream, by arm and day (`YYYY-MM-DD`) units with such an outcome.
        last: per arm the last counted outcome, RFC 3339.
        after: per arm, units of the other arms with an outcome after that.
        follow_up: per window and arm the units' seconds from first exposure to the window's end, or the data's.
        times: by arm and day of the first exposure, its seconds since the day began.
        cut_short: per window and arm, units whose window ends after the data do.
    """

    assigned: Mapping[str, int]
    answering: Mapping[str, int]
    lost: Mapping[str, Mapping[str, int]]
    unattributed: Mapping[str, int]
    unattributed_values: Mapping[str, tuple[float, float]]
    unread: Mapping[str, Mapping[str, int]]
    streams: Mapping[str, Mapping[tuple[str, str], int]]
    last: Mapping[str, str]
    after: Mapping[str, int]
    follow_up: Mapping[tuple[int | None, str], Spread]
    times: Mapping[tuple[str, str], Spread]
    cut_short: Mapping[tuple[int | None, str], int]
    trimmed: Mapping[tuple[str, str], Trimmed] = field(default_factory=dict)
    ranges: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    exposures: Mapping[str, int] = field(default_factory=dict)
    later: Mapping[str, int] = field(default_factory=dict)
