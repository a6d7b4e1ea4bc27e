"""DuckDB as engine: the files become one table of units, and scans of it yield moments and counts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import numpy as np

from shared.core.clock import rfc3339
from shared.core.sql import literal
from shared.data.contracts import Contract
from shared.engines.answers import EarlyOutcomes, Placement, PrePeriod, Uncaused, UnitValues
from shared.engines.by_arm_queries import by_arm
from shared.engines.exact import extents
from shared.engines.files import number, opened
from shared.engines.layout import Layout
from shared.engines.personal_data import personal_rows
from shared.engines.placement import made_up, place
from shared.engines.pre_period import pre_period
from shared.engines.protocol import LEVELS_MAX, Delay, PilotData, Question, Summary, value_of
from shared.engines.scan import extremes, moments
from shared.engines.sums import Asked
from shared.engines.uncaused import early_outcomes, uncaused
from shared.engines.unit_table import UNITS, make_unit_table, unvalued
from shared.engines.unit_values import of_arm, of_history
from shared.experiment.charter import Charter
from shared.experiment.draw import Draw
from shared.experiment.metrics import Metric
from shared.stats.moments import SIZE, Cells, Pair
from shared.stats.quantiles import ranks
from shared.stats.summaries import QuantileMoments

US_PER_S = 1_000_000
_Found = tuple[Cells, Cells, dict[str, Cells]]


class DuckDB:
    """The engine of one machine."""

    def summarise(self, data: PilotData, question: Question) -> Summary:
        """Counts and moments of a pilot's data; outcomes before a unit's first exposure do not count."""
        with opened(data, question.until) as connection:
            untraited = make_unit_table(connection, question)
            layout = Layout.of(question)
            crowded = _crowded(connection, layout)
            units = dict(_rows(connection, f"SELECT arm, count(*) FROM {UNITS} GROUP BY arm ORDER BY arm"))
            levels = {name: column for name, column in layout.levels.items() if name not in crowded}
            arms, days, found = (_by_cluster if question.cluster else _by_unit)(connection, layout, levels)
            return Summary(
                arms=arms,
                days=days,
                segments={name: found[name] for name in question.segments if name in found},
                strata=found.get(question.strata) if question.strata else None,
                tenure=_tenure(connection, layout) if question.novelty else None,
                quantiles=_quantiles(connection, question, units, arms),
                units=units,
                segment_units={
                    name: _counts(connection, f"arm, {column}")
                    for name, column in levels.items()
                    if name in question.segments
                },
                day_units=_counts(connection, "arm, CAST(day AS VARCHAR)"),
                reporting=dict(_rows(connection, f"SELECT arm, count(since) FROM {UNITS} GROUP BY arm ORDER BY arm")),
                unvalued=unvalued(connection, question.metrics),
                untraited=untraited,
                delays=_delays(connection),
                outcome_days=_outcome_days(connection, question.timezone),
                multiple_units=number(connection, "SELECT count(*) FROM multiple"),
                conflicts=dict(
                    _rows(connection, "SELECT reason, count(*) FROM conflicts GROUP BY reason ORDER BY reason")
                ),
                exposures=number(connection, "SELECT count(*) FROM exposures"),
                outcomes=number(connection, "SELECT count(*) FROM outcomes"),
                first_exposure=_moment(connection, "min"),
                last_exposure=_moment(connection, "max"),
                clusters=_clusters(connection) if question.cluster else {},
                crowded=tuple(crowded),
                by_arm=by_arm(connection, question, question.scope)
                if question.scope is not None and not question.everything
                else None,
            )

    def place(self, data: PilotData, draw: Draw, charter: Charter) -> Placement:
        """Compares each row's unit, arm and time with what was drawn and promised."""
        return place(data, draw, charter)

    def uncaused(self, data: PilotData, draw: Draw | None, metrics: Mapping[str, Metric]) -> Uncaused:
        """Outcomes that no arm can have caused; `draw` is None where arms come from elsewhere."""
        return uncaused(data, draw, metrics)

    def early_outcomes(self, data: PilotData, cluster: str | None = None) -> EarlyOutcomes:
        """How much came before its unit's first exposure."""
        return early_outcomes(data, cluster)

    def pre_period(
        self, data: PilotData, arms: Sequence[str], told: Sequence[str], cluster: str | None, *, units_per_column: int
    ) -> PrePeriod:
        """The sealed columns of the exposed units, as numbers; raises BadInput where they are not as promised."""
        return pre_period(data, arms, told, cluster, units_per_column=units_per_column)

    def made_up(self, data: PilotData, *, rehearsed: bool = False) -> int:
        """How many exposures and outcomes carry the mark of synthetic units, or if that is asked of rehearsed ones."""
        return made_up(data, rehearsed=rehearsed)

    def personal_rows(self, data: PilotData, outcomes: Contract) -> dict[str, int]:
        """How many values look like an address or a telephone number, by `table.column`; only where there are any."""
        return personal_rows(data, outcomes)

    def unit_values(
        self, data: PilotData, metrics: Mapping[str, Metric], arm: str
    ) -> AbstractContextManager[UnitValues]:
        """The units of an arm; a column is named by `value_of` a metric, and by `per_of` a ratio."""
        return of_arm(data, metrics, arm)

    def history_values(self, table: Path, metrics: Mapping[str, Metric]) -> AbstractContextManager[UnitValues]:
        """The rows of a table, with each metric's value from its `history` there; columns are named alike."""
        return of_history(table, metrics)


