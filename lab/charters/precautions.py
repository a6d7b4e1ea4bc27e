"""Precautions that a charter lacks, told before launch, while they can still be written into it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from lab.forecast.forecast import Forecast
from lab.pilots.promise import Frozen
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.experiment.precautions import TESTED_FRAC_MIN, WIDER_MAX
from shared.stats.domain import CONTRIBUTORS_MIN, UNEVEN, contributors, is_uneven

SECONDS_PER_DAY = 86_400


def unguarded(charter: Charter) -> Iterator[str]:
    """What the gate would ask of each play by the policy of a new workspace, and the play does not say."""
    high = charter.risk_tier == "high"
    for arm in charter.treatments:
        play = charter.play(arm.name)
        asked = play.risky if high else play.actions
        if asked and play.review is None:
            yield f"arm {arm.name} ({', '.join(asked)}) names nobody who looks before it goes out (`review`)"
        if high and play.rollout is None:
            yield f"arm {arm.name} does not say how its release grows and when it is taken back (`rollout`)"


def late(charter: Charter, days_max: float) -> Iterator[str]:
    """Late data that are waited for until the gate takes the evidence for old."""
    box = charter.time_box
    days = (box.closes - box.ends).total_seconds() / SECONDS_PER_DAY
    if days >= days_max:
        yield (
            f"late data are taken until {days:g} days after its end (`record_until`), when the gate's `evidence_fresh` "
            f"takes the evidence for old: after {days_max:g} days. Let it be earlier, or analyse with --final before"
        )


def narrow(frozen: Frozen, tested: Mapping[str, int]) -> Iterator[str]:
    """Arms whose play would reach few of those who may take part: the effect is measured on all that are exposed."""
    charter = frozen.promise.charter
    units = frozen.pool.units
    files = {arm.name: arm.play.audience for arm in charter.treatments if arm.play}
    for arm, reached in tested.items():
        if reached < TESTED_FRAC_MIN * units:
            yield (
                f"{units:,} units of table `{charter.population}` may take part, and the audience of arm {arm} selects "
                f"{reached:,} of them today: say `eligible: {files[arm]}`, so that only those take part, or the effect "
                "is measured on others as well, which the gate warns of (`audience_tested`)"
            )


def wide(frozen: Frozen, audiences: Mapping[str, int]) -> Iterator[str]:
    """Arms whose play would reach others than those who may take part: nothing will be known of them."""
    eligible = frozen.promise.eligible
    for arm, reached in audiences.items() if eligible else ():
        if eligible and reached > WIDER_MAX * eligible.units:
            yield (
                f"the audience of arm {arm} selects {reached:,} units, and {eligible.units:,} are eligible: the "
                "effect on the others will not be known, which the gate warns of (`audience_tested`)"
            )


def uneven(found: Forecast, metrics: Mapping[str, Metric]) -> Iterator[str]:
    """Arms that are planned far from the control's size, while too few units of the smaller one carry a metric."""
    charter, control = found.charter, found.charter.control.name
    if charter.cluster:
        return  # the test of clusters has a domain of its own
    would = "warn of" if charter.risk_tier == "low" else "refuse"
    for arm in charter.treatments:
        pair = (control, arm.name)
        if not is_uneven([float(charter.weights[name]) for name in pair]):
            continue
        units = min(found.sample.per_arm[name] for name in pair)
        said = f"arm {arm.name} and the control are planned more than {UNEVEN:g} : 1"
        for metric_power in found.metric_powers:
            metric = metrics[metric_power.metric]
            if (
                metric_power.part == "secondary"
                or metric_power.baseline is None
                or metric.divided
                or metric.kind == "quantile"
            ):
                continue
            known = metric_power.baseline.baseline
            n, mean, m2 = (units, units), (known.mean, known.mean), (units * known.variance,) * 2
            rests_on = float(contributors(n, mean, m2))
            if rests_on < CONTRIBUTORS_MIN:
                yield (
                    f"{said}, and about {rests_on:,.0f} units of the smaller one would carry "
                    f"{metric_power.metric}, where "
                    f"{CONTRIBUTORS_MIN} are needed: the gate's `domain` would {would} it"
                )
