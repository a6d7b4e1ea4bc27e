"""Moments of a table's cells by sums around a pivot: one scan for all columns, and for as many groupings as fit.

A plain sum of squares loses the variance of what is large and hardly varies; Welford's recurrence keeps it at nearly
twice the cost. Sums of deviations from any number near the mean keep it too (Chan, Golub and LeVeque 1983, "Algorithms
for computing the sample variance", eq. 2.3). Whether the pivot was near is seen afterwards, and cells for which it was
not are scanned again around the means just found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from math import prod
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from shared.evidence.moments import Array, Cells, Pair

# Rows at a table's beginning from which pivots and the number of levels are guessed; a wrong guess costs time alone.
SAMPLE = 10_000
# More cells than these no longer fit the processor's cache, and every row then waits for memory.
CELLS_MAX = 2_000
# A pivot is left out, being zero, where the mean is within as many standard deviations of it.
NEAR_SDS = 2.0
# The largest n (mean - pivot)^2 over the sum of squared deviations with which no more than three digits are lost.
CONDITION_MAX = 1e3


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted of a table.

    Attributes:
        table: a relation, as SQL.
        columns: by name, numbers without NULL, as SQL over the table.
        pairs: the products.
        keys: by name, what tells cells apart, as SQL.
        flags: the columns that hold nothing but 0 and 1; their squares need no scan.
        extremes: the columns whose least and largest value are wanted of the first grouping.
    """

    table: str
    columns: Mapping[str, str]
    pairs: Collection[Pair]
    keys: Mapping[str, str]
    flags: Collection[str] = ()
    extremes: Collection[str] = ()


def moments(connection: duckdb.DuckDBPyConnection, asked: Asked, by: Sequence[tuple[str, ...]]) -> list[Cells]:
    """The cells of each grouping, in the order of its keys.

    Groupings share a scan as long as their cells together are few: cells of a scan are those of all its keys, and each
    grouping is merged from them.
    """
    levels, pivots = _guessed(connection, asked)
    found: dict[tuple[str, ...], Cells] = {}
    for groupings in _packed(by, levels):
        found |= _scanned(connection, asked, groupings, pivots, by[0])
    return [found[grouping] for grouping in by]


def _guessed(connection: duckdb.DuckDBPyConnection, asked: Asked) -> tuple[dict[str, int], dict[str, float]]:
    """How many levels each key has, and a pivot for each column, as far as the table's first rows tell."""
    read = ", ".join(f"{sql} AS c{at}" for at, sql in enumerate((*asked.keys.values(), *asked.columns.values())))
    rows = connection.execute(f"SELECT {read} FROM (SELECT * FROM {asked.table} LIMIT {SAMPLE})").fetchnumpy()
    found = list(rows.values())
    levels = {key: len(set(values.tolist())) for key, values in zip(asked.keys, found, strict=False)}
    pivots = {}
    for name, values in zip(asked.columns, found[len(asked.keys) :], strict=True):
        pivots[name] = 0.0 if name in asked.flags else _pivot(np.ma.compressed(values).astype(float))
    return levels, pivots


def _pivot(values: Array) -> float:
    with np.errstate(all="ignore"):
        far = bool(values.size) and abs(values.mean()) > NEAR_SDS * values.std()
    if not far or not np.isfinite(values).all():
        return 0.0
    return float(values[0] if (values == values[0]).all() else values.mean())


def _packed(by: Iterable[tuple[str, ...]], levels: Mapping[str, int]) -> list[list[tuple[str, ...]]]:
    """Groupings that share a scan: first fit, the largest first."""
    scans: list[list[tuple[str, ...]]] = []
    for grouping in sorted(by, key=lambda keys: -prod(levels[key] for key in keys)):
        for scan in scans:
            if prod(levels[key] for key in {*grouping, *(key for keys in scan for key in keys)}) <= CELLS_MAX:
                scan.append(grouping)
                break
        else:
            scans.append([grouping])
    return scans


