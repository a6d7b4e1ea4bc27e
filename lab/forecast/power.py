"""Power: how many units a plan will have, and what each metric can show with them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from lab.forecast.baselines import Known, Unknown
from lab.forecast.past_pilots import PastPilot, traffic
from lab.pilots.clusters import spread_of, taking_part
from lab.pilots.promise import Frozen
from shared.evidence.effects import part_of
from shared.evidence.model import Part
from shared.experiment.charter import DAYS_PER_WEEK, Charter
from shared.stats.detection import AtAnyTime, Detection, detection_of
from shared.stats.estimates import UNITS_MIN
from shared.stats.multiplicity import corrected_power
from shared.stats.power import Arms, detectable, power, power_to_rule_out, units_to_detect, units_to_rule_out


@dataclass(frozen=True, slots=True)
class Sample:
    """How many units there will be.

    Attributes:
        population: rows of the population's table, of whom the charter calls eligible.
        available: of these, the ones in the pilot's slice of its layer, and in no holdout of the workspace.
        per_day: units exposed per day in past pilots of it; None where nobody knows, and everybody is taken at once.
        units: how many will be exposed in the time box, or until `enrol_until`.
        per_arm: of these, each arm's expected part, the control's among them.
        days: the time box's.
        days_needed: until every arm has the units that it needs for the planned power; None where that is not known.
    """

    population: int
    available: int
    per_day: float | None
    units: int
    per_arm: dict[str, int]
    days: int
    days_needed: int | None = None


@dataclass(frozen=True, slots=True)
class MetricPower:
    """What one metric's test can find, in the arm that sees it worst.

    Attributes:
        power: of finding the minimum effect, or of ruling out harm beyond the margin where there is none, by the end
            and however the charter looks before; None for a secondary metric.
        detectable: the smallest effect that is found with the planned power; None for a guardrail, or where none is.
        units_needed: in every arm, so that all tests that decide succeed together with the planned power; None for a
            secondary metric, or where no number is enough.
        problem: why nothing can be said; everything else is None then.
        design_effect: by how much drawing by cluster widens the variance; 1 where arms are drawn by unit.
    """

    metric: str
    part: Part
    baseline: Known | None
    power: float | None = None
    detectable: float | None = None
    units_needed: int | None = None
    problem: str | None = None
    design_effect: float = 1.0

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        known = self.baseline
        return {
            "metric": self.metric,
            "part": self.part,
            "mean": known.baseline.mean if known else None,
            "sd": math.sqrt(known.baseline.variance) if known else None,
            "source": known.source if known else None,
            "power": self.power,
            "detectable": self.detectable,
            "units_needed": self.units_needed,
            "problem": self.problem,
            "design_effect": self.design_effect,
        }


def sample_of(frozen: Frozen, past: list[PastPilot]) -> Sample:
    """Who will be exposed: the population's part in the pilot's layer, as fast as past pilots reached it.

    Past pilots enrolled on most of their days, so a pilot that enrols on fewer has fewer units.
    """
    charter = frozen.promise.charter
    rows = frozen.pool.units
    days = (charter.time_box.end - charter.time_box.start).days
    slice_ = charter.layer.frac if charter.layer else 1
    pool_frac = rows / max(1, frozen.snapshot.manifest.tables[charter.population].rows)
    per_day = traffic(past)
    per_day = None if per_day is None else per_day * float(slice_) * pool_frac
    available = taking_part(frozen)
    enrolling = ((charter.time_box.enrol_until or charter.time_box.end) - charter.time_box.start).days
    exposed = int(available * (1 - (charter.sample.attrition or 0.0)))
    units = exposed if per_day is None else min(exposed, int(per_day * enrolling))
    total = sum(charter.weights.values())
    per_arm = {arm: int(units * weight / total) for arm, weight in charter.weights.items()}
    return Sample(rows, available, per_day, units, per_arm, days)


def with_days_needed(charter: Charter, sample: Sample, metric_powers: Sequence[MetricPower]) -> Sample:
    """With the days needed, in whole weeks like a time box; without, where traffic or needs are not known."""
    deciding = [metric_power for metric_power in metric_powers if metric_power.part != "secondary"]
    needs = [metric_power.units_needed for metric_power in deciding]
    if sample.per_day is None or None in needs:
        return sample
    weights = charter.weights
    wanted = max(n for n in needs if n is not None) * float(sum(weights.values()) / min(weights.values()))
    if wanted > sample.available:
        return sample
    box = charter.time_box
    watching = (box.end - box.enrol_until).days if box.enrol_until else 0
    weeks = math.ceil((wanted / sample.per_day + watching) / DAYS_PER_WEEK)
    return replace(sample, days_needed=max(1, weeks) * DAYS_PER_WEEK)


def metric_power_of(frozen: Frozen, name: str, known: Known | Unknown, sample: Sample) -> MetricPower:
    """What the sample can show of one metric, in the smallest of the treatments.

    Units drawn by cluster are worth as many drawn one by one as there are, over the design effect.
    """
    if frozen.promise.charter.cluster is None or isinstance(known, Unknown):
        return _metric_power(frozen, name, known, sample)
    spread = spread_of(frozen, frozen.promise.metrics[name])
    if isinstance(spread, str):
        return MetricPower(name, part_of(frozen.promise.charter, name), known, problem=spread)
    effect = spread.design_effect
    worth = replace(sample, per_arm={arm: int(units / effect) for arm, units in sample.per_arm.items()})
    found = _metric_power(frozen, name, known, worth)
    needed = None if found.units_needed is None else math.ceil(found.units_needed * effect)
    return replace(found, units_needed=needed, design_effect=effect)


def _metric_power(frozen: Frozen, name: str, known: Known | Unknown, sample: Sample) -> MetricPower:
    charter = frozen.promise.charter
    part = part_of(charter, name)
    if isinstance(known, Unknown):
        return MetricPower(name, part, None, problem=known.reason)
    smallest = min(charter.treatments, key=lambda arm: arm.weight)
    units = Arms(*(sample.per_arm[arm] for arm in (smallest.name, charter.control.name)))
    if min(units.treated, units.control) < UNITS_MIN:
        return MetricPower(name, part, known, problem="an arm would have fewer than two units")
    ratio = float(charter.weights[charter.control.name] / charter.weights[smallest.name])
    if part == "guardrail":
        return _of_guardrail(charter, name, known, units, ratio)
    sign, plan = frozen.promise.metrics[name].sign, charter.sample
    # Holm's first step: what a test is sure to have, whatever the others show.
    tests = len(charter.treatments) * len(charter.primaries)
    alpha = charter.alpha / tests if part == "primary" else charter.alpha
    looks = detection_of(plan)
    found = detectable(known.baseline, units, alpha, plan.power, sign, looks)
    asked = charter.primary_of(name)
    if asked is None:
        return MetricPower(name, part, known, detectable=found)
    effect = sign * asked.minimum_effect
    needed = units_to_detect(known.baseline, effect, alpha, power_of_each(charter), ratio, _as_planned(looks))
    chance = power(known.baseline, effect, units, alpha, looks)
    return MetricPower(name, part, known, chance, found, _in_every_arm(needed, ratio))


def _of_guardrail(charter: Charter, name: str, known: Known, units: Arms, ratio: float) -> MetricPower:
    margin, alpha = next(rail.margin for rail in charter.guardrails if rail.metric == name), charter.guardrail_alpha
    looks = detection_of(charter.sample)
    chance = power_to_rule_out(known.baseline, margin, units, alpha, looks)
    needed = units_to_rule_out(known.baseline, margin, alpha, power_of_each(charter), ratio, _as_planned(looks))
    return MetricPower(name, "guardrail", known, chance, None, _in_every_arm(needed, ratio))


def power_of_each(charter: Charter) -> float:
    """The power that each test needs, so that the decision has the planned one."""
    return corrected_power(charter.sample.power, len(charter.guardrails))


def _as_planned(looks: Detection) -> Detection:
    """What is needed is what would be planned: a sequence then is tightest there."""
    return replace(looks, planned=None) if isinstance(looks, AtAnyTime) else looks


def _in_every_arm(treated: int | None, ratio: float) -> int | None:
    """Units that the smaller of the two arms needs."""
    return None if treated is None else max(UNITS_MIN, math.ceil(treated * min(1.0, ratio)))