def _crowded(connection: duckdb.DuckDBPyConnection, layout: Layout) -> list[str]:
    """The columns of segments and strata that have too many levels."""
    counts = ", ".join(f"count(DISTINCT {column})" for column in layout.levels.values())
    [row] = _rows(connection, f"SELECT {counts or 'count(*)'} FROM {UNITS}")
    return [name for name, levels in zip(layout.levels, row, strict=False) if levels > LEVELS_MAX]


def _by_unit(connection: duckdb.DuckDBPyConnection, layout: Layout, levels: Mapping[str, str]) -> _Found:
    """The cells of arms and days, and of each trait's levels."""
    asked = Asked(
        table=UNITS,
        columns={**layout.values, **layout.covariates},
        pairs=layout.pairs,
        keys={key: key for key in ("arm", "day", *levels.values())},
        flags=layout.flags,
    )
    groupings = [("arm",), ("arm", "day"), *(("arm", column) for column in levels.values())]
    arms, days, *found = moments(connection, asked, groupings)
    return (
        _with_extremes(connection, asked, layout, arms),
        days,
        {name: _levelled(cells) for name, cells in zip(levels, found, strict=True)},
    )


def _by_cluster(connection: duckdb.DuckDBPyConnection, layout: Layout, levels: Mapping[str, str]) -> _Found:
    """The same of clusters: a cluster's day is its first unit's, and of its units each level has its own."""
    columns = {**layout.values, **layout.covariates}
    asked = _of_clusters(connection, columns, layout.pairs, "min(day) AS day", "")
    asked = replace(asked, keys={"arm": "arm", "day": "day"})
    arms, days = moments(connection, asked, [("arm",), ("arm", "day")])
    arms = _with_extremes(connection, asked, layout, arms)
    found = {}
    for name, column in levels.items():
        asked = _of_clusters(connection, columns, layout.pairs, column, f", {column}")
        [cells] = moments(connection, replace(asked, keys={"arm": "arm", column: column}), [("arm", column)])
        found[name] = _levelled(cells)
    return arms, days, found


def _of_clusters(
    connection: duckdb.DuckDBPyConnection,
    columns: Mapping[str, str],
    pairs: Sequence[Pair],
    read: str,
    within: str,
    units: str = "cluster IS NOT NULL",
) -> Asked:
    """What is asked of a table of clusters, with sums over these of their units."""
    summed = zip(columns.values(), extents(connection, f"{UNITS} WHERE {units}", list(columns.values())), strict=True)
    sums = "".join(f", {extent.total(column)} AS {column}" for column, extent in summed)
    connection.execute(f"""
        CREATE OR REPLACE TEMP TABLE cluster_values AS
        SELECT arm, {read}{sums}, CAST(count(*) AS DOUBLE) AS size FROM {UNITS} WHERE {units}
        GROUP BY arm, cluster{within} ORDER BY arm, cluster{within}
    """)
    return Asked("cluster_values", {**columns, SIZE: "size"}, pairs, {})


def _with_extremes(connection: duckdb.DuckDBPyConnection, asked: Asked, layout: Layout, arms: Cells) -> Cells:
    least, most = extremes(connection, replace(asked, columns=layout.measures), "arm")
    return replace(arms, least=least, most=most)


