"""Measuring: whether the metrics of a charter can be computed from the outcomes that the pilot will record."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta

import duckdb

from lab.pilots.promise import charter_place
from shared.core.errors import BadInput, PilotPlantError, Refused
from shared.core.sql import identifier
from shared.data.contracts import Column, Contract
from shared.data.tabular import connect
from shared.data.typed import typed_sql
from shared.evidence.kill_criteria import unasked
from shared.experiment.charter import DAYS_PER_WEEK, Promise
from shared.experiment.expressions import Expression
from shared.experiment.metrics import Metric

CATALOGUE = "configs/metrics.yaml"
# What a metric can be computed from, as DuckDB names its types.
_NUMBERS = ("BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "FLOAT", "DOUBLE", "DECIMAL")


def unmeasurable(promise: Promise, outcomes: Contract, contract_place: str) -> Iterator[PilotPlantError]:
    """Everything that keeps a metric from being computed from these outcomes."""
    for name, metric in promise.metrics.items():
        if metric.source not in {None, promise.charter.outcomes}:
            yield BadInput(
                f"metric `{name}` reads the outcomes `{metric.source}`, and this pilot records "
                f"`{promise.charter.outcomes}`",
                where=CATALOGUE,
                expected=f"`source: {promise.charter.outcomes}` there, or `outcomes: {metric.source}` in the charter",
            )
            continue
        for part in metric.reads:
            yield from _unread(name, metric, part, outcomes, contract_place)
    for name in unasked(promise.charter, promise.metrics) if promise.rules > 1 else ():
        yield BadInput(
            f"the kill criterion on `{name}` could not be asked: a quantile is not computed day by day",
            where=charter_place(promise.charter),
            expected="with `looks: {method: always_valid}`, a kill criterion on a metric of another kind",
            remedy="name another metric there, or agree on looks beforehand",
        )


def unwatched(promise: Promise) -> Iterator[Refused]:
    """What keeps units from being watched for as long as their metrics ask: the longest window does not fit.

    A unit that begins within the last days of the time box is watched for fewer than it counts, and an arm whose units
    begin later would have less.
    """
    windows = {name: metric.window_days for name, metric in promise.metrics.items() if metric.window_days is not None}
    if promise.rules == 1 or not windows:
        return
    name, longest = max(windows.items(), key=lambda each: each[1])
    box = promise.charter.time_box
    last = box.end - timedelta(days=longest)
    told = f"metric `{name}` counts {longest} days after a unit's first exposure"
    place = charter_place(promise.charter)
    if last <= box.start:
        yield Refused(
            f"{told}, and the time box has {(box.end - box.start).days}",
            where=place,
            remedy=f"end it on {_whole_weeks(box.start, longest)} or later, or choose a metric with a shorter window",
        )
    elif box.enrol_until is None or box.enrol_until > last:
        until = f"until {box.enrol_until}" if box.enrol_until else "until the time box ends"
        yield Refused(
            f"{told}, and units begin {until}, so that some are watched for less",
            where=place,
            remedy=f"say `enrol_until: {last}` under `time_box`, or end the time box later",
        )


def _whole_weeks(start: date, window: int) -> date:
    """The first end, whole weeks after the start, that leaves a day to begin in."""
    return start + timedelta(days=-(-(window + 1) // DAYS_PER_WEEK) * DAYS_PER_WEEK)


def _unread(
    name: str, metric: Metric, part: Expression, outcomes: Contract, contract_place: str
) -> Iterator[PilotPlantError]:
    columns = {column.name.casefold(): column for column in outcomes.columns}
    numeric = ", ".join(column.name for column in outcomes.columns if _is_number(column))
    for read in part.columns:
        column = columns.get(read.casefold())
        if column is None or (metric.column == read and not _is_number(column)):
            yield BadInput(
                f"metric `{name}` reads column `{read}`, which the outcomes do not have as a number",
                where=CATALOGUE,
                expected=f"one of: {numeric}",
            )
            return
        if not column.required:
            yield BadInput(
                f"metric `{name}` reads column `{read}`, which may be missing, and a gap would count as 0",
                where=contract_place,
                remedy="mark it `required: true`",
            )
    kind = _kind(part, outcomes)
    if not kind.startswith(_NUMBERS):
        yield BadInput(
            f"metric `{name}` cannot be computed: {kind}",
            where=CATALOGUE,
            expected=f"a number or a condition made of the columns {numeric}",
            remedy="correct `expression:` or `denominator:` there",
        )


def _is_number(column: Column) -> bool:
    return column.type in {"integer", "number", "boolean"}


def _kind(part: Expression, outcomes: Contract) -> str:
    """What type the expression has over these outcomes, or why it has none."""
    columns = list(outcomes.columns)
    empty = f"SELECT {typed_sql(columns, [])} WHERE false"
    with connect() as connection:
        try:
            [row] = connection.execute(f"DESCRIBE SELECT {part.sql} AS {identifier('value')} FROM ({empty})").fetchall()
        except duckdb.Error as error:
            return str(error).split("\n", maxsplit=1)[0]
    return str(row[1]) if str(row[1]).startswith(_NUMBERS) else f"it is of type {row[1]}"
