"""Verdicts on a draft: would it launch, and could what it plans be scaled? It is the first thing `lab check` says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from lab.forecast.forecast import Forecast, OperatingCharacteristics
from lab.forecast.power import MetricPower
from lab.forecast.simulation import Ending
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.state.workspace import Mode
from shared.ui import phrases

# Below these chances, however large the effect is, up to three times the least that is worth it.
SURELY_NOT, PROBABLY_NOT = 0.1, 0.5
ROUNDING = 1e-9
Scale = Literal["possible", "unlikely", "almost surely not", "not", "unknown"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a draft would come to.

    Attributes:
        launch: whether it would launch now.
        scale: whether an arm of it could be scaled in the end, if it has an effect that is worth it.
        told: that in a sentence.
        because: why it would not launch or not be scaled, a sentence each.
    """

    launch: bool
    scale: Scale
    told: str
    because: tuple[str, ...] = ()


def verdict(found: Forecast, metrics: Mapping[str, Metric], *, launches: bool, mode: Mode) -> Verdict:
    """The verdict on a draft that would launch or not, in a workspace of that mode."""
    barred = tuple(_barred(found.charter, mode))
    if barred:
        return Verdict(launches, "not", "The gate could not admit it", barred)
    if found.chances is None:
        return Verdict(launches, "unknown", "Nobody knows yet whether it could be scaled", tuple(_unknown(found)))
    best, short = max(found.chances.curve.scale), tuple(_short(found, metrics))
    if best < SURELY_NOT:
        return Verdict(
            launches, "almost surely not", "It would almost surely not be scaled, whatever its effect", short
        )
    if best < PROBABLY_NOT:
        return Verdict(launches, "unlikely", "It would probably not be scaled, whatever its effect", short)
    return Verdict(launches, "possible", _likely(found, found.chances, metrics), short)


def _barred(charter: Charter, mode: Mode) -> list[str]:
    """What keeps the gate from admitting any arm, whatever the data show."""
    found = []
    if not charter.guardrails:
        found.append("it has no guardrails, and without one the gate cannot say that nothing got worse")
    if charter.assignment == "source" and charter.risk_tier != "low":
        found.append(
            "another system draws its arms (`assignment: source`), which the gate cannot check: somebody has to waive "
            "`randomised` by name"
        )
    if charter.synthetic and mode == "live":
        found.append("its units are made up (`synthetic: true`), and nothing of them counts in a live workspace")
    return found


def _unknown(found: Forecast) -> list[str]:
    """Why there are no chances: the metrics that decide and have no baseline, else the plan itself."""
    deciding = {
        metric_power.metric
        for metric_power in found.metric_powers
        if metric_power.part != "secondary" and metric_power.baseline is None
    }
    return [why for why in found.unknown if any(f"`{name}`" in why for name in deciding)] or list(found.unknown[:1])


def _short(found: Forecast, metrics: Mapping[str, Metric]) -> list[str]:
    """The metrics that need more units than there will be."""
    smallest = min(found.sample.per_arm.values())
    return [
        _needs(found.charter, metric_power, metrics[metric_power.metric], smallest)
        for metric_power in found.metric_powers
        if metric_power.part != "secondary"
        and metric_power.baseline is not None
        and (metric_power.units_needed is None or metric_power.units_needed > smallest)
    ]


def _needs(charter: Charter, metric_power: MetricPower, metric: Metric, smallest: int) -> str:
    asked = charter.primary_of(metric_power.metric)
    if asked is not None:
        aim = f"show {phrases.number(metric, metric.sign * asked.minimum_effect)}"
    else:
        margin = next(rail.margin for rail in charter.guardrails if rail.metric == metric_power.metric)
        aim = f"rule out {phrases.number(metric, margin)}"
    needed = (
        "more units than there can be"
        if metric_power.units_needed is None
        else f"{metric_power.units_needed:,} units in each arm"
    )
    return f"{metric_power.metric} needs {needed} to {aim} with the planned power, and gets {smallest:,}"


def _likely(found: Forecast, chances: OperatingCharacteristics, metrics: Mapping[str, Metric]) -> str:
    """How likely an arm is scaled that is worth it: at twice the least effect, and at just that."""
    metric, least = metrics[found.charter.primary.metric], found.charter.primary.minimum_effect
    # Of a share there may be no room for twice as much: then the largest effect that is likely to be scaled is told.
    curve, best = chances.curve, max(chances.curve.scale)
    likely = [
        n
        for n, effect in enumerate(curve.effects)
        if abs(effect) <= 2 * least * (1 + 1e-9) and curve.scale[n] >= best / 2
    ]
    at = likely[-1] if likely else curve.scale.index(best)
    twice = phrases.number(metric, curve.effects[at])
    return (
        f"An arm with an effect of {twice} is scaled in {100 * curve.scale[at]:.0f} pilots of 100, one with "
        f"just {phrases.number(metric, metric.sign * least)} in {100 * chances.minimum[Ending.SCALE]:.0f}"
    )


def lines(name: str, found: Verdict, problems: Sequence[str]) -> list[str]:
    """The verdict for people: whether it would launch, whether it could be scaled, each with its reasons."""
    return [
        *([f"{name} would launch."] if found.launch else [f"{name} would not launch:", *problems]),
        f"{found.told}{':' if found.because else '.'}",
        *(f"  - {why}" for why in found.because),
    ]
