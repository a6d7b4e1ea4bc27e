"""Baselines: what a metric is without a treatment: the charter's word, past pilots, or the snapshot's history."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce

from lab.forecast.past_pilots import Elsewhere, Past, PastPilot
from lab.pilots.promise import CONTRACTS, Frozen
from shared.core.sql import identifier
from shared.data.contracts import load_contract
from shared.data.tabular import connect
from shared.experiment.bounds import Level, never_negative
from shared.experiment.charter import Charter
from shared.experiment.metrics import Metric
from shared.stats.power import Baseline
from shared.stats.summaries import Moments
from shared.ui.console import counted

# Kinds whose mean and spread over units can be said beforehand.
_PER_UNIT = {"proportion", "mean", "count"}


@dataclass(frozen=True, slots=True)
class Known:
    """A baseline and where it is from.

    Attributes:
        history: the column that it was read from, where it was; what synthetic units are drawn from.
    """

    baseline: Baseline
    source: str
    history: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Why a metric has no baseline."""

    reason: str


@dataclass(frozen=True, slots=True)
class _Read:
    """Mean and variance as they were read."""

    mean: float
    variance: float
    source: str
    history: str | None = None


def baselines(frozen: Frozen, found: Sequence[Past]) -> dict[str, Known | Unknown]:
    """Each measured metric's baseline, or why there is none; nothing is made up."""
    charter = frozen.promise.charter
    contract = load_contract(frozen.files[f"{CONTRACTS}/{charter.outcomes}.odcs.yaml"])
    positive = {c.name for c in contract.columns if c.minimum is not None and c.minimum >= 0}
    known: dict[str, Known | Unknown] = {}
    for name in charter.measured:
        metric = frozen.promise.metrics[name]
        read = (
            _assumed(charter, name, metric)
            or _of_pilots(charter, name, metric, found)
            or _of_history(frozen, name, metric)
        )
        known[name] = (
            read if isinstance(read, Unknown) else _known(read, metric, never_negative=metric.column in positive)
        )
    return known


def known_levels(frozen: Frozen, found: Sequence[Past]) -> dict[str, Level]:
    """The baselines that there are, as the policy's bounds are held against them."""
    contract = load_contract(frozen.files[f"{CONTRACTS}/{frozen.promise.charter.outcomes}.odcs.yaml"])
    return {
        name: Level(
            known.baseline.mean,
            math.sqrt(known.baseline.variance),
            never_negative(frozen.promise.metrics[name], contract),
            known.source,
        )
        for name, known in baselines(frozen, found).items()
        if isinstance(known, Known)
    }


def _known(read: _Read, metric: Metric, *, never_negative: bool) -> Known:
    share = metric.kind == "proportion"
    baseline = Baseline.of(read.mean, read.variance, share=share, never_negative=never_negative)
    return Known(baseline, read.source, read.history)


def _assumed(charter: Charter, name: str, metric: Metric) -> _Read | None:
    assumed = charter.sample.assume.get(name) if metric.kind in _PER_UNIT else None
    return None if assumed is None else _Read(assumed.mean, (assumed.sd or 0) ** 2, "the charter's assumption")


def _of_pilots(charter: Charter, name: str, metric: Metric, found: Sequence[Past]) -> _Read | None:
    """The control arms of past pilots and tests together: of those that ran as long as this one where there are any."""
    measured = [(past, moments) for past in found if (moments := past.control(name, metric)) is not None]
    days = (charter.time_box.end - charter.time_box.start).days
    alike = [(past, moments) for past, moments in measured if past.days == days]
    if not measured:
        return None
    chosen = alike or measured
    moments = reduce(Moments.merge, (moments for _, moments in chosen))
    lasted = sorted({past.days for past, _ in chosen if past.days is not None})
    over = "" if alike or not lasted else f", over {', '.join(map(str, lasted))} days"
    return _Read(moments.mean, moments.m2 / (moments.n - 1), f"control units of {_counted(chosen)}{over}")


def _counted(chosen: Sequence[tuple[Past, Moments]]) -> str:
    """How many past pilots, and how many tests that ran elsewhere."""
    own = sum(isinstance(past, PastPilot) for past, _ in chosen)
    told = [counted(own, "past pilot")] if own else []
    if len(chosen) > own:
        told.append(counted(len(chosen) - own, "retrospective test"))
        unasked = sum(isinstance(past, Elsewhere) and past.shown.sample_ratio.p is None for past, _ in chosen)
        if unasked:
            told[-1] += f" (of {unasked} nobody knows whether units were lost)"
    return " and ".join(told)


def _of_history(frozen: Frozen, name: str, metric: Metric) -> _Read | Unknown:
    """The column that the catalogue names; units without a value would have to be guessed, so there may be none."""
    table, column = frozen.promise.charter.population, metric.history
    say = f"say what you assume: `assume: {{{name}: {{mean: …{'' if metric.kind == 'proportion' else ', sd: …'}}}}}`"
    if metric.kind not in _PER_UNIT:
        return Unknown(f"no past pilot has measured `{name}`, and there is no other ground for a {metric.kind}")
    if column is None:
        return Unknown(f"no history of `{name}`; {say} under `sample`")
    columns = {c.name: c for c in frozen.snapshot.contract(table).columns if c.classification == "public"}
    if column not in columns or columns[column].type not in {"integer", "number"}:
        return Unknown(f"table `{table}` publishes no number `{column}` as history of `{name}`; {say}")
    value = f"CAST({identifier(column)} {'> 0' if metric.kind == 'proportion' else ''} AS DOUBLE)"
    with connect() as connection:
        row = connection.execute(
            f"SELECT count(*), count(v), avg(v), var_pop(v) * count(v) FROM (SELECT {value} AS v FROM "
            f"{frozen.pool.sql})"
        ).fetchone()
    rows, valued, mean, m2 = row or (0, 0, None, None)
    if valued < rows:
        return Unknown(f"`{column}` of table `{table}` lacks {rows - valued:,} of {rows:,} values; {say}")
    if mean is None or not m2:
        return Unknown(f"`{column}` of table `{table}` does not vary; {say}")
    return _Read(mean, m2 / (rows - 1), f"`{column}` of {rows:,} rows of table `{table}`", column)
