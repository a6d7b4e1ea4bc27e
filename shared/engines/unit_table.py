"""The table of a pilot's units, one row each in the order of their ids: arm, day, traits and what was measured.

DuckDB's threads add and write in whatever order they finish. What is added up here is therefore exact, and the table is
in order: the same files give the same table on any number of threads.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

import duckdb

from shared.core.clock import rfc3339
from shared.core.sql import identifier, literal
from shared.engines.attribution import attribute, everything
from shared.engines.by_arm import OUTCOMES
from shared.engines.exact import Extent, double, extents
from shared.engines.layout import Layout
from shared.engines.protocol import IN_TWO_ARMS, NOT_ASSIGNED, Question
from shared.experiment.expressions import Expression
from shared.experiment.metrics import Metric

UNITS = "unit_values"
US = timedelta(microseconds=1)
US_PER_DAY = timedelta(days=1) // US


def make_unit_table(connection: duckdb.DuckDBPyConnection, question: Question) -> dict[str, int]:
    """Writes `UNITS` from the views of the files; returns how many units have no value of a trait, by its column.

    Its columns are those of the layout (`v0` a metric's value, `d0` its denominator, `e0` and `l0` its early and late
    value, `x0` a covariate, `s0` a segment or stratum), and `arm`, `day` (of the first exposure), `cluster`, `tenured`
    (whether the unit has had time for both parts), `since` (microseconds until its first outcome; NULL without any),
    and `g0`, how many of its outcomes have no value of a metric. With a scope there are `attributed`, `held` and
    `lost` too (`shared.engines.attribution`), and whether a unit lost an outcome as `lost`.
    """
    layout = Layout.of(question)
    connection.execute(_known(connection, question, layout))
    connection.execute(_CLUSTERED if question.cluster else _UNCLUSTERED)
    if not question.everything:
        connection.execute(_UNITS)
    if question.scope is not None:
        attribute(connection, question, question.scope)
        if question.everything:
            everything(connection, question, question.scope)
    connection.execute(_counted(question.metrics, held=question.everything))
    known = _summed(connection, question)
    connection.execute(
        f"CREATE TEMP TABLE happened AS SELECT {', '.join(_per_unit(question, known))} FROM counted GROUP BY unit"
    )
    means, missing = _traits_told(connection, question, layout)
    connection.execute(f"""
        CREATE TEMP TABLE {UNITS} AS
        SELECT {", ".join(_columns(connection, question, layout, means))} FROM units u LEFT JOIN happened h USING (unit)
        ORDER BY unit
    """)
    connection.execute("DROP TABLE happened")
    return missing


def _known(connection: duckdb.DuckDBPyConnection, question: Question, layout: Layout) -> str:
    """The view of the traits, a row per unit; what is told twice of a unit is not known of it."""
    listed = connection.execute("SELECT column_name FROM duckdb_columns() WHERE table_name = 'traits'").fetchall()
    there = {name for (name,) in listed}
    traits = [*zip(layout.covariates.values(), question.covariates, ["DOUBLE"] * len(question.covariates), strict=True)]
    traits += [(column, name, "VARCHAR") for name, column in layout.levels.items()]
    traits += [("cluster", question.cluster or "", "VARCHAR")]
    told = "".join(
        f", CASE WHEN count(*) = 1 THEN first(TRY_CAST({identifier(name)} AS {kind})) END AS {column}"
        if name in there
        else f", NULL::{kind} AS {column}"
        for column, name, kind in traits
    )
    source = "traits" if there else "(SELECT NULL::VARCHAR AS unit WHERE false)"
    return f"CREATE TEMP VIEW known AS SELECT unit{told} FROM {source} GROUP BY unit"


# Of a cluster with exposures in two arms nothing counts, nor of a unit.
_MIXED = f"""
CREATE TEMP VIEW mixed AS
    SELECT unit FROM conflicts WHERE reason IN ('{IN_TWO_ARMS}', '{NOT_ASSIGNED}') AND unit IS NOT NULL
    UNION SELECT unit FROM exposures GROUP BY unit HAVING count(DISTINCT arm) > 1;
"""
_UNCLUSTERED = f"""
{_MIXED}
CREATE TEMP VIEW left_out AS SELECT unit FROM mixed;
CREATE TEMP VIEW multiple AS SELECT unit FROM mixed;
"""
_CLUSTERED = f"""
{_MIXED}
CREATE TEMP VIEW mixed_clusters AS
    SELECT cluster FROM exposures JOIN known USING (unit) WHERE cluster IS NOT NULL
    GROUP BY cluster HAVING count(DISTINCT arm) > 1
    UNION SELECT cluster FROM mixed JOIN known USING (unit) WHERE cluster IS NOT NULL;
CREATE TEMP VIEW left_out AS
    SELECT unit FROM mixed UNION SELECT unit FROM known WHERE cluster IN (SELECT cluster FROM mixed_clusters);
CREATE TEMP VIEW multiple AS
    SELECT cluster FROM mixed_clusters
    UNION ALL SELECT m.unit FROM mixed m LEFT JOIN known k USING (unit) WHERE k.cluster IS NULL;
