"""The forecast: what a plan means before anything is spent; what there is no ground for, it does not say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np

from lab.forecast.baselines import Known, Unknown, baselines
from lab.forecast.past_pilots import Past, PastPilot, cost_per_unit, elsewhere, past_pilots
from lab.forecast.power import MetricPower, Sample, metric_power_of, sample_of, with_days_needed
from lab.forecast.simulation import DRAWS, Design, Ending, Rail, chances
from lab.insights.similarity import Similar, similar
from lab.pilots.layers import clashes
from lab.pilots.promise import Frozen
from shared.core.digests import hex_of
from shared.core.money import Money
from shared.experiment.bounds import SINCE as BOUNDED_SINCE
from shared.experiment.charter import Charter
from shared.state.room import Room
from shared.stats.detection import detection_of
from shared.stats.power import Arms, Baseline, power
from shared.stats.prior import Prior, default_harm, default_prior, empirical_prior

CURVE_POINTS, CURVE_DRAWS = 25, 4_000
SEED_DIGITS = 16


@dataclass(frozen=True, slots=True)
class Curve:
    """Over true effects on the primary metric: the power of one arm's test, and the chance of *scale* at all."""

    effects: tuple[float, ...]
    power: tuple[float, ...]
    scale: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class OperatingCharacteristics:
    """How often each decision would come.

    Attributes:
        prior: what effects are expected.
        expected, none, minimum: the chances of each ending where effects are as expected, where there is none, and
            where every arm has exactly the minimum effect; the latter two without any side effect.
    """

    prior: Prior
    expected: dict[Ending, float]
    none: dict[Ending, float]
    minimum: dict[Ending, float]
    curve: Curve

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        given = {"expected": self.expected, "no_effect": self.none, "minimum_effect": self.minimum}
        return {
            "draws": DRAWS,
            "prior": self.prior.as_json(),
            **{
                name: {ending.name.lower(): chance for ending, chance in found.items()} for name, found in given.items()
            },
            "curve": asdict(self.curve),
        }


