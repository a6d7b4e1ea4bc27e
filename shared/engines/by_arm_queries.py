"""What DuckDB tells by arm, from the tables of units and of what was lost."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import duckdb

from shared.core.clock import rfc3339
from shared.core.sql import literal
from shared.engines.attribution import unattributed_sql, unread_sql
from shared.engines.by_arm import ANY, TOGETHER, ByArm, Scope, Spread, Trimmed
from shared.engines.exact import extents
from shared.engines.files import number
from shared.engines.protocol import EARLY, Question
from shared.engines.unit_table import UNITS, number_sql
from shared.experiment.metrics import Metric

US_PER_S, US_PER_DAY = 1_000_000, 86_400_000_000


def by_arm(connection: duckdb.DuckDBPyConnection, question: Question, scope: Scope) -> ByArm:
    """All that `ByArm` holds, in a connection that has the table of units."""
    connection.execute(_daily(question, scope))
    connection.execute(_first(question))
    last = dict(_rows(connection, 'SELECT arm, max("at") FROM daily GROUP BY arm ORDER BY arm'))
    ends = _ends_of_data(scope)
    assigned = _counts(connection, "SELECT arm, count(DISTINCT entity) FROM attributed GROUP BY arm ORDER BY arm")
    lost = _lost(connection)
    unread = _unread(connection, question) if TOGETHER in lost else {}
    return ByArm(
        assigned=assigned,
        answering=_answering(connection),
        lost=lost,
        unattributed=_counts(
            connection, "SELECT what, count(*) FROM lost WHERE arm IS NULL GROUP BY what ORDER BY what"
        ),
        unattributed_values=_unattributed_values(connection, question, scope),
        unread=unread,
        ranges=_ranges(connection, {name: question.metrics[name] for name in unread}),
        streams=_streams(connection, scope),
        last={arm: rfc3339(at) for arm, at in last.items()},
        after={
            arm: number(
                connection,
                f"""SELECT count(DISTINCT entity) FROM daily WHERE arm <> {literal(arm)}
                AND "at" > TIMESTAMPTZ {literal(rfc3339(at))}""",
            )
            for arm, at in last.items()
        },
        follow_up={
            (window, arm): found for window in scope.windows for arm, found in _follow_up(connection, ends, window)
        },
        times=_times(connection, question.timezone),
        cut_short={
            (window, arm): units
            for window in scope.windows
            if window is not None
            for arm, units in _cut_short(connection, ends, window)
        },
        exposures=_counts(
            connection,
            "SELECT u.arm, count(*) FROM exposures JOIN units u USING (unit) GROUP BY u.arm ORDER BY u.arm",
        ),
        later=_counts(
            connection,
            "SELECT a.arm, count(DISTINCT unit) FROM held JOIN attributed a USING (unit) WHERE later "
            "GROUP BY a.arm ORDER BY a.arm",
        ),
        trimmed=_trimmed(connection, question, scope, assigned) if TOGETHER in lost and not question.cluster else {},
    )


def _daily(question: Question, scope: Scope) -> str:
    """A row per arm, day and entity with an outcome that counted: the last moment, and which metrics it moved."""
    names, day = list(question.metrics), f'CAST("at" AT TIME ZONE {literal(question.timezone)} AS DATE)'
    moves = (f"v{names.index(name)} <> 0" if question.metrics[name].value else "true" for name in scope.streams)
    moved = "".join(f", coalesce(bool_or({each}), false) AS m{at}" for at, each in enumerate(moves))
    return f"""
    CREATE TEMP TABLE daily AS
    SELECT arm, {day} AS day, entity, max("at") AS "at"{moved} FROM counted GROUP BY arm, day, entity
    """


def _first(question: Question) -> str:
    """A row per entity: its arm, and its first exposure."""
    if question.cluster is None:
        return 'CREATE TEMP VIEW first AS SELECT arm, first_at AS "at" FROM units'
    return (
        'CREATE TEMP VIEW first AS SELECT arm, min(first_at) AS "at" FROM units WHERE cluster IS NOT NULL '
        "GROUP BY arm, cluster"
    )


def _lost(connection: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int]]:
    rows = _rows(
        connection,
        f"""
        SELECT what, arm, count(DISTINCT entity) FROM (
            SELECT * FROM lost UNION ALL SELECT * REPLACE ({literal(TOGETHER)} AS what) FROM lost
            WHERE what <> {literal(EARLY)}
        ) WHERE arm IS NOT NULL GROUP BY what, arm ORDER BY what, arm
        """,
    )
    found: dict[str, dict[str, int]] = {}
    for what, arm, units in rows:
        found.setdefault(what, {})[arm] = units
    return found


def _answering(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    """Entities with an outcome since their first exposure, whether it counted or was held back."""
    return _counts(
        connection,
        f"""
        SELECT arm, count(DISTINCT entity) FROM (
            SELECT a.arm, a.entity FROM outcomes o JOIN attributed a ON a.unit = o.unit AND o."at" >= a.first_at
            UNION ALL SELECT a.arm, a.entity FROM held h JOIN attributed a USING (unit)
            WHERE h.kind = 'outcomes' AND h.reason <> {literal(EARLY)} AND NOT h.later
        ) GROUP BY arm ORDER BY arm
        """,
    )


def _unattributed_values(
    connection: duckdb.DuckDBPyConnection, question: Question, scope: Scope
) -> dict[str, tuple[float, float]]:
    """What each metric that adds up would gain, and lose, by the outcomes of nobody."""
    chosen = {name: metric for name, metric in question.metrics.items() if metric.adds_up}
    rows = f"({unattributed_sql(connection, question, scope)})"
    values = {name: number_sql(metric.value, metric) if metric.value else "1" for name, metric in chosen.items()}
    known = dict(zip(chosen, extents(connection, rows, list(values.values())), strict=True))
    sums = []
    for name, metric in chosen.items():
        value, total = values[name], known[name].total
        above, below = total(f"greatest({value}, 0)"), total(f"least({value}, 0)")
        parts = (above, below) if metric.kind == "mean" else (f"count_if({value} > 0)", "0")
        sums += [f"coalesce({part}, 0)::DOUBLE" for part in parts]
    [found] = _rows(connection, f"SELECT {', '.join(sums) or 'count(*)'} FROM {rows}")
    return {name: (found[2 * at], found[2 * at + 1]) for at, name in enumerate(chosen)}


def _unread(connection: duckdb.DuckDBPyConnection, question: Question) -> dict[str, dict[str, int]]:
    """Per metric, by arm, the outcomes held back whose value cannot be read; only where there are any."""
    rows = _rows(connection, unread_sql(connection, question.metrics))
    found = {name: {row[0]: row[1 + at] for row in rows if row[1 + at]} for at, name in enumerate(question.metrics)}
    return {name: arms for name, arms in found.items() if arms}


def _ranges(connection: duckdb.DuckDBPyConnection, metrics: Mapping[str, Metric]) -> dict[str, tuple[float, float]]:
    """The least and the most that an outcome which was accepted adds to a metric that adds up."""
    found = {}
    for name, metric in metrics.items():
        if not metric.adds_up or metric.value is None:
            continue
        value = number_sql(metric.value, metric)
        added = "v" if metric.kind == "mean" else "CAST(v > 0 AS INTEGER)"
        [(low, high)] = _rows(
            connection,
            f"SELECT min({added})::DOUBLE, max({added})::DOUBLE FROM (SELECT {value} AS v FROM outcomes) "
            "WHERE isfinite(v)",
        )
        if low is not None:
            found[name] = low, high
    return found


def _streams(connection: duckdb.DuckDBPyConnection, scope: Scope) -> dict[str, dict[tuple[str, str], int]]:
    counts = ", ".join(["count(*)", *(f"count_if(m{at})" for at in range(len(scope.streams)))])
    rows = _rows(
        connection, f"SELECT arm, CAST(day AS VARCHAR), {counts} FROM daily GROUP BY arm, day ORDER BY arm, day"
    )
    return {
        name: {(row[0], row[1]): row[2 + at] for row in rows if row[2 + at]}
        for at, name in enumerate([ANY, *scope.streams])
    }


def _ends_of_data(scope: Scope) -> str:
    """SQL of the microsecond when watching ended: in the midst of a pilot its last row, whenever one asks."""
    told = f"epoch_us(TIMESTAMPTZ '{rfc3339(scope.ends)}')"
    if scope.ends >= scope.closes:
        return told
    last = 'SELECT max("at") FROM (SELECT "at" FROM first UNION ALL SELECT "at" FROM daily)'
    return f"least({told}, (SELECT epoch_us(({last}))))"


def _follow_up(connection: duckdb.DuckDBPyConnection, ends: str, window: int | None) -> list[tuple[str, Spread]]:
    left = f'greatest({ends} - epoch_us("at"), 0)'
    us = left if window is None else f"least({left}, {window * US_PER_DAY})"
    return [(arm, Spread(*sums)) for arm, *sums in _spreads(connection, "arm", us)]


def _times(connection: duckdb.DuckDBPyConnection, timezone: str) -> dict[tuple[str, str], Spread]:
    local = f'("at" AT TIME ZONE {literal(timezone)})'
    keys = f"arm, CAST(CAST({local} AS DATE) AS VARCHAR)"
    rows = _spreads(connection, keys, f"epoch_us({local}) - epoch_us(CAST(CAST({local} AS DATE) AS TIMESTAMP))")
    return {(arm, day): Spread(*sums) for arm, day, *sums in rows}


def _spreads(connection: duckdb.DuckDBPyConnection, keys: str, us: str) -> list[tuple[Any, ...]]:
    seconds = f"(({us}) // {US_PER_S})"
    return _rows(
        connection,
        f"SELECT {keys}, count(*), sum({seconds}), sum({seconds} * {seconds}) FROM first GROUP BY ALL ORDER BY ALL",
    )


def _cut_short(connection: duckdb.DuckDBPyConnection, ends: str, window: int) -> list[tuple[Any, ...]]:
    short = f'count_if(epoch_us("at") + {window * US_PER_DAY} > {ends})'
    return _rows(connection, f"SELECT arm, {short} FROM first GROUP BY arm ORDER BY arm")


def _trimmed(
    connection: duckdb.DuckDBPyConnection, question: Question, scope: Scope, assigned: Mapping[str, int]
) -> dict[tuple[str, str], Trimmed]:
    kept = _counts(connection, f"SELECT arm, count(*) FROM {UNITS} WHERE NOT lost GROUP BY arm ORDER BY arm")
    shares = {arm: kept.get(arm, 0) / units for arm, units in assigned.items()}
    names, control = list(question.metrics), scope.arms[0]
    found = {}
    for arm in scope.arms[1:]:
        if not (kept.get(arm) and kept.get(control)):
            continue
        of = {arm: excess(shares[arm], shares[control]), control: excess(shares[control], shares[arm])}
        for name in scope.streams:
            if not question.metrics[name].adds_up:
                continue
            value = f"v{names.index(name)}"
            treated, base = (_ends(connection, each, value, kept[each], of[each]) for each in (arm, control))
            found[arm, name] = Trimmed(max(of.values()), treated[0] - base[1], treated[1] - base[0])
    return found


def _ends(connection: duckdb.DuckDBPyConnection, arm: str, value: str, n: int, frac: float) -> tuple[float, float]:
    """An arm's mean with a share of its units trimmed: of the best ones, and of the worst."""
    rows = f"(SELECT {value} AS v FROM {UNITS} WHERE arm = {literal(arm)} AND NOT lost)"
    [extent] = extents(connection, rows, ["v"])
    [(total,)] = _rows(connection, f"SELECT {extent.total('v')} FROM {rows}")
    cut, means = int(frac * n), []
    for order in ("DESC", "ASC"):
        [(gone, edge)] = _rows(
            connection,
            f"""SELECT coalesce({extent.total("v", f"place <= {cut}")}, 0),
                coalesce(max(v) FILTER (place > {cut}), 0)::DOUBLE
            FROM (SELECT v, row_number() OVER (ORDER BY v {order}) AS place FROM {rows}) WHERE place <= {cut + 1}""",
        )
        means.append(trimmed_mean(n, total, frac, gone, edge))
    return means[0], means[1]


def _counts(connection: duckdb.DuckDBPyConnection, query: str) -> dict[str, int]:
    return dict(_rows(connection, query))


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    return rows


def excess(kept: float, other_kept: float) -> float:
    """The share of an arm to be trimmed, from the shares of both that were kept; zero where it kept no more."""
    return max(0.0, (kept - other_kept) / kept) if kept > 0 else 0.0


def trimmed_mean(n: int, total: float, frac: float, cut: float, edge: float) -> float:
    """The mean of n values without a share of them at one end.

    `cut` is the sum of as many whole values at that end as the share holds, `edge` the next one, which goes in part:
    bounds then do not depend on how ties are broken.
    """
    gone = frac * n
    return (total - cut - (gone - int(gone)) * edge) / (n - gone)
