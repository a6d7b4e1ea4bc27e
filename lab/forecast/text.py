"""The forecast in words, for whoever has never planned a pilot before."""

from __future__ import annotations

from collections.abc import Iterator

from lab.forecast.forecast import Cost, Forecast, OperatingCharacteristics
from lab.forecast.power import MetricPower, Sample, power_of_each
from lab.forecast.simulation import DRAWS, Ending
from shared.core.money import Money
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.ui import phrases

ENDINGS = {
    Ending.SCALE: "may scale",
    Ending.NO_EFFECT: "no or too little effect",
    Ending.HARM_NOT_RULED_OUT: "harm not ruled out",
    Ending.TOO_FEW_UNITS: "too few units",
    Ending.UNDECIDED: "cannot be decided",
}
MetricRow = tuple[str, str, str, str, str, str]
METRIC_COLUMNS = ("metric", "part", "without a treatment", "smallest effect it finds", "power", "units needed per arm")
CHANCE_COLUMNS = ("if the true effect is", *ENDINGS.values())


def metric_rows(found: Forecast, metrics: dict[str, Metric]) -> list[MetricRow]:
    """One row per metric that has a baseline, under `METRIC_COLUMNS`."""
    return [
        _metric_row(found, metric_power, metrics[metric_power.metric])
        for metric_power in found.metric_powers
        if not metric_power.problem
    ]


def chance_rows(found: OperatingCharacteristics, charter: Charter, metric: Metric) -> list[tuple[str, ...]]:
    """One row per assumption on the true effect, under `CHANCE_COLUMNS`."""
    least = phrases.number(metric, metric.sign * charter.primary.minimum_effect)
    given = {"as expected": found.expected, "none": found.none, f"{least}, the least worth it": found.minimum}
    return [(said, *(_per_cent(chances[ending]) for ending in ENDINGS)) for said, chances in given.items()]


def lines(found: Forecast, metrics: dict[str, Metric]) -> list[str]:
    """What the tables do not say."""
    metric = metrics[found.charter.primary.metric]
    return [
        *_sources(found),
        *(f"Note: {reason}." for reason in found.unknown),
        *(f"Cannot say: `{o.metric}`: {o.problem}." for o in found.metric_powers if o.problem and o.baseline),
        *_design_effects(found),
        *_together(found.charter),
        *([_expectation(found.chances, metric), _half(found.charter)] if found.chances else []),
        _time(found.sample),
        *_too_many(found),
        *([_cost(found.cost, found.charter.budget.total)] if found.cost else []),
        *(f"Clash: {clash}." for clash in found.clashes),
        *(f"Learned before, by {s.insight.pilot} ({s.insight.word}): {s.insight.claim}" for s in found.insights),
    ]


def _metric_row(found: Forecast, metric_power: MetricPower, metric: Metric) -> MetricRow:
    known = metric_power.baseline
    today = phrases.level(metric, known.baseline.mean) if known else "–"
    least = phrases.number(metric, metric_power.detectable) if metric_power.part != "guardrail" else "–"
    needed = (
        "–"
        if metric_power.units_needed is None
        else f"{metric_power.units_needed:,} for {_per_cent(power_of_each(found.charter))}"
    )
    return metric_power.metric, metric_power.part, today, least, _power(found.charter, metric_power, metric), needed


def _sources(found: Forecast) -> Iterator[str]:
    """Where the numbers without a treatment are from, one line per source."""
    names: dict[str, list[str]] = {}
    for metric_power in found.metric_powers:
        if metric_power.baseline:
            names.setdefault(metric_power.baseline.source, []).append(metric_power.metric)
    for source, metrics in names.items():
        yield f"Without a treatment: {', '.join(metrics)} by {source}."


def _design_effects(found: Forecast) -> Iterator[str]:
    """What drawing by cluster costs, one line per metric of which that is known."""
    for metric_power in found.metric_powers:
        if found.charter.cluster and not metric_power.problem:
            yield (
                f"Clusters: units of one `{found.charter.cluster}` are alike, and for {metric_power.metric} "
                f"{metric_power.design_effect:.2f} of them are worth one that is drawn alone."
            )


