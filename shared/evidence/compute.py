"""From a pilot's data and promise to its evidence: the one function that Lab and gate both call."""

from __future__ import annotations

from importlib.metadata import version
from typing import cast

from shared.charter import Charter, Promise
from shared.digests import digest_file
from shared.engines.old import Summary, summarise
from shared.engines.protocol import PilotData
from shared.evidence import quantiles
from shared.evidence.estimates import Difference, difference, holm, linearised, relative
from shared.evidence.health import sample_ratio
from shared.evidence.model import AnyMoments, ArmEvidence, Effect, Evidence, Health, Moments, Part, RatioMoments
from shared.metrics import Metric

EMPTY = Moments(n=0, mean=0.0, m2=0.0)


def compute(promise: Promise, data: PilotData) -> Evidence:
    """The evidence; effects that cannot be evaluated carry their problem instead of numbers."""
    charter = promise.charter
    summary = summarise(data, promise.metrics)
    total = sum(charter.weights.values())
    planned = {arm: float(weight / total) for arm, weight in charter.weights.items()}
    arms = tuple(
        ArmEvidence(
            arm=arm,
            planned_frac=planned[arm],
            units=summary.units.get(arm, 0),
            moments={name: found for name, found in summary.moments.get(arm, {}).items() if found.finite},
        )
        for arm in planned
    )
    exposed = sum(summary.units.values()) + summary.multiple_units
    return Evidence(
        pilot=charter.pilot,
        promise=promise.digest,
        control=charter.control.name,
        alpha=charter.sample.alpha,
        data={path.name: digest_file(path) for path in data.files},
        exposures=summary.exposures,
        outcomes=summary.outcomes,
        first_exposure=summary.first_exposure,
        last_exposure=summary.last_exposure,
        arms=arms,
        effects=_effects(charter, promise.metrics, summary),
        health=Health(
            sample_ratio=sample_ratio(summary.units, planned),
            multiple_units=summary.multiple_units,
            multiple_frac=summary.multiple_units / exposed if exposed else None,
            conflicts=summary.conflicts,
        ),
        software=f"pilotplant {version('pilotplant')}",
    )


def unanswerable(charter: Charter) -> dict[str, str]:
    """What a charter may say and this release cannot compute evidence for: by key, in words; empty where it can."""
    found = {}
    if charter.sample.looks.method != "fixed":
        found["looks"] = f"looks of method `{charter.sample.looks.method}` cannot be analysed by this release"
    if charter.cluster is not None:
        found["cluster"] = f"arms by cluster (`{charter.cluster}`) cannot be analysed by this release"
    return found


def _effects(charter: Charter, metrics: dict[str, Metric], summary: Summary) -> tuple[Effect, ...]:
    effects = [
        _effect(charter, arm.name, name, metrics[name], summary)
        for arm in charter.treatments
        for name in charter.measured
    ]
    return tuple(_adjusted(effects))


def _effect(charter: Charter, arm: str, name: str, metric: Metric, summary: Summary) -> Effect:
    alpha = charter.sample.alpha
    treated, control = (_of_mean(summary, each, name) for each in (arm, charter.control.name))
    part, asked = part_of(charter, name), charter.primary_of(name)
    problem = "; ".join(unanswerable(charter).values()) or _silent(summary, name, (arm, charter.control.name))
    found = problem or _between(treated, control)
    if isinstance(found, str) or isinstance(treated, str) or isinstance(control, str):
        return Effect(arm=arm, metric=name, part=part, problem=str(found))
    low, high = found.interval(alpha)
    lift = relative(treated, control, alpha) or (None, None, None)
    margin = next((rail.margin for rail in charter.guardrails if rail.metric == name), None)
    return Effect(
        arm=arm,
        metric=name,
        part=part,
        estimate=found.estimate,
        low=low,
        high=high,
        p=found.p(),
        p_worthwhile=found.p_beyond(metric.sign * asked.minimum_effect, metric.sign) if asked else None,
        relative=lift[0],
        relative_low=lift[1],
        relative_high=lift[2],
        margin=margin,
        bound=None if margin is None else found.bound(alpha, metric.sign),
        p_non_inferior=None if margin is None else found.p_beyond(margin, metric.sign),
    )


def _of_mean(summary: Summary, arm: str, name: str) -> Moments | str:
    """An arm's moments as those of a mean, or why there are none."""
    mean = as_mean(summary.moments.get(arm, {}).get(name, EMPTY))
    return f"in arm {arm} {mean}" if isinstance(mean, str) else mean


def as_mean(found: AnyMoments) -> Moments | str:
    """The moments of a mean with the same value and standard error, or why there are none."""
    if isinstance(found, Moments):
        return found
    return linearised(found) if isinstance(found, RatioMoments) else quantiles.as_mean(found)


def _between(treated: Moments | str, control: Moments | str) -> Difference | str:
    for moments in (treated, control):
        if isinstance(moments, str):
            return moments
    return difference(cast("Moments", treated), cast("Moments", control))


def _silent(summary: Summary, metric: str, arms: tuple[str, str]) -> str | None:
    """Why silence may not be read as zero: a unit without an outcome is one, an arm without any, or a gap, is not."""
    for arm in arms:
        if summary.units.get(arm) and not summary.reporting.get(arm):
            return f"arm {arm} has no outcome at all"
    if summary.unvalued[metric]:
        return f"{summary.unvalued[metric]} outcomes have no value of it"
    return None


def part_of(charter: Charter, name: str) -> Part:
    """What a metric is there for."""
    if charter.primary_of(name) is not None:
        return "primary"
    return "secondary" if name in charter.secondary else "guardrail"


def _adjusted(effects: list[Effect]) -> list[Effect]:
    """The family is every primary metric in every arm, what could not be evaluated included."""
    family = [effect for effect in effects if effect.part == "primary"]
    # What cannot be evaluated keeps its place in the family with p = 1, so that its absence lightens no other test.
    adjusted = holm([1.0 if e.p is None else e.p for e in family])
    worthwhile = holm([1.0 if e.p_worthwhile is None else e.p_worthwhile for e in family])
    updates = {
        (effect.arm, effect.metric): {"p_adjusted": p, "p_worthwhile": q}
        for effect, p, q in zip(family, adjusted, worthwhile, strict=True)
    }
    return [
        effect.model_copy(update=updates[effect.arm, effect.metric])
        if effect.part == "primary" and effect.p is not None
        else effect
        for effect in effects
    ]