"""
_UNITS = """
CREATE TEMP TABLE units AS SELECT * FROM (
    SELECT unit, any_value(arm) AS arm, min("at") AS first_at FROM exposures
    WHERE unit NOT IN (SELECT unit FROM left_out) GROUP BY unit
) LEFT JOIN known USING (unit);
"""


def _counted(metrics: Mapping[str, Metric], *, held: bool) -> str:
    """The view of the outcomes that count: unit, microseconds since its first exposure, and what each metric reads.

    Beside these its arm and entity; with `held` also whether a row had been held back.

    What an expression cannot be computed for is NULL, and a NULL is no zero. So is what reads a NULL: CASE, AND and
    greatest would make a number of it. And so is a NaN that is only looked at for being above zero, which DuckDB says
    it is; a sum keeps it, to be found there.
    """
    reads = "".join(f", {number_sql(part, metric)} AS {column}" for column, part, metric in _reads(metrics))
    return f"""
    CREATE TEMP VIEW read_outcomes AS
    SELECT unit, "at"{", held" if held else ""}{reads} FROM {"all_outcomes" if held else "outcomes"};
    CREATE TEMP VIEW counted AS
    SELECT r.*, epoch_us(r."at") - epoch_us(u.first_at) AS since, u.arm, coalesce(u.cluster, u.unit) AS entity
    FROM read_outcomes r JOIN units u ON r.unit = u.unit AND r."at" >= u.first_at;
    """


def _reads(metrics: Mapping[str, Metric]) -> Iterator[tuple[str, Expression, Metric]]:
    """What metrics read of an outcome, each with its column."""
    for index, metric in enumerate(metrics.values()):
        if metric.value is not None:
            yield f"v{index}", metric.value, metric
        if metric.per is not None:
            yield f"d{index}", metric.per, metric


def _summed(connection: duckdb.DuckDBPyConnection, question: Question) -> dict[str, Extent]:
    """The extents of the columns of outcomes that units' values are sums of."""
    columns = [column for column, _, metric in _reads(question.metrics) if metric.kind not in {"proportion", "count"}]
    return dict(zip(columns, extents(connection, "read_outcomes", columns), strict=True))


def number_sql(part: Expression, metric: Metric) -> str:
    """What a metric reads of an outcome, as SQL: a number, or NULL where it cannot be computed."""
    read = f"TRY_CAST(TRY({_whole(part)}) AS DOUBLE)"
    return f"nullif({read}, 'nan'::DOUBLE)" if metric.kind in {"proportion", "count"} else read


def _whole(part: Expression) -> str:
    there = " AND ".join(f"{identifier(name)} IS NOT NULL" for name in part.columns)
    return f"CASE WHEN {there} THEN {part.sql} END" if there else part.sql


def _per_unit(question: Question, summed: Mapping[str, Extent]) -> Iterator[str]:
    """What is known of a unit from its outcomes: values in each metric's window, in the two parts, and gaps."""

    def measured(metric: Metric, value: str, within: str) -> str:
        return summed[value].total(value, within) if value in summed else _measured(metric, value, within)

    novel, part = question.novelty or ((), timedelta())
    early, late = f"since < {part // US}", f"since BETWEEN {part // US} AND {2 * part // US - 1}"
    yield "unit"
    yield "min(since) AS since"
    for index, (name, metric) in enumerate(question.metrics.items()):
        value, per, within = f"v{index}", f"d{index}", _within(metric)
        yield f"{measured(metric, value, within)} AS {value}"
        if metric.divided:
            any_value = f"CAST(count({value}) FILTER ({within}) > 0 AS DOUBLE)"
            yield f"{summed[per].total(per, within) if metric.per else any_value} AS {per}"
        if name in novel:
            yield f"{measured(metric, value, early)} AS e{index}"
            yield f"{measured(metric, value, late)} AS l{index}"
        reads = () if metric.no_outcome == "left_out" else ((value, metric.value), (per, metric.per))
        gaps = [f"{column} IS NULL" for column, read in reads if read]
        # Of a row that was held back what can be read counts, and what cannot is nothing.
        expected = f"{within} AND NOT held" if question.everything else within
        yield f"count(*) FILTER ({expected} AND ({' OR '.join(gaps) or 'false'})) AS g{index}"


def _within(metric: Metric) -> str:
    """Whether an outcome lies in the metric's window."""
    return "true" if metric.window_days is None else f"since < {metric.window_days * US_PER_DAY}"


def _measured(metric: Metric, value: str, within: str) -> str:
    """A unit's value of a metric that counts, from its outcomes within a part of its time."""
    if metric.kind == "proportion":
        return f"CAST(coalesce(bool_or({value} > 0) FILTER ({within}), false) AS UTINYINT)"
    above = f"{within} AND {value} > 0" if metric.value else within
    return f"CAST(count(*) FILTER ({above}) AS DOUBLE)"


