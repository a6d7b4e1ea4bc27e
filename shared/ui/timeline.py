"""Timelines: something that was measured each day, as places in per cent that a page draws."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, sqrt

from shared.evidence.model import Day, DayEffect, Evidence
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.ui import phrases
from shared.ui.forest import ARMS_TOLD_APART, Scale

# So many days have their name below them.
NAMED = 6
# Normal's 99.95 % point: where a day's share lies outside by chance once in a thousand.
Z_DAY = 3.2905267314919255


@dataclass(frozen=True, slots=True)
class Point:
    """One arm on one day: places from the top and the left, and its numbers in words; `low` is None without an end."""

    at: float
    low: float | None
    mid: float
    high: float | None
    told: str


@dataclass(frozen=True, slots=True)
class Course:
    """One arm over time; `shade` as in a forest."""

    arm: str
    shade: int
    points: tuple[Point, ...]


@dataclass(frozen=True, slots=True)
class Timeline:
    """One drawing.

    Attributes:
        note: what it is about, in words.
        none: where no difference is, from the top.
        days: places of named days with their names; `ticks` the same of numbers, from the top.
    """

    title: str
    note: str
    none: float
    courses: tuple[Course, ...]
    days: tuple[tuple[float, str], ...]
    ticks: tuple[tuple[float, str], ...]


def over_time(charter: Charter, metrics: Mapping[str, Metric], evidence: Evidence) -> Iterator[Timeline]:
    """Each primary metric's effect with all units exposed until each day; nothing where there is one day alone."""
    for primary in charter.primaries if len(evidence.days) > 1 else ():
        metric, found = metrics[primary.metric], _by_arm(charter, evidence.days, primary.metric)
        ends = [end for one in found.values() for _, each in one for end in (each.low, each.high) if end is not None]
        if not ends:
            continue
        scale = Scale(min(0.0, *ends), max(0.0, *ends))
        courses = tuple(
            Course(arm, _shade(number), tuple(_points(metric, arm, each, evidence.days, scale)))
            for number, (arm, each) in enumerate(found.items(), start=1)
        )
        ticks = tuple((_down(scale, tick), phrases.tick(metric, tick)) for tick in scale.ticks())
        note = "with all customers reached until each day, as it is known now"
        yield Timeline(primary.metric, note, _down(scale, 0.0), courses, _days(evidence.days), ticks)


def shares(evidence: Evidence) -> Timeline | None:
    """How far each arm's share of each day's units is from the planned one; None where there is one day alone."""
    days = [day for day in evidence.days if sum(day.units.values())]
    if len(days) < 2:  # noqa: PLR2004 - one day is no course
        return None
    planned = {arm.arm: arm.planned_frac for arm in evidence.arms}
    apart = {
        arm: [day.units.get(arm, 0) / sum(day.units.values()) - frac for day in days] for arm, frac in planned.items()
    }
    by_chance = Z_DAY * sqrt(max(f * (1 - f) for f in planned.values()) / min(sum(day.units.values()) for day in days))
    ends = [by_chance, *(abs(each) for one in apart.values() for each in one)]
    scale = Scale(-max(ends), max(ends))
    treated = [arm for arm in planned if arm != evidence.control]
    courses = tuple(
        Course(
            arm,
            _shade(treated.index(arm) + 1) if arm in treated else 0,
            tuple(
                Point(_across(at, len(days)), None, _down(scale, each), None,
                      f"{arm}, {days[at].day}: {100 * each:+.1f} points from its planned share")
                for at, each in enumerate(apart[arm])
            ),
        )
        for arm in planned
    )  # fmt: skip
    note = f"less the planned one, in points; chance alone leaves it within {100 * by_chance:.1f} on the smallest day"
    ticks = tuple((_down(scale, tick), f"{100 * tick:+g}".replace("-", "−") if tick else "0") for tick in scale.ticks())
    return Timeline("Share of each day's customers", note, _down(scale, 0.0), courses, _days(days), ticks)


def _by_arm(charter: Charter, days: Sequence[Day], name: str) -> dict[str, list[tuple[int, DayEffect]]]:
    """Of each treatment, the effects that there are, with the day's number."""
    found: dict[str, list[tuple[int, DayEffect]]] = {arm.name: [] for arm in charter.treatments}
    for at, day in enumerate(days):
        for one in day.effects:
            if one.metric == name and one.arm in found and None not in {one.estimate, one.low, one.high}:
                found[one.arm].append((at, one))
    return found


def _points(
    metric: Metric, arm: str, found: Sequence[tuple[int, DayEffect]], days: Sequence[Day], scale: Scale
) -> Iterator[Point]:
    for at, one in found:
        if one.estimate is None or one.low is None or one.high is None:
            continue
        told = f"{phrases.change(metric, one.estimate)}, probably {phrases.from_to(metric, one.low, one.high)}"
        low, mid, high = (_down(scale, each) for each in (one.low, one.estimate, one.high))
        yield Point(_across(at, len(days)), low, mid, high, f"{arm}, {days[at].day}: {told}")


def _days(days: Sequence[Day]) -> tuple[tuple[float, str], ...]:
    every = ceil(len(days) / NAMED)
    return tuple((_across(at, len(days)), days[at].day[5:]) for at in range(0, len(days), every))


def _across(at: int, count: int) -> float:
    """Where a day is, from the left; the numbers stand before it."""
    return round(12 + 84 * at / max(1, count - 1), 2)


def _down(scale: Scale, value: float) -> float:
    """Where a number is, from the top."""
    return round(100 - scale.at(value), 2)


def _shade(number: int) -> int:
    return number if number <= ARMS_TOLD_APART else 0