def _scanned(
    connection: duckdb.DuckDBPyConnection,
    asked: Asked,
    groupings: Sequence[tuple[str, ...]],
    pivots: Mapping[str, float],
    first: tuple[str, ...],
) -> dict[tuple[str, ...], Cells]:
    """One scan by all keys of the groupings, and another one of the cells whose pivots turned out to be far off."""
    keys = tuple(dict.fromkeys(key for grouping in groupings for key in grouping))
    cells = _cells(connection, asked, keys, pivots, asked.extremes if first in groupings else ())
    again, columns = _ill_conditioned(cells, groupings, pivots, asked.flags)
    if columns:
        cells = _rescanned(connection, asked, cells, again, columns)
    found = {grouping: _in_order(cells.merged(*grouping), grouping) for grouping in groupings}
    return {
        grouping: each if grouping == first else replace(each, least={}, most={}) for grouping, each in found.items()
    }


def _cells(
    connection: duckdb.DuckDBPyConnection,
    asked: Asked,
    keys: Sequence[str],
    pivots: Mapping[str, float],
    extremes: Collection[str],
) -> Cells:
    apart = {name: _apart(sql, pivots[name]) for name, sql in asked.columns.items()}
    pairs = [(one, other) for one, other in asked.pairs if one != other or one not in asked.flags]
    sums = [
        "count(*)",
        *(f"sum({apart[name]})" for name in asked.columns),
        *(f"sum({apart[one]} * {apart[other]})" for one, other in pairs),
        *(f"{least_or_most}({asked.columns[name]})" for name in extremes for least_or_most in ("min", "max")),
    ]
    rows = _grouped(connection, [asked.keys[key] for key in keys], sums, asked.table)
    told, numbers = _split(rows, len(keys), len(sums))
    n, totals = numbers[0], dict(zip(asked.columns, numbers[1:], strict=False))
    at = 1 + len(totals)
    products = dict(zip(pairs, numbers[at:], strict=False))
    products |= {(one, other): totals[one] for one, other in asked.pairs if one == other and one in asked.flags}
    at += len(pairs)
    return Cells(
        keys=dict(zip(keys, told, strict=True)),
        n=n.astype(np.int64),
        means={name: _mean(pivots[name], total, n) for name, total in totals.items()},
        products=_centred(products, totals, n),
        least=dict(zip(extremes, numbers[at::2], strict=False)),
        most=dict(zip(extremes, numbers[at + 1 :: 2], strict=False)),
    )


def _apart(sql: str, pivot: float) -> str:
    return sql if pivot == 0 else f"({sql} - '{pivot!r}'::DOUBLE)"


def _grouped(connection: duckdb.DuckDBPyConnection, keys: Sequence[str], sums: Sequence[str], table: str) -> list[Any]:
    group = f"GROUP BY {', '.join(keys)} ORDER BY {', '.join(keys)}" if keys else "HAVING count(*) > 0"
    rows: list[Any] = connection.execute(f"SELECT {', '.join((*keys, *sums))} FROM {table} {group}").fetchall()
    return rows


def _split(rows: Sequence[Sequence[Any]], keys: int, numbers: int) -> tuple[list[NDArray[Any]], list[Array]]:
    """Keys as objects, and numbers as floats, by column."""
    columns = list(zip(*rows, strict=True)) or [()] * (keys + numbers)
    told = []
    for values in columns[:keys]:
        array = np.empty(len(values), dtype=object)
        array[:] = values
        told.append(array)
    return told, [np.array(values, dtype=float) for values in columns[keys:]]


def _mean(pivot: float | Array, total: Array, n: Array) -> Array:
    with np.errstate(all="ignore"):
        return np.asarray(pivot + total / n, dtype=float)


def _centred(products: Mapping[Pair, Array], totals: Mapping[str, Array], n: Array) -> dict[Pair, Array]:
    """Sums of products around the means from those around pivots; a square is not negative."""
    with np.errstate(all="ignore"):
        centred = {(one, other): raw - totals[one] * totals[other] / n for (one, other), raw in products.items()}
    return {(one, other): np.maximum(x, 0.0) if one == other else x for (one, other), x in centred.items()}


