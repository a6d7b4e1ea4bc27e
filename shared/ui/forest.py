"""Forests: each effect of a metric with its interval on one scale, as places in per cent that a page draws.

Unlike a picture, they keep their letters' size on a telephone, follow the reader's colours, and need no library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from shared.evidence.conclusions import kept, wins
from shared.evidence.model import Effect, Evidence
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.ui import phrases

# Of the drawing's width, free on both sides.
MARGIN = 0.06
# About so many steps from one end of the scale to the other.
STEPS = 4
ARMS_TOLD_APART = 3


@dataclass(frozen=True, slots=True)
class Row:
    """One arm's effect: its places in per cent, and its numbers in words; places are None where it has none.

    Attributes:
        shade: which of the arms' colours and shapes it has; 0 for one without.
        verdict: whether it reached or kept what the plan asked for: `go`, `no`, or `quiet` where it asked for nothing.
        word: that, in words.
        told: what a reader who does not see the drawing is told.
    """

    arm: str
    shade: int
    low: float | None
    mid: float | None
    high: float | None
    value: str
    interval: str
    verdict: str
    word: str
    told: str


@dataclass(frozen=True, slots=True)
class Forest:
    """The effects of one metric.

    Attributes:
        part: what the plan asked of it, in words.
        none, least, limit: where no difference, the smallest gain worth it and the safety limit are; None without.
        ticks: places of the scale with their numbers.
    """

    metric: str
    part: str
    rows: tuple[Row, ...]
    none: float
    least: float | None
    limit: float | None
    ticks: tuple[tuple[float, str], ...]


def forests(charter: Charter, metrics: Mapping[str, Metric], evidence: Evidence) -> Iterator[Forest]:
    """A forest for each primary metric, guardrail and secondary metric of the charter, in this order."""
    for primary in charter.primaries:
        metric = metrics[primary.metric]
        part = f"The goal: at least {phrases.amount(metric, primary.minimum_effect)} better"
        least = metric.sign * primary.minimum_effect
        yield _forest(charter, metric, primary.metric, part, evidence, least=least)
    for rail in charter.guardrails:
        metric = metrics[rail.metric]
        part = f"A safety limit: {phrases.at_most(metric, rail.metric, rail.margin)}"
        yield _forest(charter, metric, rail.metric, part, evidence, limit=rail.margin)
    for name in charter.secondary:
        yield _forest(charter, metrics[name], name, "Looked at as well; it decides nothing", evidence)


def _forest(
    charter: Charter,
    metric: Metric,
    name: str,
    part: str,
    evidence: Evidence,
    *,
    least: float | None = None,
    limit: float | None = None,
) -> Forest:
    effects = [(arm.name, evidence.effect(arm.name, name)) for arm in charter.treatments]
    values = [0.0, *(each for each in (least, limit) if each is not None)]
    values += [end for _, one in effects if one for end in (one.low, one.high) if end is not None]
    scale = Scale(min(values), max(values))
    rows = tuple(
        _row(charter, metric, arm, one, evidence, scale, shade=at if at <= ARMS_TOLD_APART else 0)
        for at, (arm, one) in enumerate(effects, start=1)
    )
    ticks = tuple((scale.at(tick), phrases.tick(metric, tick)) for tick in scale.ticks())
    least_at, limit_at = (None if each is None else scale.at(each) for each in (least, limit))
    return Forest(name, part, rows, scale.at(0.0), least_at, limit_at, ticks)


def _row(
    charter: Charter,
    metric: Metric,
    arm: str,
    found: Effect | None,
    evidence: Evidence,
    scale: Scale,
    *,
    shade: int,
) -> Row:
    if found is None or found.estimate is None or found.low is None or found.high is None:
        why = (found.problem if found else None) or "there are no data"
        return Row(arm, shade, None, None, None, "–", "", "quiet", "Could not be checked", f"{arm}: {why}")
    verdict, word = _judged(charter, metric, found)
    value, interval = phrases.change(metric, found.estimate), phrases.from_to(metric, found.low, found.high)
    return Row(
        arm, shade, scale.at(found.low), scale.at(found.estimate), scale.at(found.high), value, interval, verdict, word,
        f"{arm}: {phrases.in_words(metric, found, f'{100 * (1 - evidence.alpha):g} %')}. {word}.",
    )  # fmt: skip


def _judged(charter: Charter, metric: Metric, found: Effect) -> tuple[str, str]:
    """Whether the goal is reached or the limit kept, by the charter's own rule; the gate asks more."""
    if (primary := charter.primary_of(found.metric)) is not None:
        return ("go", "Reached") if wins(found, primary, metric, charter) else ("no", "Missed")
    rail = next((rail for rail in charter.guardrails if rail.metric == found.metric), None)
    if rail is not None:
        return ("go", "Kept") if kept(found, rail, metric, charter) else ("no", "Not shown to be kept")
    return "quiet", "A hint"


@dataclass(frozen=True, slots=True)
class Scale:
    """Numbers from `low` to `high` as places in per cent."""

    low: float
    high: float

    def at(self, value: float) -> float:
        """Where a number is."""
        width = self.high - self.low or 1.0
        return round(100 * (MARGIN + (1 - 2 * MARGIN) * (value - self.low) / width), 2)

    def ticks(self) -> Sequence[float]:
        """Round numbers on it, zero among them."""
        width = (self.high - self.low or 1.0) / STEPS
        size = 10 ** floor(log10(width))
        step = next(size * each for each in (1, 2, 5, 10) if size * each >= width)
        return [step * at for at in range(ceil(self.low / step), floor(self.high / step) + 1)]