def _levelled(cells: Cells) -> Cells:
    arm, level = cells.keys.values()
    return replace(cells, keys={"arm": arm, "level": level})


def _tenure(connection: duckdb.DuckDBPyConnection, layout: Layout) -> Cells:
    """The cells of the arms' units with time enough, early and late."""
    asked = Asked(f"{UNITS} WHERE tenured", layout.parts, layout.part_pairs, {}, layout.flags)
    if layout.cluster:
        units = "cluster IS NOT NULL AND tenured"
        asked = _of_clusters(connection, layout.parts, layout.part_pairs, "true", "", units)
    return moments(connection, replace(asked, keys={"arm": "arm"}), [("arm",)])[0]


def _quantiles(
    connection: duckdb.DuckDBPyConnection, question: Question, units: Mapping[str, int], arms: Cells
) -> dict[str, dict[str, QuantileMoments]]:
    """Each arm's quantiles with their limits; NaN in an arm of too few units, and where units are in clusters."""
    found: dict[str, dict[str, QuantileMoments]] = {arm: {} for arm in units}
    for index, (name, metric) in enumerate(question.metrics.items()):
        if metric.quantile is None:
            continue
        limits = {} if question.cluster else _limits(connection, index, metric.quantile, units)
        for arm, n in units.items():
            # A value that is no finite number has left its trace in the mean, wherever it was sorted.
            finite = np.isfinite(arms.of(arm=arm).means[value_of(name)]).all()
            low, value, high = limits[arm] if arm in limits and finite else (math.nan,) * 3
            found[arm][name] = QuantileMoments(n=n, quantile=metric.quantile, value=value, low=low, high=high)
    return found


def _limits(
    connection: duckdb.DuckDBPyConnection, index: int, quantile: float, units: Mapping[str, int]
) -> dict[str, tuple[float, float, float]]:
    """The values at the ranks of each arm's quantile and its limits, where there are units enough."""
    wanted = {arm: at for arm, n in units.items() if (at := ranks(n, quantile)) is not None}
    places = ", ".join(f"({literal(arm)}, {rank})" for arm, at in wanted.items() for rank in sorted(set(at)))
    rows = _rows(
        connection,
        f"""
        SELECT arm, rank, value FROM (
            SELECT arm, v{index} AS value, row_number() OVER (PARTITION BY arm ORDER BY v{index}) AS rank FROM {UNITS}
        ) WHERE (arm, rank) IN ({places or "('', 0)"})
        """,
    )
    values = {(arm, rank): value for arm, rank, value in rows}
    return {arm: (values[arm, low], values[arm, at], values[arm, high]) for arm, (low, at, high) in wanted.items()}


def _counts(connection: duckdb.DuckDBPyConnection, by: str) -> dict[tuple[str, Any], int]:
    rows = _rows(connection, f"SELECT {by}, count(*) FROM {UNITS} GROUP BY ALL ORDER BY ALL")
    return {(arm, other): units for arm, other, units in rows}


def _delays(connection: duckdb.DuckDBPyConnection) -> dict[str, Delay]:
    rows = _rows(connection, f"SELECT arm, count(since), median(since) FROM {UNITS} GROUP BY arm ORDER BY arm")
    return {arm: Delay(units, None if median is None else median / US_PER_S) for arm, units, median in rows}


def _outcome_days(connection: duckdb.DuckDBPyConnection, timezone: str) -> dict[str, int]:
    day = f'CAST(CAST("at" AT TIME ZONE {literal(timezone)} AS DATE) AS VARCHAR)'
    return dict(_rows(connection, f"SELECT {day} AS _day, count(*) FROM outcomes GROUP BY _day ORDER BY _day"))


def _clusters(connection: duckdb.DuckDBPyConnection) -> dict[str, int]:
    return dict(_rows(connection, f"SELECT arm, count(DISTINCT cluster) FROM {UNITS} GROUP BY arm ORDER BY arm"))


def _moment(connection: duckdb.DuckDBPyConnection, which: str) -> str | None:
    [(found,)] = _rows(connection, f'SELECT {which}("at") FROM exposures')
    return rfc3339(found) if found else None


def _rows(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = connection.execute(query).fetchall()
    return rows