def _ill_conditioned(
    cells: Cells, groupings: Sequence[tuple[str, ...]], pivots: Mapping[str, float], flags: Collection[str]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Which cells, and which columns, have pivots so far off that a grouping's squares lost digits that count."""
    again, columns = np.zeros(len(cells), dtype=bool), []
    squares = [one for one, other in cells.products if one == other and one not in flags]
    for grouping in groupings:
        merged = cells.merged(*grouping)
        group = cells.grouped(*grouping)[0]
        for name in squares:
            with np.errstate(all="ignore"):
                shift = merged.n * (merged.means[name] - pivots[name]) ** 2
                bad = (merged.n > 1) & np.isfinite(shift) & (shift > CONDITION_MAX * merged.product(name, name))
            if bad.any():
                again |= bad[group]
                columns.append(name)
    return again, list(dict.fromkeys(columns))


def _rescanned(
    connection: duckdb.DuckDBPyConnection,
    asked: Asked,
    cells: Cells,
    again: NDArray[np.bool_],
    columns: Sequence[str],
) -> Cells:
    """The cells with the moments of these columns scanned anew around each cell's own means."""
    pairs = [each for each in asked.pairs if set(each) & set(columns)]
    names = list(dict.fromkeys((*columns, *(name for each in pairs for name in each))))
    at = {name: f"p{index}" for index, name in enumerate(names)}
    chosen = cells.where(again)
    _write_pivots(connection, chosen, names)
    apart = {name: f"({asked.columns[name]} - {at[name]})" for name in names}
    sums = [f"sum({apart[name]})" for name in names] + [f"sum({apart[one]} * {apart[other]})" for one, other in pairs]
    match = " AND ".join(f"({asked.keys[key]}) IS NOT DISTINCT FROM k{index}" for index, key in enumerate(cells.keys))
    rows = _grouped(connection, ["pivot_cell"], sums, f"{asked.table} JOIN pivots ON {match or 'true'}")
    connection.execute("DROP TABLE pivots")
    numbers = _split(rows, 1, len(sums))[1]
    totals = dict(zip(names, numbers, strict=False))
    n = chosen.n.astype(float)
    means = {name: _mean(chosen.means[name], totals[name], n) for name in names}
    products = _centred(dict(zip(pairs, numbers[len(names) :], strict=True)), totals, n)
    for name in columns:
        square = products.get((name, name))
        if square is not None:
            # Numbers that differ at all differ in their last digit: less than that is what rounding left of a constant.
            square[square < (np.spacing(np.abs(means[name])) / 2) ** 2 / 2] = 0.0
    return Cells(
        keys=cells.keys,
        n=cells.n,
        means={**cells.means, **{name: _put(cells.means[name], again, means[name]) for name in columns}},
        products={**cells.products, **{each: _put(cells.products[each], again, products[each]) for each in pairs}},
        least=cells.least,
        most=cells.most,
    )


def _write_pivots(connection: duckdb.DuckDBPyConnection, cells: Cells, names: Sequence[str]) -> None:
    kinds = ", ".join(f"k{index} {_kind(values)}" for index, values in enumerate(cells.keys.values()))
    columns = ", ".join(f"p{index} DOUBLE" for index in range(len(names)))
    connection.execute(f"CREATE TEMP TABLE pivots (pivot_cell BIGINT{kinds and f', {kinds}'}, {columns})")
    rows = zip(range(len(cells)), *cells.keys.values(), *(cells.means[name].tolist() for name in names), strict=True)
    marks = ", ".join("?" * (1 + len(cells.keys) + len(names)))
    connection.executemany(f"INSERT INTO pivots VALUES ({marks})", [list(row) for row in rows])


def _kind(values: NDArray[Any]) -> str:
    return "DATE" if any(isinstance(value, date) for value in values) else "VARCHAR"


def _put(values: Array, where: NDArray[np.bool_], chosen: Array) -> Array:
    changed = values.copy()
    changed[where] = chosen
    return changed


def _in_order(cells: Cells, by: Sequence[str]) -> Cells:
    """Cells in the order of their keys; what has no value of one comes last."""
    told = list(zip(*(cells.keys[key].tolist() for key in by), strict=True)) or [()] * len(cells)
    order = sorted(range(len(cells)), key=lambda at: [(value is None, value) for value in told[at]])
    return cells.where(np.array(order, dtype=np.int64))
