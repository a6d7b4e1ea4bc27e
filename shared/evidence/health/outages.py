"""Outages: days on which one arm's outcomes were not recorded, and arms whose data end before the others'."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from shared.core.clock import parse_rfc3339
from shared.engines.by_arm import ANY, ByArm
from shared.engines.protocol import Summary
from shared.evidence.model import DayByArm, Latest, Outage
from shared.stats.special import bdtr, gammaln, ndtr

# Of several days an outage shows where a single one is too few; after a week it is the data's end, or its beginning.
DAYS_MAX = 7
# So many terms of a tail are added up exactly; beyond, its normal limit is as good.
TERMS_MAX = 2_000
# A smaller share missing is no outage: effects come and go over the days by as much. No gate publishes one; half of an
# arm's outcomes missing shows by it. The days that are kept are chosen by it, so that no policy changes it.
MISSING_FRAC_MIN = 1 / 3
# Fabijan et al. (2019), as for arms of the wrong size.
P_MIN = 0.001
# An arm whose data end by less before the others' loses hardly anything: see `shared.evidence.health.follow_up`.
HOURS_MIN = 2.0
HOUR_S = 3_600

Counts = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class _Stream:
    """Units with an outcome, and units at risk, arms x days."""

    name: str
    days: Sequence[date]
    outcomes: Counts
    at_risk: Counts


def days(summary: Summary, arms: Sequence[str]) -> tuple[DayByArm, ...]:
    """Exposures and outcomes by day and arm."""
    if summary.by_arm is None:
        return ()
    exposed, answering = summary.drawn_by_day, summary.by_arm.streams.get(ANY, {})
    named = sorted({str(day) for _, day in (*exposed, *answering)})
    return tuple(
        DayByArm(
            day=day,
            exposed={arm: exposed.get((arm, day), 0) for arm in arms},
            answering={arm: answering.get((arm, day), 0) for arm in arms},
        )
        for day in named
    )


def outages(summary: Summary, arms: Sequence[str]) -> tuple[Outage, ...]:
    """Per arm its worst days, over all streams; none of an arm where fewer than two days, or arms, have outcomes."""
    streams = [found for found in _streams(summary, arms) if len(found.days) > 1]
    found = [each for stream in streams for each in _windows(stream, arms)]
    return tuple(
        min(
            (replaced for each in found if each.arm == arm for replaced in [_for_all(each, len(found))]),
            key=lambda each: (each.outcomes > (1 - MISSING_FRAC_MIN) * each.expected, each.p, each.days, each.day),
        )
        for arm in arms
        if any(each.arm == arm for each in found)
    )


def latest(summary: Summary, arms: Sequence[str]) -> tuple[Latest, ...]:
    """When each arm's data end; none of an arm without an outcome."""
    told = summary.by_arm
    if told is None or not told.last:
        return ()
    units = {arm: sum(n for (of, _), n in told.streams.get(ANY, {}).items() if of == arm) for arm in arms}
    ends = max(parse_rfc3339(at) for at in told.last.values())
    return tuple(
        Latest(
            arm=arm,
            last=told.last[arm],
            hours=(ends - parse_rfc3339(told.last[arm])).total_seconds() / HOUR_S,
            after=told.after[arm],
            p=_nothing_since(told, arms, arm, units),
            median_s=summary.delays[arm].median_s if arm in summary.delays else None,
        )
        for arm in arms
        if arm in told.last
    )


def down(found: Sequence[Outage], p_min: float = P_MIN) -> list[Outage]:
    """The outages that chance does not explain, and that are large enough to be one."""
    return [one for one in found if one.p < p_min and one.outcomes <= (1 - MISSING_FRAC_MIN) * one.expected]


def behind(found: Sequence[Latest], p_min: float = P_MIN, hours_min: float = HOURS_MIN) -> list[Latest]:
    """The arms whose data end too early for chance, and by so many hours."""
    return [one for one in found if one.p < p_min and one.hours >= hours_min]


def _nothing_since(told: ByArm, arms: Sequence[str], arm: str, units: Mapping[str, int]) -> float:
    """That so many since are all of other arms, by the arm's share of outcomes, or of units where that is less."""
    shares = [counts.get(arm, 0) / total for counts in (units, told.assigned) if (total := sum(counts.values()))]
    return float(min(1.0, (1 - min(shares)) ** told.after[arm] * len(arms)))


