"""Results: what a pilot's evidence shows, as the Lab's report and the desk draw it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from lab.analysis import report_by_arm
from lab.analysis.conclusions import conclusion, limits, methods
from lab.pilots.pilot import Pilot
from shared.evidence.model import Effect, Evidence
from shared.ui import phrases
from shared.ui.forest import Forest, between, forests, segments
from shared.ui.timeline import Timeline, over_time, shares

# What each health check asks, in the words of the page.
ASKED = {
    "sample_ratio_by_day": "Arms' sizes by day",
    "sample_ratio_by_segment": "Arms' sizes by segment",
    "multiple_exposure": "Units in two arms",
    "pre_period_balance": "Alike before the pilot?",
    "traits_known": "Known to the population?",
    "left_out_alike": "Left out alike?",
    "recording_gaps": "Gaps in the recording?",
    "weekdays_complete": "Every weekday?",
    "losses_by_arm": "Lost alike in every arm?",
    "outages_by_arm": "Recorded alike in every arm?",
    "time_at_risk": "Watched equally long?",
    "novelty": "Does it wear off?",
    "segment_reversals": "A segment against the whole?",
    "outlier_influence": "Carried by a single unit?",
    "test_domain": "Arms even enough?",
    "improbably_good": "Too good to be true?",
    "metrics_vary": "Do the metrics vary?",
}


@dataclass(frozen=True, slots=True)
class EffectRow:
    """One effect in numbers, as a table shows it; `problem` says why there are none."""

    arm: str
    metric: str
    part: str
    estimate: str
    interval: str
    lift: str
    p: str
    p_adjusted: str
    margin: str
    bound: str
    p_non_inferior: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class LookRow:
    """One arm and metric at one look that was agreed on."""

    look: str
    units: int
    arm: str
    metric: str
    estimate: str
    interval: str
    z: str
    boundary: str
    crossed: str
    problem: str | None


@dataclass(frozen=True, slots=True)
class ArmRow:
    """One arm: its planned share, its units, and what each metric came to, in words."""

    arm: str
    planned: str
    units: int
    levels: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class HealthRow:
    """What one health check found: whether it has to be looked at, and its answer."""

    asked: str
    state: str
    told: str


@dataclass(frozen=True, slots=True)
class Results:
    """What the evidence shows.

    Attributes:
        sure: the intervals' confidence, in per cent.
        conclusions, limits: what may be said, and what may not.
        effects, arms_apart, over_time, segments, shares: drawings; `shares` is None where there is one day alone.
        rows, looks, arms, health, by_arm, lost: the numbers behind them.
        measured: the metrics of `arms`, in its order.
    """

    control: str
    sure: str
    conclusions: tuple[str, ...]
    limits: tuple[str, ...]
    effects: tuple[Forest, ...]
    arms_apart: tuple[Forest, ...]
    over_time: tuple[Timeline, ...]
    segments: tuple[Forest, ...]
    shares: Timeline | None
    rows: tuple[EffectRow, ...]
    looks: tuple[LookRow, ...]
    measured: tuple[str, ...]
    arms: tuple[ArmRow, ...]
    health: tuple[HealthRow, ...]
    by_arm: tuple[report_by_arm.ArmRow, ...]
    lost: tuple[str, ...]
    methods: str
    digest: str
    promise: str


def results(pilot: Pilot, evidence: Evidence) -> Results:
    """The results that a pilot's evidence shows."""
    charter, metrics = pilot.charter, pilot.promise.metrics
    left_out = " and ".join(name for name, metric in metrics.items() if metric.no_outcome == "left_out")
    zeros = f"Units without an outcome count as 0{f', but are left out of {left_out}' if left_out else ''}. "
    return Results(
        control=evidence.control,
        sure=f"{100 * (1 - evidence.alpha):g} %",
        conclusions=tuple(conclusion(pilot, evidence, arm.name) for arm in charter.treatments),
        limits=tuple(limits(pilot, evidence)),
        effects=tuple(forests(charter, metrics, evidence)),
        arms_apart=tuple(between(charter, metrics, evidence.between)),
        over_time=tuple(over_time(charter, metrics, evidence)),
        segments=tuple(segments(charter, metrics, evidence)),
        shares=shares(evidence),
        rows=tuple(_row(pilot, effect) for effect in evidence.effects),
        looks=tuple(_looks(pilot, evidence)),
        measured=tuple(charter.measured),
        arms=tuple(_arms(pilot, evidence)),
        # One answer for several metrics is told once.
        health=tuple(dict.fromkeys(_health(evidence))),
        by_arm=tuple(report_by_arm.by_arm(evidence)),
        lost=tuple(report_by_arm.lost(pilot, evidence)),
        methods=zeros + methods(charter),
        digest=evidence.digest,
        promise=evidence.promise,
    )


def _row(pilot: Pilot, found: Effect) -> EffectRow:
    metric = pilot.promise.metrics[found.metric]
    return EffectRow(
        arm=found.arm,
        metric=found.metric,
        part=found.part,
        estimate=phrases.number(metric, found.estimate),
        interval=phrases.interval(metric, found.low, found.high),
        lift=phrases.share(found.relative),
        p=phrases.p_value(found.p),
        p_adjusted=phrases.p_value(found.p_adjusted),
        margin=phrases.number(metric, found.margin),
        bound=phrases.number(metric, found.bound),
        p_non_inferior=phrases.p_value(found.p_non_inferior),
        problem=found.problem,
    )


def _looks(pilot: Pilot, evidence: Evidence) -> Iterator[LookRow]:
    for look in evidence.looks:
        for found in look.effects:
            metric = pilot.promise.metrics[found.metric]
            yield LookRow(
                look=f"{100 * look.at_frac:g} %, {look.at[:10]}",
                units=look.units,
                arm=found.arm,
                metric=found.metric,
                estimate=phrases.number(metric, found.estimate),
                interval=phrases.interval(metric, found.low, found.high),
                z="–" if found.z is None else f"{found.z:.3f}",
                boundary="–" if found.boundary is None else f"±{found.boundary:.3f}",
                crossed="–" if found.crossed is None else "yes" if found.crossed else "no",
                problem=found.problem,
            )


def _arms(pilot: Pilot, evidence: Evidence) -> Iterator[ArmRow]:
    for arm in evidence.arms:
        levels = tuple(
            phrases.level(pilot.promise.metrics[name], arm.moments[name].mean) if name in arm.moments else "–"
            for name in pilot.charter.measured
        )
        yield ArmRow(arm.arm, f"{100 * arm.planned_frac:.1f} %", arm.units, levels)


def _health(evidence: Evidence) -> Iterator[HealthRow]:
    health, ratio = evidence.health, evidence.health.sample_ratio
    if ratio.p is None or ratio.chi2 is None or ratio.deviation is None:
        yield HealthRow("Sample ratio", "unevaluable", "the arms' sizes cannot be held against the plan")
    else:
        told = f"chi-square {ratio.chi2:.3f}, p {phrases.p_value(ratio.p)}"
        yield HealthRow("Sample ratio", "good", f"{told}; largest deviation {100 * ratio.deviation:.2f} points")
    held = "; ".join(f"{reason}: {count}" for reason, count in health.conflicts.items()) or "none"
    yield HealthRow("Rows held back", "good", held)
    for symptom in health.symptoms:
        yield HealthRow(ASKED[symptom.check], symptom.state, symptom.told)
