"""From a pilot's data and promise to its evidence: the one function that Lab and gate both call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from importlib.metadata import version

from shared.core.clock import rfc3339
from shared.core.digests import digest_file
from shared.engines.by_arm import TOGETHER
from shared.engines.protocol import Engine, PilotData, Question, Summary, per_of, value_of
from shared.engines.usual import usual_engine
from shared.evidence.completeness import completeness
from shared.evidence.contrasts import Contrasts, Estimator
from shared.evidence.effects import between, effects
from shared.evidence.health.context import HealthContext
from shared.evidence.health.sample_ratios import sample_ratio
from shared.evidence.health.symptoms import symptoms
from shared.evidence.kill_criteria import read_by
from shared.evidence.looks import LookSchedule, look_schedule
from shared.evidence.model import ArmEvidence, Evidence, Health
from shared.evidence.over_time import days, information, looks
from shared.evidence.segments import segment_effects
from shared.experiment.charter import Charter, Promise
from shared.experiment.metrics import Metric
from shared.stats.moments import SIZE
from shared.stats.summaries import AnyMoments, Moments, RatioMoments
from shared.stats.test_methods import FixedHorizon, Method, method_of


def compute(
    promise: Promise, data: PilotData, covers_until: datetime | None = None, engine: Engine | None = None
) -> Evidence:
    """The evidence; effects that cannot be evaluated carry their problem instead of numbers.

    `covers_until` is the first moment whose data is not there, None where all of it is: it tells which looks are due.
    """
    charter, engine = promise.charter, engine or usual_engine()
    due = look_schedule(charter, covers_until)
    question = Question.of(promise, due.until, covers_until)
    summary = engine.summarise(data, question)
    earlier = [engine.summarise(data, _numbers_only(question, look.at)) for look in due.passed[:-1]]
    summaries = [*earlier, summary]
    estimator = Estimator(charter, promise.metrics)
    contrasts = [estimator.contrasts(each) for each in summaries]
    method = _method(charter, due, summaries, contrasts)
    planned, killing = planned_shares(charter), read_by(promise)
    measured = effects(charter, promise.metrics, contrasts[-1], method)
    parts = segment_effects(estimator, summary)
    exposed = sum(summary.drawn.values()) + summary.multiple_units

    def again(whole: Summary) -> tuple[Contrasts, Method]:
        found = estimator.contrasts(whole)
        return found, _method(charter, due, [*earlier, whole], [*contrasts[:-1], found])

    told = None
    if summary.by_arm is not None:
        told = completeness(charter, promise.metrics, summary, planned, _whole(engine, data, question, summary), again)
    return Evidence(
        schema_version=2 if promise.rules == 1 else 3,
        pilot=charter.pilot,
        promise=promise.digest,
        control=charter.control.name,
        alpha=charter.alpha,
        data={path.name: digest_file(path) for path in data.files},
        until=rfc3339(due.until) if due.until else None,
        standing=due.standing,
        method=charter.sample.looks.method,
        no_outcome={name: metric.no_outcome for name, metric in promise.metrics.items()},
        looks=looks(charter, due, summaries, contrasts, method, killing),
        days=days(estimator, summary, planned, killing if charter.sample.looks.method == "always_valid" else ()),
        segments=parts,
        exposures=summary.exposures,
        outcomes=summary.outcomes,
        first_exposure=summary.first_exposure,
        last_exposure=summary.last_exposure,
        arms=tuple(_arm(summary, promise.metrics, arm, frac) for arm, frac in planned.items()),
        effects=measured,
        between=between(promise, estimator, summary),
        health=Health(
            sample_ratio=sample_ratio(summary.drawn, planned),
            multiple_units=summary.multiple_units,
            multiple_frac=summary.multiple_units / exposed if exposed else None,
            conflicts=dict(summary.conflicts),
            symptoms=symptoms(
                HealthContext(
                    charter, promise.metrics, planned, summary, measured, parts, due.complete, told, promise.rules
                )
            ),
        ),
        completeness=told,
        software=f"pilotplant {version('pilotplant')}",
    )


def planned_shares(charter: Charter) -> dict[str, float]:
    """Each arm's planned share, in the charter's order."""
    total = sum(charter.weights.values())
    return {arm: float(weight / total) for arm, weight in charter.weights.items()}


def _numbers_only(question: Question, until: datetime) -> Question:
    """The question of an earlier look, of which only the effects are wanted."""
    return replace(question, until=until, segments=(), novelty=None, scope=None)


def _whole(engine: Engine, data: PilotData, question: Question, summary: Summary) -> Summary | None:
    """The summary with all counted in that can be attributed to a unit and its arm; None where nothing was lost."""
    if summary.by_arm is None or not (TOGETHER in summary.by_arm.lost or summary.by_arm.later):
        return None
    return engine.summarise(data, replace(question, segments=(), novelty=None, everything=True))


def _method(charter: Charter, due: LookSchedule, summaries: list[Summary], contrasts: list[Contrasts]) -> Method:
    """What the charter judges its effects by at the last of these looks."""
    if due.standing == "descriptive":
        return FixedHorizon()
    return method_of(
        charter.sample,
        shares=[look.share for look in due.passed],
        information=information(charter, summaries[: len(due.passed)]),
        history=[each.found for each in contrasts[:-1]],
        units=contrasts[-1].units,
    )


def _arm(summary: Summary, metrics: Mapping[str, Metric], arm: str, planned: float) -> ArmEvidence:
    found = {name: _moments(summary, arm, name, metric) for name, metric in metrics.items()}
    return ArmEvidence(
        arm=arm,
        planned_frac=planned,
        units=summary.units.get(arm, 0),
        clusters=summary.clusters.get(arm, 0) if summary.clusters else None,
        moments={name: each for name, each in found.items() if each is not None and each.finite},
    )


def _moments(summary: Summary, arm: str, name: str, metric: Metric) -> AnyMoments | None:
    """A metric's moments in an arm, as evidence keeps them; None where there are none."""
    if metric.kind == "quantile":
        return summary.quantiles.get(arm, {}).get(name)
    cell = summary.arms.of(arm=arm)
    if not len(cell):
        return None
    value, per = value_of(name), per_of(name) if metric.divided else SIZE if summary.clusters else None
    n, mean, m2 = int(cell.n[0]), float(cell.means[value][0]), float(cell.product(value, value)[0])
    if per is None:
        return Moments(n=n, mean=mean, m2=m2)
    return RatioMoments(
        n=n,
        value=mean,
        per=float(cell.means[per][0]),
        value_m2=m2,
        per_m2=float(cell.product(per, per)[0]),
        co=float(cell.product(value, per)[0]),
    )