@dataclass(frozen=True, slots=True)
class Cost:
    """What the exposures will cost at the prices of past pilots: in the middle, and by the cheapest and the dearest."""

    expected: Money
    low: Money
    high: Money
    pilots: int


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a plan means.

    Attributes:
        chances: None where a metric that decides has no baseline, or the plan is of another kind; `unknown` says why.
        cost: None where no past pilot tells.
        clashes: as sentences.
    """

    charter: Charter
    sample: Sample
    metric_powers: tuple[MetricPower, ...]
    chances: OperatingCharacteristics | None
    unknown: tuple[str, ...]
    cost: Cost | None
    clashes: tuple[str, ...]
    insights: tuple[Similar, ...]

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "days": self.sample.days,
            "population": self.sample.population,
            "taking_part": self.sample.available,
            "units_per_arm": self.sample.per_arm,
            "units_per_day": self.sample.per_day,
            "planned_units_per_arm": self.charter.sample.units_per_arm,
            "days_needed": self.sample.days_needed,
            "budget": self.charter.budget.total,
            "metrics": self.metric_powers,
            "chances": self.chances,
            "cannot_be_forecast": self.unknown,
            "cost": self.cost,
            "clashes": self.clashes,
            "insights": [s.insight.as_json() | {"likeness": round(s.similarity, 3)} for s in self.insights],
        }


def forecast(room: Room, frozen: Frozen, *, simulated: bool = True) -> Forecast:
    """The forecast of a draft; the same charter over the same past gives the same numbers.

    Without `simulated` it says nothing of the chances, and takes milliseconds.
    """
    charter, past = frozen.promise.charter, past_pilots(room, frozen.promise.charter)
    sample = sample_of(frozen, past)
    # How fast units come, and at what cost, only pilots tell: a test that ran elsewhere reached others otherwise.
    known_from: list[Past] = [*past, *elsewhere(room, charter)]
    known = baselines(frozen, known_from)
    metric_powers = tuple(metric_power_of(frozen, name, known[name], sample) for name in charter.measured)
    deciding = (charter.primary.metric, *(rail.metric for rail in charter.guardrails))
    unknown = [_unknown(frozen, n, k) for n in charter.measured if isinstance(k := known[n], Unknown)]
    given = {name: k.baseline for name, k in known.items() if isinstance(k, Known)}
    other = _other_plan(charter)
    if other is not None:
        unknown.append(other)
    able = simulated and other is None and all(name in given for name in deciding)
    found = _chances(frozen, known_from, given, sample) if able else None
    if found and charter.sample.looks.method == "always_valid":
        unknown.append("what looks before the end add to the chances cannot be forecast: they are those of the end")
    cost = _cost(charter, past, sample)
    if cost is None:
        unknown.append(f"costs cannot be forecast: no past pilot of `{charter.population}` has recorded any")
    return Forecast(
        charter,
        with_days_needed(charter, sample, metric_powers),
        metric_powers,
        found,
        tuple(unknown),
        cost,
        tuple(clashes(room, frozen)),
        tuple(similar(room, charter)),
    )


def _unknown(frozen: Frozen, name: str, why: Unknown) -> str:
    """That a metric cannot be forecast, and that what the charter asks of it cannot be held against anything yet."""
    told = f"`{name}` cannot be forecast: {why.reason}"
    if name in frozen.promise.charter.bounded and frozen.promise.rules >= BOUNDED_SINCE:
        told += ". Until then its numbers in the charter are first checked by the gate, when nothing can be changed"
    return told


def _other_plan(charter: Charter) -> str | None:
    """Why the chances of a decision cannot be simulated; None for one primary metric of units drawn one by one."""
    if charter.co_primary:
        return (
            "the chances of a decision cannot be forecast for several primary metrics: how they go together is unknown"
        )
    if charter.cluster is not None:
        return f"the chances of a decision cannot be forecast for arms by cluster (`{charter.cluster}`)"
    return None


def _chances(
    frozen: Frozen, past: Sequence[Past], given: dict[str, Baseline], sample: Sample
) -> OperatingCharacteristics:
    charter, metrics = frozen.promise.charter, frozen.promise.metrics
    primary, sign = charter.primary, metrics[charter.primary.metric].sign
    weights = {arm: float(weight / sum(charter.weights.values())) for arm, weight in charter.weights.items()}
    design = Design(
        alpha=charter.alpha,
        guardrail_alpha=charter.guardrail_alpha,
        minimum=primary.minimum_effect,
        worthwhile=primary.worthwhile,
        planned=charter.sample.units_per_arm,
        units=sample.units,
        shares=tuple(weights[arm.name] for arm in (charter.control, *charter.treatments)),
        primary=given[primary.metric],
        sign=sign,
        rails=tuple(Rail(given[r.metric], metrics[r.metric].sign, r.margin) for r in charter.guardrails),
        looks=charter.sample.looks,
    )
    prior = _prior(frozen, past, primary.metric) or default_prior(primary.minimum_effect)
    prior = _after_predecessor(frozen, past, prior)
    harms = tuple(_prior(frozen, past, r.metric) or default_harm(r.margin) for r in charter.guardrails)
    harmless = tuple(Prior(0.0, 0.0) for _ in charter.guardrails)
    rng = np.random.default_rng(int(hex_of(frozen.promise.digest)[:SEED_DIGITS], 16))
    return OperatingCharacteristics(
        prior,
        chances(design, prior, harms, rng),
        chances(design, Prior(0.0, 0.0), harmless, rng),
        chances(design, Prior(sign * primary.minimum_effect, 0.0), harmless, rng),
        _curve(charter, design, harmless, rng),
    )


def _prior(frozen: Frozen, past: Sequence[Past], name: str) -> Prior | None:
    """From past effects on the metric of treatments of the same kind; None where there are too few pilots.

    Arms of one pilot share its control; they are taken as if they did not, which makes pilots seem a little more alike.
    """
    charter, metric = frozen.promise.charter, frozen.promise.metrics[name]
    found = [effects for one in past if (effects := list(one.effects(charter, name, metric)))]
    pairs = [pair for effects in found for pair in effects]
    return empirical_prior([e for e, _ in pairs], [se for _, se in pairs], len(found))


def _after_predecessor(frozen: Frozen, past: Sequence[Past], prior: Prior) -> Prior:
    """What is expected of a further attempt: what the one before it has shown counts more than what others did."""
    charter = frozen.promise.charter
    before = [each for each in past if isinstance(each, PastPilot) and charter.line is not None
              and each.pilot.name == charter.line.pilot]  # fmt: skip
    name = charter.primary.metric
    shown = [pair for each in before for pair in each.effects(charter, name, frozen.promise.metrics[name])]
    if not shown:
        return prior
    # Of several arms nobody knows which one goes on: the middle one stands for all.
    estimate, error = sorted(shown)[len(shown) // 2]
    return prior.updated(estimate, error, before[0].pilot.name)


def _curve(charter: Charter, design: Design, harmless: tuple[Prior, ...], rng: np.random.Generator) -> Curve:
    """From no effect to three times the minimum."""
    effects = [design.sign * float(e) for e in np.linspace(0, 3 * design.minimum, CURVE_POINTS)]
    arms = Arms(*(max(2, int(design.units * share)) for share in (min(design.shares[1:]), design.shares[0])))
    looks = detection_of(charter.sample)
    return Curve(
        effects=tuple(effects),
        power=tuple(power(design.primary, e, arms, design.alpha / design.arms, looks) for e in effects),
        scale=tuple(chances(design, Prior(e, 0.0), harmless, rng, CURVE_DRAWS)[Ending.SCALE] for e in effects),
    )


def _cost(charter: Charter, past: list[PastPilot], sample: Sample) -> Cost | None:
    currency = charter.budget.currency
    prices = cost_per_unit(past, currency)
    if not prices:
        return None
    low, middle, high = (
        Money(amount=round(price * sample.units, 2), currency=currency)
        for price in (prices[0], median(prices), prices[-1])
    )
    return Cost(middle, low, high, len(prices))
