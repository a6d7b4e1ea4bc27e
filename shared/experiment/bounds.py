"""Bounds: between which numbers a promise still promises something. The Lab asks before a launch, the gate again.

A test with an error rate of one in five, of two units, or with a guardrail that nothing could break shows nothing,
however honestly it is carried out.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.core.frozen import FrozenModel
from shared.core.yamlfile import read_yaml
from shared.data.contracts import Contract
from shared.experiment.charter import DAYS_PER_WEEK, Charter, Primary, Promise
from shared.experiment.metrics import Metric
from shared.experiment.people import Tier
from shared.state.workspace import Workspace

# The rules from which on promises are held to bounds.
SINCE = 2
# How many days after its end evidence is fresh, where the policy says nothing: a month.
EVIDENCE_DAYS_MAX = 30
# Kinds of metrics that are never below zero whatever they are computed from.
_NEVER_NEGATIVE = {"proportion", "count"}
# What tells outcomes apart.
_KEYS = {"event_id", "unit", "at"}


class Bounds(FrozenModel):
    """What a risk tier takes for a promise.

    Attributes:
        alpha_max: the largest error rate of the primary test and of each guardrail's: .05, "conventionally" at most
            (ICH E9, section 3.5); in the policy of a new workspace .1 at low risk.
        power_min: the least power that may be planned for: .8, as the other error is "conventionally" at most 20 %
            (ICH E9, section 3.5; Cohen 1988); in the policy of a new workspace .7 at low risk.
        units_min: the fewest units an arm may be planned with: 100, below which Optimizely declares no result of any
            metric ("Statistical significance in Optimizely").
        share_min: the smallest share of all units that an arm may have: a hundredth, where the usual ladder of a
            release begins; what is smaller is a canary, not an arm.
        effect_frac_min: the smallest minimum effect, as a share of the baseline: a thousandth, the least by which a
            success moved the key metrics of Bing (Kohavi et al. 2014, "Seven rules of thumb for web site
            experimenters", rule 2); below it every gain is worthwhile.
        margin_frac_max: the widest margin of a guardrail, as a share of the baseline: half, as a margin of
            non-inferiority usually keeps half of what it protects (FDA 2016, "Non-Inferiority Clinical Trials to
            Establish Effectiveness", on M2). Where values may be below zero, or less is better, the standard
            deviation stands for the baseline if it is larger: what is rare may double without harm.
        unknown_max: the widest margin, and the largest minimum effect, of a metric that is no share and has no known
            baseline, in the metric's unit: our own, so large that only a slip is beyond it.
        window_days_max: the longest window of a metric: a quarter, our own; what comes later is the release's to show.
    """

    alpha_max: float = Field(default=0.05, gt=0, le=0.2)
    power_min: float = Field(default=0.8, ge=0.5, lt=1)
    units_min: int = Field(default=100, ge=2)
    share_min: float = Field(default=0.01, gt=0, le=0.5)
    effect_frac_min: float = Field(default=0.001, ge=0, lt=1)
    margin_frac_max: float = Field(default=0.5, gt=0, le=1)
    unknown_max: float = Field(default=1000, gt=0, allow_inf_nan=False)
    window_days_max: int = Field(default=91, ge=1)


@dataclass(frozen=True, slots=True)
class Level:
    """What a metric is without a treatment.

    Attributes:
        mean: per unit, in the metric's unit.
        sd: its standard deviation between units; None where it is not known.
        never_negative: whether no value can be below zero.
        source: where it is from, to be said behind a number.
        doubt: how far the mean may be off, where it was measured: no promise is refused for what may be chance.
    """

    mean: float
    sd: float | None
    never_negative: bool
    source: str
    doubt: float = 0.0


@dataclass(frozen=True, slots=True)
class Objection:
    """One number that a promise cannot have.

    Attributes:
        part: where it stands in the charter.
        measured, threshold: the number, and the bound it is beyond; None where there is none.
    """

    part: str
    reason: str
    measured: Any
    threshold: Any
    remedy: str


def objections(promise: Promise, bounds: Bounds, levels: Mapping[str, Level]) -> list[Objection]:
    """Every number of the promise that is out of bounds; `levels` are the baselines as far as they are known."""
    charter = promise.charter
    found = [
        *_of_keys(promise),
        *_of_plan(charter, bounds),
        *_of_shares(charter, bounds),
        *_of_windows(promise, bounds),
    ]
    for number, primary in enumerate(charter.primaries):
        part = "primary" if number == 0 else f"co_primary[{number - 1}]"
        metric, level = promise.metrics[primary.metric], levels.get(primary.metric)
        found += _of_effect(f"{part}.minimum_effect", primary, metric, level, bounds)
    for number, rail in enumerate(charter.guardrails):
        part, level = f"guardrails[{number}].margin", levels.get(rail.metric)
        found += _of_harm(part, rail.metric, rail.margin, promise.metrics[rail.metric], level, bounds)
    for number, kill in enumerate(charter.kill_criteria):
        part, level = f"kill_criteria[{number}].worse_than", levels.get(kill.metric)
        found += _of_possible(part, kill.metric, kill.worse_than, promise.metrics[kill.metric], level, bounds)
    return found


def never_negative(metric: Metric, outcomes: Contract) -> bool:
    """Whether no unit's value of a metric can be below zero, by its kind or by the contract of its column."""
    if metric.kind in _NEVER_NEGATIVE:
        return True
    floors = {column.name: column.minimum for column in outcomes.columns}
    floor = floors.get(metric.column) if metric.column else None
    return metric.kind != "ratio" and floor is not None and floor >= 0


def _of_keys(promise: Promise) -> Iterator[Objection]:
    """A metric that knows whose outcome it is could be made to fit the draw."""
    for name, metric in promise.metrics.items():
        keys = sorted({column for part in metric.reads for column in part.columns if column.casefold() in _KEYS})
        if keys:
            yield Objection(
                f"metrics.{name}",
                f"`{name}` reads {' and '.join(f'`{key}`' for key in keys)}, which say whose an outcome is and when it "
                "was, and nothing of what was done",
                keys,
                None,
                "compute it from what the units did; how long after an exposure counts is `window_days`",
            )


def _of_plan(charter: Charter, bounds: Bounds) -> Iterator[Objection]:
    plan = charter.sample
    for part, alpha in (("sample.alpha", plan.alpha), ("sample.guardrail_alpha", plan.guardrail_alpha)):
        if alpha is not None and alpha > bounds.alpha_max:
            yield Objection(
                part,
                f"an error rate of {alpha:g} lets too much through that is nothing: "
                f"at {charter.risk_tier} risk it is at most {bounds.alpha_max:g}",
                alpha,
                bounds.alpha_max,
                f"plan with {bounds.alpha_max:g}, and with the units that it takes",
            )
    if plan.power < bounds.power_min:
        yield Objection(
            "sample.power",
            f"a power of {plan.power:g} misses too much that is there: "
            f"at {charter.risk_tier} risk it is at least {bounds.power_min:g}",
            plan.power,
            bounds.power_min,
            f"plan with {bounds.power_min:g}, and with the units that it takes",
        )
    if plan.units_per_arm < bounds.units_min:
        yield Objection(
            "sample.units_per_arm",
            f"{plan.units_per_arm:,} units per arm show nothing: the fewest are {bounds.units_min:,}",
            plan.units_per_arm,
            bounds.units_min,
            "plan as many units as `pilotplant lab check` says that the minimum effect takes",
        )


def _of_shares(charter: Charter, bounds: Bounds) -> Iterator[Objection]:
    whole = sum(charter.weights.values())
    for number, (arm, weight) in enumerate(charter.weights.items()):
        share = float(weight / whole)
        if share < bounds.share_min:
            yield Objection(
                f"arms[{number}].weight",
                f"arm `{arm}` would get {100 * share:.2g} % of all units, and needs {100 * bounds.share_min:g} %",
                share,
                bounds.share_min,
                "give every arm a weight that can be compared with the others'",
            )


def _of_windows(promise: Promise, bounds: Bounds) -> Iterator[Objection]:
    box = promise.charter.time_box
    most = min((box.end - box.start).days, bounds.window_days_max)
    for name, metric in promise.metrics.items():
        if metric.window_days is not None and metric.window_days > most:
            yield Objection(
                f"metrics.{name}.window_days",
                f"`{name}` counts {metric.window_days} days after a unit's exposure, and at most {most} can be seen",
                metric.window_days,
                most,
                f"plan {math.ceil(metric.window_days / DAYS_PER_WEEK)} weeks or more, or choose a shorter window"
                if metric.window_days <= bounds.window_days_max
                else "choose a metric with a shorter window",
            )


def _of_effect(part: str, primary: Primary, metric: Metric, level: Level | None, bounds: Bounds) -> Iterator[Objection]:
    effect = primary.minimum_effect
    most = _largest(metric, level, metric.sign, bounds)
    if effect > most:
        yield Objection(
            part,
            f"a gain of {effect:g} in {primary.metric} cannot be: {_ground(metric, level, most)}",
            effect,
            most,
            "name the smallest gain that would be worth it, in the metric's unit",
        )
    least = bounds.effect_frac_min * max(0.0, abs(level.mean) - level.doubt) if level is not None else 0.0
    if effect < least:
        yield Objection(
            part,
            f"a gain of {effect:g} in {primary.metric} is next to none, so that any would be worthwhile: "
            f"{bounds.effect_frac_min:g} of its {_said(level)} is {least:g}",
            effect,
            least,
            "name the smallest gain that would be worth it",
        )


def _of_harm(
    part: str, name: str, margin: float, metric: Metric, level: Level | None, bounds: Bounds
) -> Iterator[Objection]:
    """What speaks against a margin: that nothing could ever break it, or that too much could be lost within it."""
    scale = _scale(metric, level)
    most = math.inf if scale is None else bounds.margin_frac_max * scale
    impossible = list(_of_possible(part, name, margin, metric, level, bounds))
    for each in impossible:  # what is possible may still be too much
        yield replace(each, threshold=-metric.sign * min(abs(each.threshold), most))
    if impossible or scale is None or abs(margin) <= most:
        return
    yield Objection(
        part,
        f"a margin of {margin:g} would let {name} get worse by more than {bounds.margin_frac_max:g} of "
        f"{_measure(level, scale)}, which is {most:g}",
        margin,
        -metric.sign * most,
        "name the largest loss that you would still accept",
    )


def _of_possible(
    part: str, name: str, harm: float, metric: Metric, level: Level | None, bounds: Bounds
) -> Iterator[Objection]:
    """What speaks against a harm: that none so large is possible, so that it would never show."""
    most = _largest(metric, level, -metric.sign, bounds)
    if abs(harm) < most or (level is None and metric.kind != "proportion" and abs(harm) <= most):
        return
    yield Objection(
        part,
        f"{name} can hardly get worse by {abs(harm):g}, so that nothing would break it: {_ground(metric, level, most)}",
        harm,
        -metric.sign * most,
        "name the largest loss that you would still accept"
        + ("" if level is not None else f", or say under `sample` what {name} is without a treatment (`assume`)"),
    )


def _largest(metric: Metric, level: Level | None, towards: int, bounds: Bounds) -> float:
    """How far a metric can move from its baseline, up (1) or down (-1)."""
    share = metric.kind == "proportion"
    if level is None:
        return 1.0 if share else bounds.unknown_max
    if towards < 0:
        return level.mean + level.doubt if level.never_negative else math.inf
    return min(1.0, 1.0 - level.mean + level.doubt) if share else math.inf


def _scale(metric: Metric, level: Level | None) -> float | None:
    """By what a margin is measured; None where nothing is known of a metric that has no largest value."""
    share = metric.kind == "proportion"
    if level is None or not (level.mean or level.sd):
        return 1.0 if share else None
    mean, falls_to_zero = abs(level.mean) + level.doubt, level.never_negative and metric.sign > 0
    return mean if falls_to_zero else max(mean, level.sd or 0.0)


def _ground(metric: Metric, level: Level | None, most: float) -> str:
    if level is not None:
        return f"its {_said(level)} leaves {most:g}"
    if metric.kind == "proportion":
        return "it is a share of all units"
    return f"what it is without a treatment is not known, and then {most:g} is the most that is taken"


def _measure(level: Level | None, scale: float) -> str:
    if level is None or not (level.mean or level.sd):
        return "all units"
    if scale == abs(level.mean) + level.doubt:
        return f"its {_said(level)}"
    return f"its standard deviation of {scale:.4g} ({level.source})"


def _said(level: Level | None) -> str:
    if level is None:
        return "baseline"
    doubt = f", give or take {level.doubt:.2g}" if level.doubt else ""
    return f"baseline of {level.mean:.4g} ({level.source}{doubt})"


class _Section(Bounds):
    """The section as the gate writes it, whose own two words say nothing to the Lab."""

    level: Any = None
    waivable: Any = None


class _Fresh(BaseModel):
    model_config = ConfigDict(extra="ignore")

    days_max: float = EVIDENCE_DAYS_MAX


class _OfTier(BaseModel):
    model_config = ConfigDict(extra="ignore")

    promise_reasonable: _Section = _Section()
    evidence_fresh: _Fresh = _Fresh()


class _Tiers(BaseModel):
    model_config = ConfigDict(extra="ignore")

    low: _OfTier = _OfTier()
    standard: _OfTier = _OfTier()
    high: _OfTier = _OfTier()


class _Policy(BaseModel):
    """Of the gate's policy no more than what the Lab keeps to as well."""

    model_config = ConfigDict(extra="ignore")

    tiers: _Tiers = _Tiers()


def read_bounds(workspace: Workspace, tier: Tier) -> Bounds:
    """The bounds of a risk tier, from the gate's policy."""
    return _of_tier(workspace, tier).promise_reasonable


def evidence_days_max(workspace: Workspace, tier: Tier) -> float:
    """For how many days after the data end the gate takes a risk tier's evidence for fresh."""
    return _of_tier(workspace, tier).evidence_fresh.days_max


def _of_tier(workspace: Workspace, tier: Tier) -> _OfTier:
    found: _OfTier = getattr(read_yaml(workspace.configs / "gate.yaml", _Policy).tiers, tier)
    return found