def _streams(summary: Summary, arms: Sequence[str]) -> Iterator[_Stream]:
    told = summary.by_arm
    every = {date.fromisoformat(day) for _, day in told.streams.get(ANY, {})} if told else set()
    if told is None or not every:
        return
    first, last = min(every), max(every)
    named = [first + timedelta(n) for n in range((last - first).days + 1)]
    exposed = {(arm, date.fromisoformat(str(day))): n for (arm, day), n in summary.drawn_by_day.items()}
    at_risk = np.array(
        [[sum(n for (of, when), n in exposed.items() if of == arm and when <= day) for day in named] for arm in arms]
    )
    for name, counts in told.streams.items():
        outcomes = np.array([[counts.get((arm, day.isoformat()), 0) for day in named] for arm in arms])
        if (outcomes.sum(axis=1) > 0).sum() > 1:
            yield _Stream(name, named, outcomes, at_risk)


def _windows(stream: _Stream, arms: Sequence[str]) -> Iterator[Outage]:
    """Each arm in each run of days."""
    for length in range(1, min(DAYS_MAX, len(stream.days) - 1) + 1):
        for start in range(len(stream.days) - length + 1):
            inside = slice(start, start + length)
            for row, arm in enumerate(arms):
                if not stream.outcomes[row].sum():
                    continue  # an arm without any outcome is told of elsewhere
                expected, p = _expected(stream, row, inside)
                yield Outage(
                    arm=arm,
                    stream=stream.name,
                    day=stream.days[start].isoformat(),
                    days=length,
                    outcomes=int(stream.outcomes[row, inside].sum()),
                    expected=expected,
                    p=p,
                )


def _expected(stream: _Stream, row: int, inside: slice) -> tuple[float, float]:
    """How many an arm should have had in these days, and how improbable so few are.

    By three yardsticks, each of which explains it where it can: the other arms' outcomes of these days, by the arms'
    numbers of all others (an effect may be of any size); the arm's own of all other days, by its units at risk (an
    effect may begin and end); and the arms' units at risk (an arm falls back to the others' level where its effect
    ends). What is left is few by all of them.
    """
    n, risk = stream.outcomes, stream.at_risk
    own, whole = n[row], n.sum(axis=0)
    k = int(own[inside].sum())
    others, others_in = int((whole - own).sum()), int((whole - own)[inside].sum())
    there, at_risk = int(own.sum()), float(risk[row].sum())
    time = float(risk[row, inside].sum()) / at_risk if at_risk else 0.0
    level = float(risk[row, inside].sum()) / max(1.0, float(risk[:, inside].sum()))
    outside, others_out = there - k, others - others_in
    expected = (
        others_in * outside / others_out if others_out else 0.0,
        outside * time / (1 - time) if time < 1 else 0.0,
        others_in * level / (1 - level) if level < 1 else 0.0,
    )
    tails = (
        fewer(k, there, others, k + others_in),
        float(bdtr(k, there, time)) if 0 < time < 1 else 1.0,
        float(bdtr(k, k + others_in, level)) if 0 < level < 1 else 1.0,
    )
    return min(expected), min(1.0, max(tails))


def fewer(k: int, ours: int, others: int, drawn: int) -> float:
    """That at most k of so many drawn are ours, as if drawn without looking (Fisher 1935): the lower tail."""
    whole = ours + others
    least = max(0, drawn - others)
    if drawn in {0, whole} or not ours or not others:
        return 1.0
    if k - least > TERMS_MAX:
        mean = drawn * ours / whole
        variance = mean * (others / whole) * (whole - drawn) / (whole - 1)
        return float(ndtr((k + 0.5 - mean) / np.sqrt(variance)))
    x = np.arange(least, k + 1, dtype=float)
    logs = _choose(ours, x) + _choose(others, drawn - x) - _choose(whole, np.array(float(drawn)))
    return float(min(1.0, np.exp(logs).sum()))


def _choose(n: int, k: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(gammaln(n + 1) - gammaln(k + 1) - gammaln(n - k + 1))


def _for_all(one: Outage, tests: int) -> Outage:
    return one.model_copy(update={"p": min(1.0, one.p * tests)})
