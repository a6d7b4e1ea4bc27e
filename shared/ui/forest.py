"""Forests: effects of one metric with their intervals on one scale, as places in per cent that a page draws.

Unlike a picture, they keep their letters' size on a telephone, follow the reader's colours, and need no library.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10

from shared.core.printable import line
from shared.evidence.conclusions import kept, wins
from shared.evidence.model import Between, Effect, Evidence, SegmentEffect
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.ui import phrases

# Of the drawing's width, free on both sides.
MARGIN = 0.06
# About so many steps from one end of the scale to the other.
STEPS = 4
ARMS_TOLD_APART = 3
# Of a segment with more levels the first ones are drawn.
ROWS_MAX = 40


@dataclass(frozen=True, slots=True)
class Row:
    """One effect: its places in per cent, and its numbers in words; places are None where it has none.

    Attributes:
        label: the arm's name, or that of a segment's level or of two arms.
        shade: which of the arms' colours and shapes it has; 0 for one without.
        verdict: whether it reached or kept what the plan asked for: `go`, `no`, or `quiet` where it asked for nothing.
        word: that, in words.
        told: what a reader who does not see the drawing is told.
    """

    label: str
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
        part: what the plan asked of it, or what it is about, in words.
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


def between(charter: Charter, metrics: Mapping[str, Metric], pairs: Sequence[Between]) -> Iterator[Forest]:
    """A forest for each primary metric in which arms are compared with each other."""
    for primary in charter.primaries:
        metric, found = metrics[primary.metric], [one for one in pairs if one.metric == primary.metric]
        if not found:
            continue
        scale = _scale_of(found)
        rows = (
            _row(metric, f"{one.arm} less {one.other}", one, scale, *_told_apart(metric, one), shade=0) for one in found
        )
        yield Forest(primary.metric, "Arms against each other", tuple(rows), scale.at(0.0), None, None,
                     _ticks(metric, scale))  # fmt: skip


def segments(charter: Charter, metrics: Mapping[str, Metric], evidence: Evidence) -> Iterator[Forest]:
    """A forest for each segment and primary metric: a row for each level, and for each arm where there are several."""
    names = list(dict.fromkeys(one.segment for one in evidence.segments))
    arms = [arm.name for arm in charter.treatments]
    for primary in charter.primaries:
        metric = metrics[primary.metric]
        for name in names:
            found = [
                one
                for one in evidence.segments
                if (one.segment, one.metric) == (name, primary.metric) and one.arm in arms
            ]
            if not any(one.estimate is not None for one in found):
                continue
            scale = _scale_of(found[:ROWS_MAX])
            rows = (
                _row(metric, _level(one, len(arms)), one, scale, "quiet", _customers(one), shade=_shade(arms, one.arm))
                for one in found[:ROWS_MAX]
            )
            more = "" if len(found) <= ROWS_MAX else f"; {len(found) - ROWS_MAX} more are in the evidence"
            yield Forest(primary.metric, f"By {name}{more}", tuple(rows), scale.at(0.0), None, None,
                         _ticks(metric, scale))  # fmt: skip


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
    arms = [arm.name for arm in charter.treatments]
    effects = {arm: evidence.effect(arm, name) for arm in arms}
    scale = _scale_of([one for one in effects.values() if one], least, limit)
    sure = f"{100 * (1 - evidence.alpha):g} %"
    rows = []
    for arm, one in effects.items():
        tone, word = ("quiet", "") if one is None else _judged(charter, metric, one)
        told = None if one is None else phrases.in_words(metric, one, sure)
        rows.append(_row(metric, arm, one, scale, tone, word, shade=_shade(arms, arm), told=told))
    least_at, limit_at = (None if each is None else scale.at(each) for each in (least, limit))
    return Forest(name, part, tuple(rows), scale.at(0.0), least_at, limit_at, _ticks(metric, scale))


def _row(
    metric: Metric,
    label: str,
    found: Effect | SegmentEffect | Between | None,
    scale: Scale,
    tone: str,
    word: str,
    *,
    shade: int,
    told: str | None = None,
) -> Row:
    if found is None or found.estimate is None or found.low is None or found.high is None:
        why = (found.problem if found else None) or "there are no data"
        return Row(label, shade, None, None, None, "–", "", "quiet", "Could not be checked", f"{label}: {why}")
    value, ends = phrases.change(metric, found.estimate), phrases.from_to(metric, found.low, found.high)
    said = f"{label}: {told or f'{value}, probably {ends}'}. {word}."
    low, mid, high = (scale.at(each) for each in (found.low, found.estimate, found.high))
    return Row(label, shade, low, mid, high, value, ends, tone, word, said)


def _scale_of(found: Sequence[Effect | SegmentEffect | Between], *more: float | None) -> Scale:
    """A scale on which all intervals, none and what the plan asks for have their places."""
    values = [0.0, *(each for each in more if each is not None)]
    values += [end for one in found for end in (one.low, one.high) if end is not None]
    return Scale(min(values), max(values))


def _ticks(metric: Metric, scale: Scale) -> tuple[tuple[float, str], ...]:
    return tuple((scale.at(tick), phrases.tick(metric, tick)) for tick in scale.ticks())


def _shade(arms: Sequence[str], arm: str) -> int:
    at = arms.index(arm) + 1
    return at if at <= ARMS_TOLD_APART else 0


def _level(found: SegmentEffect, arms: int) -> str:
    level = "(none)" if found.level is None else line(found.level)
    return level if arms == 1 else f"{level}, {found.arm}"


def _customers(found: SegmentEffect) -> str:
    return "{:,} and {:,}".format(*found.units)


def _told_apart(metric: Metric, found: Between) -> tuple[str, str]:
    """Whether one of two arms is shown to be the better one."""
    if found.low is None or found.high is None or found.low <= 0 <= found.high:
        return "quiet", "Neither is shown to be better"
    return "go", f"{found.arm if metric.sign * found.low > 0 else found.other} is better"


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
        return [step * at for at in range(ceil(round(self.low / step, 9)), floor(round(self.high / step, 9)) + 1)]
