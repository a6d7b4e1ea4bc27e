"""Effects over time: at each look that was agreed on, day by day, and how much of a look the one before had seen."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from shared.core.clock import rfc3339
from shared.engines.protocol import Summary, value_of
from shared.evidence.contrasts import Contrasts, Estimator, compared_with_first
from shared.evidence.effects import part_of
from shared.evidence.health.sample_ratios import of_groups
from shared.evidence.looks import LookSchedule
from shared.evidence.model import Day, DayEffect, Look, LookEffect
from shared.experiment.charter import Charter
from shared.experiment.sample_plan import AlwaysValid
from shared.stats.moments import Array, Cells
from shared.stats.tails import t_of, z_of
from shared.stats.test_methods import FixedHorizon, GroupSequential, Method, method_of


def looks(
    charter: Charter,
    due: LookSchedule,
    seen: Sequence[Summary],
    contrasts: Sequence[Contrasts],
    method: Method,
    also: Collection[str] = (),
) -> tuple[Look, ...]:
    """Every look that is due, as the data stood then; none where the charter agreed on no fixed ones, or none is due.

    Summaries, contrasts and the method's schedule have one entry for each look. `also`: the secondary metrics that
    are told as well.
    """
    if not isinstance(method, GroupSequential):
        return ()
    boundaries, spent = method.schedule.boundaries(charter.alpha), method.schedule.spent(charter.alpha)
    return tuple(
        Look(
            at_frac=look.share,
            at=rfc3339(look.at),
            units=sum(seen[at].units.values()),
            alpha_spent=float(spent[at]),
            effects=tuple(_at_look(charter, contrasts[at], float(boundaries[at]), also)),
        )
        for at, look in enumerate(due.passed)
    )


def _at_look(charter: Charter, contrasts: Contrasts, boundary: float, also: Collection[str]) -> list[LookEffect]:
    found = contrasts.found
    with np.errstate(all="ignore"):
        z = z_of(found.estimate / found.se, found.df)
        half = found.se * t_of(boundary, found.df)
    reached = []
    for row, arm in enumerate(charter.treatments):
        for column, name in enumerate(contrasts.metrics):
            if part_of(charter, name) == "secondary" and name not in also:
                continue
            said = {"arm": arm.name, "metric": name}
            problem = str(contrasts.problems[row, column])
            if problem or not np.isfinite(z[row, column] + half[row, column]):
                reached.append(LookEffect(**said, problem=problem or "too few units for this method of looks"))
                continue
            estimate = float(found.estimate[row, column])
            reached.append(
                LookEffect(
                    **said,
                    estimate=estimate,
                    low=estimate - half[row, column],
                    high=estimate + half[row, column],
                    z=float(z[row, column]),
                    boundary=boundary,
                    crossed=bool(abs(z[row, column]) >= boundary),
                )
            )
    return reached


def days(
    estimator: Estimator, summary: Summary, planned: Mapping[str, float], also: Collection[str] = ()
) -> tuple[Day, ...]:
    """Each day on which units were first exposed, with the primary effects of all units up to it.

    `also`: the other metrics that are told as well.
    """
    ratios, slopes = of_groups(summary.drawn_by_day, planned), estimator.slopes(summary)
    told = []
    for day in sorted({day for _, day in summary.day_units}):
        units = {arm: summary.day_units.get((arm, day), 0) for arm in planned}
        ratio = ratios.get(day)
        effects = _until(estimator, summary.days, slopes, day, also)
        told.append(Day(day=day, units=units, p=ratio.p if ratio else None, effects=effects))
    return tuple(told)


def _until(
    estimator: Estimator, cells: Cells, slopes: Array | None, day: str, also: Collection[str]
) -> tuple[DayEffect, ...]:
    charter = estimator.charter
    known = np.array([str(each) <= day for each in cells.keys["day"].tolist()], dtype=bool)
    found = estimator.means(cells.where(known).merged("arm").aligned(arm=estimator.arms), slopes)
    compared = compared_with_first(found)
    method = (
        method_of(charter.sample, units=np.minimum(found.n[1:], found.n[:1]))
        if isinstance(charter.sample.looks, AlwaysValid)
        else FixedHorizon()
    )
    with np.errstate(all="ignore"):
        half = method.half_width(compared.se, compared.df, charter.alpha)
    effects = []
    for row, arm in enumerate(charter.treatments):
        for column, name in enumerate(estimator.names):
            told = part_of(charter, name) == "primary" or name in also
            if not told or estimator.metrics[name].kind == "quantile":
                continue
            estimate, reach = float(compared.estimate[row, column]), float(half[row, column])
            numbers = (
                {"estimate": estimate, "low": estimate - reach, "high": estimate + reach} if np.isfinite(reach) else {}
            )
            effects.append(DayEffect(arm=arm.name, metric=name, **numbers))
    return tuple(effects)


def information(charter: Charter, summaries: Sequence[Summary]) -> tuple[float, ...]:
    """The information at each of these looks, oldest first; at the last one, how many units (or clusters) there are.

    A look has more of it for more units, and for what units did since. Of sums that grow by independent steps two looks
    correlate as the square root of the ratio of the sums' variances (Jennison and Turnbull 2000, "Group Sequential
    Methods", sect. 11.2). Of units, primary metrics and guardrails the one that grew most is taken: looks less alike
    than thought cross more often, and where everybody is exposed in the first days and answers over weeks, looks by
    units alone would err in one pilot of twelve, not of twenty. Looks more alike than thought cross less often.
    """
    if not summaries:
        return ()
    names = [name for name in charter.measured if part_of(charter, name) != "secondary"]
    amounts = np.array([_amounts(summary, names) for summary in summaries], dtype=float)
    with np.errstate(all="ignore"):
        kept = np.nan_to_num(amounts[:-1] / amounts[1:], nan=1.0, posinf=1.0).clip(0.0, 1.0).min(axis=1)
    return tuple((amounts[-1, 0] * np.append(np.cumprod(kept[::-1])[::-1], 1.0)).tolist())


def _amounts(summary: Summary, names: Sequence[str]) -> list[float]:
    """How many there are, and of each metric the variance of their sum, within arms."""
    columns = [value_of(name) for name in names]
    return [float(summary.arms.n.sum()), *(float(summary.arms.product(each, each).sum()) for each in columns)]