def _traits_told(
    connection: duckdb.DuckDBPyConnection, question: Question, layout: Layout
) -> tuple[dict[str, float], dict[str, int]]:
    """The mean of each covariate's column over the units that have one, and how many have no value of a trait."""
    columns = [
        *zip(question.covariates, layout.covariates.values(), strict=True),
        *layout.levels.items(),
        *([(question.cluster, "cluster")] if question.cluster else []),
    ]
    counts = ", ".join(f"count(*) - count({column})" for _, column in columns)
    missing: dict[str, int] = {}
    for (name, _), gaps in zip(columns, _row(connection, f"SELECT {counts or 'count(*)'} FROM units"), strict=False):
        missing[name] = max(gaps, missing.get(name, 0))
    covariates = list(layout.covariates.values())
    sums = zip(covariates, extents(connection, "units", covariates), strict=True)
    means = ", ".join(f"{each.total(column)} / count({column})" for column, each in sums)
    found = _row(connection, f"SELECT {means or 'count(*)'} FROM units")
    return {
        column: float("nan") if mean is None else mean
        for column, mean in zip(layout.covariates.values(), found, strict=False)
    }, missing


def _columns(
    connection: duckdb.DuckDBPyConnection, question: Question, layout: Layout, means: Mapping[str, float]
) -> Iterator[str]:
    """A unit's columns in the table."""
    yield from ("arm", f'CAST("first_at" AT TIME ZONE {literal(question.timezone)} AS DATE) AS day', "since")
    yield from ("cluster", *layout.levels.values())
    # A unit whose covariate is not known gets its mean, and so neither adds to nor takes from any arm. Under
    # randomisation that keeps an adjusted estimate consistent (Zhao and Ding 2022, "To adjust or not to adjust?
    # Estimating the average treatment effect in randomized experiments with missing covariates", sect. 4).
    yield from (f"coalesce({column}, {double(mean)}) AS {column}" for column, mean in means.items())
    for index, metric in enumerate(question.metrics.values()):
        cap = _cap(connection, index, metric)
        yield from (_filled(f"{letter}{index}", cap) for letter in "vel" if f"{letter}{index}" in _measures(layout))
        if metric.divided:
            yield _filled(f"d{index}", None)
        yield f"coalesce(g{index}, 0) AS g{index}"
    yield f"{_tenured(connection, question)} AS tenured"
    if question.scope is not None and not question.everything:
        # Of a unit that counts, an exposure that was held back took nothing.
        of_outcomes = f"unit IS NOT NULL AND starts_with(what, {literal(OUTCOMES)})"
        yield f"unit IN (SELECT unit FROM lost WHERE {of_outcomes}) AS lost"


def _measures(layout: Layout) -> set[str]:
    return {*layout.values.values(), *layout.parts.values()}


def _cap(connection: duckdb.DuckDBPyConnection, index: int, metric: Metric) -> float | None:
    """The most that a unit's value counts for; None where there is no cap, or no value to take it from.

    NaN where one of these is no number: DuckDB would take it for the largest.
    """
    if metric.cap_quantile is None:
        return metric.cap
    quantile = f"quantile_cont(v{index}, {metric.cap_quantile!r})"
    query = f"SELECT if(bool_or(isnan(v{index})), 'nan'::DOUBLE, {quantile}) FROM happened WHERE v{index} > 0"
    found: float | None = _row(connection, query)[0]
    return found


def _filled(column: str, cap: float | None) -> str:
    """Zero without any outcome, and no higher than the cap; what is not a finite number stays as it is, to be found.

    Under a cap that cannot be told no value can.
    """
    filled = f"coalesce({column}, 0)"
    if cap is None:
        return f"{filled} AS {column}"
    if math.isnan(cap):
        return f"{double(cap)} AS {column}"
    return f"CASE WHEN isfinite({column}) AND {column} > {double(cap)} THEN {double(cap)} ELSE {filled} END AS {column}"


def _tenured(connection: duckdb.DuckDBPyConnection, question: Question) -> str:
    """Whether a unit's time has two parts before the end: that of the question, or else the last event."""
    if question.novelty is None:
        return "false"
    end: datetime | None = question.until
    if end is None:
        events = 'SELECT "at" FROM exposures UNION ALL SELECT "at" FROM outcomes'
        end = _row(connection, f'SELECT max("at") FROM ({events})')[0]
    if end is None:
        return "false"
    return f"first_at <= TIMESTAMPTZ {literal(rfc3339(end - 2 * question.novelty[1]))}"


def _row(connection: duckdb.DuckDBPyConnection, query: str) -> tuple[Any, ...]:
    row: tuple[Any, ...]
    [row] = connection.execute(query).fetchall()
    return row


def unvalued(connection: duckdb.DuckDBPyConnection, metrics: Mapping[str, Metric]) -> dict[str, int]:
    """Per metric, how many outcomes of the units have no value of it."""
    gaps = ", ".join(f"CAST(coalesce(sum(g{index}), 0) AS BIGINT)" for index in range(len(metrics)))
    [row] = connection.execute(f"SELECT {gaps} FROM {UNITS}").fetchall()
    return dict(zip(metrics, row, strict=True))