def _together(charter: Charter) -> Iterator[str]:
    """Why a test needs more power than was planned."""
    if charter.guardrails:
        tests = "the guardrail" if len(charter.guardrails) == 1 else f"the {len(charter.guardrails)} guardrails"
        yield (
            f"Units needed: for a primary metric and {tests} to succeed together with the planned power of "
            f"{_per_cent(charter.sample.power)}, each test needs {_per_cent(power_of_each(charter))}."
        )


def _power(charter: Charter, metric_power: MetricPower, metric: Metric) -> str:
    if metric_power.power is None:
        return "–"
    asked = charter.primary_of(metric_power.metric)
    if asked is not None:
        aim = f"to find {phrases.number(metric, metric.sign * asked.minimum_effect)}"
    else:
        margin = next(rail.margin for rail in charter.guardrails if rail.metric == metric_power.metric)
        aim = f"to rule out {phrases.number(metric, margin)}"
    return f"{_per_cent(metric_power.power)} {aim}"


def _expectation(found: OperatingCharacteristics, metric: Metric) -> str:
    prior = found.prior
    around = f"around {phrases.number(metric, prior.mean)}, give or take {phrases.number(metric, prior.sd)[1:]}"
    if prior.after is not None:
        return f"Expected effects: {around}, by what {prior.after} has shown, which this pilot continues."
    if prior.pilots:
        return f"Expected effects: {around}, by {prior.pilots} past pilots and tests of this kind."
    return (
        f"Expected effects: {around}. That is a default, from the minimum effect: one idea in six is worth it; "
        "ten past pilots of this kind will replace it."
    )


def _half(charter: Charter) -> str:
    simulated = f"Chances are of {DRAWS:,} simulated pilots under the charter's rule, if data arrive whole."
    if charter.sample.looks.method == "group_sequential":
        simulated += " An arm that passes at any of the agreed looks may scale."
    if charter.primary.worthwhile == "lower_bound":
        return f"{simulated} `lower_bound` asks for proof of the minimum effect: an effect just as large rarely passes."
    return (
        f"{simulated} Aim higher than the minimum: an effect of exactly that size measures below it half of the time, "
        "and then is not scaled."
    )


def _time(sample: Sample) -> str:
    if sample.per_day is None:
        return (
            f"Time: nobody knows how fast units come, since no past pilot of this population is over; all "
            f"{sample.units:,} are taken to come within the {sample.days} days."
        )
    came = (
        f"Time: in past pilots {sample.per_day:,.0f} units came a day, so {sample.units:,} come in {sample.days} days"
    )
    if sample.days_needed is None:
        return came + "."
    return f"{came}; {sample.days_needed} days are needed for the planned power."


def _too_many(found: Forecast) -> Iterator[str]:
    smallest = min(found.charter.weights.values()) / sum(found.charter.weights.values())
    there = int(found.sample.available * smallest)
    for metric_power in found.metric_powers:
        if metric_power.units_needed is not None and metric_power.units_needed > there:
            yield (
                f"Too small: {metric_power.metric} needs {metric_power.units_needed:,} units per arm for the planned "
                f"power, and the smallest arm can get {there:,}; aim at a larger effect or margin, or drop an arm."
            )


def _cost(cost: Cost, budget: Money) -> str:
    pilots = "one past pilot" if cost.pilots == 1 else f"{cost.pilots} past pilots"
    span = "" if cost.low == cost.high else f" ({cost.low} to {cost.high})"
    above = "above" if cost.expected.amount > budget.amount else "within"
    return f"Cost: about {cost.expected}{span} at the price per unit of {pilots}, {above} the budget of {budget}."


def _per_cent(chance: float) -> str:
    """A probability, without pretending to more digits than its simulation has."""
    if 0 < chance < 0.01:  # noqa: PLR2004 - below what is shown
        return "< 1 %"
    if 0.99 < chance < 1:  # noqa: PLR2004 - above what is shown
        return "> 99 %"
    return f"{100 * chance:.0f} %"
