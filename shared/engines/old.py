"""DuckDB as engine: one scan over a pilot's sealed data yields counts and moments."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import duckdb

from shared.clock import rfc3339
from shared.engines.files import number, opened
from shared.engines.protocol import IN_TWO_ARMS, NOT_ASSIGNED, PilotData
from shared.evidence.model import AnyMoments, Moments, QuantileMoments, RatioMoments
from shared.evidence.quantiles import ranks
from shared.expressions import Expression
from shared.metrics import Metric
from shared.sql import identifier, literal

US_PER_DAY = 24 * 60 * 60 * 1_000_000


@dataclass(frozen=True, slots=True)
class Summary:
    """What one pass over a pilot's data says; everything else is computed from it.

    Attributes:
        moments: per arm, per metric.
        units: exposed units per arm, those in two arms left out.
        reporting: of these, units with any outcome.
        unvalued: outcomes of these units without a value, per metric.
        multiple_units: units that were seen in two arms, or in another one than was assigned.
        conflicts: rows held back, by reason.
    """

    moments: dict[str, dict[str, AnyMoments]]
    units: dict[str, int]
    reporting: dict[str, int]
    unvalued: dict[str, int]
    multiple_units: int
    conflicts: dict[str, int]
    exposures: int
    outcomes: int
    first_exposure: str | None
    last_exposure: str | None


def summarise(data: PilotData, metrics: Mapping[str, Metric]) -> Summary:
    """Counts and moments of a pilot's data; outcomes before a unit's first exposure do not count."""
    with opened(data) as connection:
        connection.execute(_UNITS)
        connection.execute(_counted(metrics))
        units, moments = _moments(connection, metrics)
        return Summary(
            moments=moments,
            units=units,
            reporting=dict(connection.execute(_REPORTING).fetchall()),
            unvalued=_unvalued(connection, metrics),
            multiple_units=number(connection, "SELECT count(*) FROM multiple"),
            conflicts=dict(
                connection.execute("SELECT reason, count(*) FROM conflicts GROUP BY reason ORDER BY reason").fetchall()
            ),
            exposures=number(connection, "SELECT count(*) FROM exposures"),
            outcomes=number(connection, "SELECT count(*) FROM outcomes"),
            first_exposure=_moment(connection, "min"),
            last_exposure=_moment(connection, "max"),
        )


_UNITS = f"""
CREATE VIEW multiple AS
    SELECT DISTINCT unit FROM conflicts WHERE reason IN ('{IN_TWO_ARMS}', '{NOT_ASSIGNED}') AND unit IS NOT NULL
    UNION SELECT unit FROM exposures GROUP BY unit HAVING count(DISTINCT arm) > 1;
CREATE VIEW units AS
    SELECT unit, any_value(arm) AS arm, min("at") AS first_at FROM exposures
    WHERE unit NOT IN (SELECT unit FROM multiple) GROUP BY unit;
"""


_REPORTING = """
SELECT u.arm, count(DISTINCT u.unit) FROM units u JOIN outcomes o ON o.unit = u.unit AND o."at" >= u.first_at
GROUP BY u.arm ORDER BY u.arm
"""


def _counted(metrics: Mapping[str, Metric]) -> str:
    """The view of the outcomes that count: unit, microseconds since its first exposure, and what each metric reads.

    Metrics are told apart by their position: `v0` is the first one's value, `d0` its denominator. What an expression
    cannot be computed for is NULL, and a NULL is no zero (`_unvalued`). So is what reads a NULL: CASE, AND and greatest
    would make a number of it.
    """
    reads = "".join(
        f", TRY_CAST(TRY({_whole(part)}) AS DOUBLE) AS {letter}{index}"
        for index, metric in enumerate(metrics.values())
        for letter, part in (("v", metric.value), ("d", metric.per))
        if part is not None
    )
    return f"""
    CREATE VIEW counted AS SELECT r.*, epoch_us(r."at") - epoch_us(u.first_at) AS since
    FROM (SELECT unit, "at"{reads} FROM outcomes) r JOIN units u ON r.unit = u.unit AND r."at" >= u.first_at;
    """


def _whole(part: Expression) -> str:
    there = " AND ".join(f"{identifier(name)} IS NOT NULL" for name in part.columns)
    return f"CASE WHEN {there} THEN {part.sql} END" if there else part.sql


def _unvalued(connection: duckdb.DuckDBPyConnection, metrics: Mapping[str, Metric]) -> dict[str, int]:
    counts = ", ".join(
        f"count(*) FILTER ({_within(metric)} AND ({_gap(index, metric)}))"
        for index, metric in enumerate(metrics.values())
    )
    row = connection.execute(f"SELECT {counts} FROM counted").fetchone()
    return dict(zip(metrics, row or (), strict=True))


def _gap(index: int, metric: Metric) -> str:
    gaps = [f"{letter}{index} IS NULL" for letter, part in (("v", metric.value), ("d", metric.per)) if part]
    return " OR ".join(gaps) or "false"


def _within(metric: Metric) -> str:
    """Whether an outcome lies in the metric's window."""
    return "true" if metric.window_days is None else f"since < {metric.window_days * US_PER_DAY}"


def _moments(
    connection: duckdb.DuckDBPyConnection, metrics: Mapping[str, Metric]
) -> tuple[dict[str, int], dict[str, dict[str, AnyMoments]]]:
    numbered = list(enumerate(metrics.items()))
    per_unit = "".join(_per_unit(index, metric) for index, (_, metric) in numbered)
    filled = "".join(f", coalesce({column}, 0) AS {column}" for column in _columns(metrics))
    capped = ", ".join(_capped(index, metric) for index, (_, metric) in numbered)
    # var_pop is Welford's algorithm: centred, unlike sum(x * x).
    per_arm = "".join(f", avg({column}), var_pop({column}) * count(*)" for column in _columns(metrics)) + "".join(
        f", covar_pop(v{index}, d{index}) * count(*)" for index, (_, metric) in numbered if metric.per
    )
    # Ranks are read from the units again, each metric in its own order: they are kept for that, else only looked at.
    kept = "TEMP TABLE" if any(metric.quantile for metric in metrics.values()) else "TEMP VIEW"
    connection.execute(f"""
        CREATE {kept} unit_values AS WITH happened AS (
            SELECT unit{per_unit} FROM counted GROUP BY unit
        ), valued AS (
            SELECT u.arm{filled} FROM units u LEFT JOIN happened h USING (unit)
        )
        SELECT * REPLACE ({capped}) FROM valued
    """)
    rows = connection.execute(f"SELECT arm, count(*){per_arm} FROM unit_values GROUP BY arm ORDER BY arm").fetchall()
    units = {row[0]: row[1] for row in rows}
    moments = {row[0]: _read(metrics, row[1], row[2:]) for row in rows}
    for index, (name, metric) in numbered:
        if metric.quantile is not None:
            for arm, found in _quantiles(connection, index, metric.quantile, units).items():
                # A value that is no finite number has left its trace in the mean, wherever it was sorted.
                moments[arm][name] = found if moments[arm][name].finite else found.model_copy(update=_UNKNOWN)
    return units, moments


_UNKNOWN = dict.fromkeys(("value", "low", "high"), math.nan)


def _quantiles(
    connection: duckdb.DuckDBPyConnection, index: int, quantile: float, units: Mapping[str, int]
) -> dict[str, QuantileMoments]:
    """Each arm's quantile with its limits; NaN in an arm of too few units."""
    wanted = {arm: at for arm, n in units.items() if (at := ranks(n, quantile)) is not None}
    places = ", ".join(f"({literal(arm)}, {rank})" for arm, at in wanted.items() for rank in sorted(set(at)))
    rows = connection.execute(f"""
        SELECT arm, rank, value FROM (
            SELECT arm, v{index} AS value, row_number() OVER (PARTITION BY arm ORDER BY v{index}) AS rank
            FROM unit_values
        ) WHERE (arm, rank) IN ({places or "('', 0)"})
    """).fetchall()
    values = {(arm, rank): value for arm, rank, value in rows}
    found = {}
    for arm, n in units.items():
        low, value, high = (values[arm, rank] for rank in wanted[arm]) if arm in wanted else (math.nan,) * 3
        found[arm] = QuantileMoments(n=n, quantile=quantile, value=value, low=low, high=high)
    return found


def _columns(metrics: Mapping[str, Metric]) -> list[str]:
    """What is known of each unit: a value for each metric, and after them the denominators."""
    values = [f"v{index}" for index in range(len(metrics))]
    return values + [f"d{index}" for index, metric in enumerate(metrics.values()) if metric.per]


def _read(metrics: Mapping[str, Metric], n: int, numbers: Sequence[float]) -> dict[str, AnyMoments]:
    columns = _columns(metrics)
    pairs = {column: numbers[2 * at : 2 * at + 2] for at, column in enumerate(columns)}
    products = iter(numbers[2 * len(columns) :])
    found: dict[str, AnyMoments] = {}
    for index, (name, metric) in enumerate(metrics.items()):
        mean, m2 = pairs[f"v{index}"]
        if metric.per is None:
            found[name] = Moments(n=n, mean=mean, m2=m2)
        else:
            per, per_m2 = pairs[f"d{index}"]
            found[name] = RatioMoments(n=n, value=mean, per=per, value_m2=m2, per_m2=per_m2, co=next(products))
    return found


def _per_unit(index: int, metric: Metric) -> str:
    """A unit's value, and its denominator where there is one, from its outcomes in the metric's window."""
    value, within = f"v{index}", _within(metric)
    if metric.kind == "proportion":
        return f", CAST(coalesce(bool_or({value} > 0) FILTER ({within}), false) AS DOUBLE) AS {value}"
    if metric.kind == "count":
        above = f"{within} AND {value} > 0" if metric.value else within
        return f", CAST(count(*) FILTER ({above}) AS DOUBLE) AS {value}"
    sums = [value] + ([f"d{index}"] if metric.per else [])
    return "".join(f", sum({column}) FILTER ({within}) AS {column}" for column in sums)


def _capped(index: int, metric: Metric) -> str:
    """A unit's value, no higher than the cap; what is not a finite number stays as it is, to be found."""
    value = f"v{index}"
    if metric.cap is None and metric.cap_quantile is None:
        return f"{value} AS {value}"
    cap = repr(metric.cap)
    if metric.cap_quantile is not None:
        cap = f"(SELECT quantile_cont({value}, {metric.cap_quantile!r}) FROM valued WHERE {value} > 0)"
    return f"CASE WHEN isfinite({value}) AND {value} > {cap} THEN {cap} ELSE {value} END AS {value}"


def _moment(connection: duckdb.DuckDBPyConnection, which: str) -> str | None:
    row = connection.execute(f'SELECT {which}("at") FROM exposures').fetchone()
    return rfc3339(row[0]) if row and row[0] else None
