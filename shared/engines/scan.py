"""Moments of a table's cells by sums around a pivot: one scan for all columns, and for as many groupings as fit.

A plain sum of squares loses the variance of what is large and hardly varies; Welford's recurrence keeps it at nearly
twice the cost. Sums of deviations from any number near the mean keep it too (Chan, Golub and LeVeque 1983, "Algorithms
for computing the sample variance", eq. 2.3). Whether the pivot was near is seen afterwards, and cells for which it was
not are scanned again around the means just found.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from math import prod
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from shared.evidence.moments import Array, Cells, Pair, grouped, summed

# Rows at a table's beginning from which pivots and the number of levels are guessed; a wrong guess costs time alone.
SAMPLE = 2_000
# More cells than these no longer fit the processor's cache, and every row then waits for memory.
CELLS_MAX = 2_000
# A pivot is left out, being zero, where the mean is within as many standard deviations of it.
NEAR_SDS = 2.0
# The largest n (mean - pivot)^2 over the sum of squared deviations with which no more than three digits are lost.
CONDITION_MAX = 1e3
# The first scan around a cell's own mean may start from a mean that itself lost digits; the second one does not.
RESCANS = 2


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted of a table.

    Attributes:
        table: a relation, as SQL.
        columns: by name, numbers without NULL, as SQL over the table.
        pairs: the products.
        keys: by name, what tells cells apart, as SQL.
        flags: the columns that hold nothing but 0 and 1; their squares need no scan.
    """

    table: str
    columns: Mapping[str, str]
    pairs: Collection[Pair]
    keys: Mapping[str, str]
    flags: Collection[str] = ()

    @property
    def rows(self) -> str:
        """The relation with its keys as `k0`, `k1`, … and its columns as `c0`, `c1`, …."""
        keys = (f"{sql} AS k{at}" for at, sql in enumerate(self.keys.values()))
        columns = (f"{sql} AS c{at}" for at, sql in enumerate(self.columns.values()))
        return f"(SELECT {', '.join((*keys, *columns))} FROM {self.table})"

    @property
    def key_at(self) -> dict[str, str]:
        """By name, the keys as in `rows`."""
        return {name: f"k{at}" for at, name in enumerate(self.keys)}

    @property
    def at(self) -> dict[str, str]:
        """By name, the columns as in `rows`."""
        return {name: f"c{at}" for at, name in enumerate(self.columns)}


By = tuple[str, ...]


def moments(connection: duckdb.DuckDBPyConnection, asked: Asked, by: Sequence[By]) -> list[Cells]:
    """The cells of each grouping, in the order of its keys, from one scan.

    Groupings share a set of cells as long as these are few: the cells of a set are those of all its keys, and each
    grouping adds their sums up.
    """
    levels, pivots = _guessed(connection, asked)
    sets = _packed(by, levels)
    found: dict[By, Cells] = {}
    for sums, groupings in zip(_scanned(connection, asked, list(map(_keys, sets)), pivots), sets, strict=True):
        for grouping in groupings:
            found[grouping] = _conditioned(connection, asked, sums.added(grouping).centred(pivots), pivots)
    return [_in_order(found[grouping], grouping) for grouping in by]


@dataclass(frozen=True, slots=True)
class _Sums:
    """Sums of cells around the pivots of their columns: by name of each column, and by pair."""

    keys: Mapping[str, NDArray[Any]]
    n: Array
    totals: Mapping[str, Array]
    products: Mapping[Pair, Array]

    def added(self, by: By) -> _Sums:
        """Those of the unions by these keys."""
        group, first = grouped([self.keys[key] for key in by], len(self.n))
        count = len(first)
        return _Sums(
            {key: self.keys[key][first] for key in by},
            summed(self.n, group, count),
            {name: summed(values, group, count) for name, values in self.totals.items()},
            {each: summed(values, group, count) for each, values in self.products.items()},
        )

    def centred(self, pivots: Mapping[str, float]) -> Cells:
        """The moments that follow."""
        return Cells(
            keys=self.keys,
            n=self.n.astype(np.int64),
            means={name: _mean(pivots[name], total, self.n) for name, total in self.totals.items()},
            products=_centred(self.products, self.totals, self.n),
            least={},
            most={},
        )


def extremes(connection: duckdb.DuckDBPyConnection, asked: Asked, key: str) -> tuple[Mapping[str, Array], ...]:
    """The least and the most of every column, by the levels of a key in their order; NaN is more than any number."""
    reads = [f"{which}({sql})" for which in ("min", "max") for sql in asked.columns.values()]
    query = f"SELECT {asked.keys[key]}, {', '.join(reads)} FROM {asked.table} GROUP BY 1 ORDER BY 1"
    numbers = _split(connection.execute(query).fetchall(), 1, len(reads))[1]
    count = len(asked.columns)
    return tuple(dict(zip(asked.columns, part, strict=True)) for part in (numbers[:count], numbers[count:]))


def _guessed(connection: duckdb.DuckDBPyConnection, asked: Asked) -> tuple[dict[str, int], dict[str, float]]:
    """How many levels each key has, and a pivot for each column, as far as the table's first rows tell."""
    found = connection.execute(f"FROM {asked.rows} LIMIT {SAMPLE}").fetchnumpy()
    levels = {name: len(set(found[at].tolist())) for name, at in asked.key_at.items()}
    pivots = {}
    for name, at in asked.at.items():
        pivots[name] = 0.0 if name in asked.flags else _pivot(np.ma.compressed(found[at]).astype(float))
    return levels, pivots


def _pivot(values: Array) -> float:
    with np.errstate(all="ignore"):
        far = bool(values.size) and abs(values.mean()) > NEAR_SDS * values.std()
    if not far or not np.isfinite(values).all():
        return 0.0
    return float(values[0] if (values == values[0]).all() else values.mean())


def _packed(by: Sequence[By], levels: Mapping[str, int]) -> list[list[By]]:
    """The groupings in as few sets as keep cells few, and these in sets of about the same size."""

    def cells(groupings: Iterable[By]) -> int:
        return prod(levels[key] for key in _keys(groupings))

    largest_first = sorted(by, key=lambda grouping: -cells([grouping]))
    for count in range(1, len(by) + 1):
        sets: list[list[By]] = [[] for _ in range(count)]
        for grouping in largest_first:
            min(sets, key=lambda groupings: cells([*groupings, grouping])).append(grouping)
        if all(len(groupings) <= 1 or cells(groupings) <= CELLS_MAX for groupings in sets):
            return [groupings for groupings in sets if groupings]
    return [[grouping] for grouping in by]


def _keys(groupings: Iterable[By]) -> By:
    return tuple(dict.fromkeys(key for grouping in groupings for key in grouping))


def _scanned(
    connection: duckdb.DuckDBPyConnection, asked: Asked, sets: Sequence[By], pivots: Mapping[str, float]
) -> list[_Sums]:
    """The sums of each set of keys, from one scan of the table."""
    apart = {name: _apart(column, pivots[name]) for name, column in asked.at.items()}
    pairs = [(one, other) for one, other in asked.pairs if one != other or one not in asked.flags]
    sums = ["count(*)", *(f"sum({apart[name]})" for name in apart), *(_product(asked, apart, each) for each in pairs)]
    keys, at = _keys(sets), asked.key_at
    listed = ", ".join(at[key] for key in keys)
    grouped = ", ".join(f"({', '.join(at[key] for key in each)})" for each in sets)
    rows = connection.execute(f"""
        SELECT {f"grouping({listed}), {listed}" if keys else "0"}, {", ".join(sums)} FROM {asked.rows}
        GROUP BY GROUPING SETS ({grouped}) HAVING count(*) > 0 ORDER BY {listed or "1"}
    """).fetchall()
    found = []
    for each in sets:
        chosen = [row[1:] for row in rows if row[0] == _missing(keys, each)]
        told, numbers = _split(chosen, len(keys), len(sums))
        levels = dict(zip(keys, told, strict=True))
        totals = dict(zip(asked.columns, numbers[1:], strict=False))
        products = dict(zip(pairs, numbers[1 + len(totals) :], strict=True))
        products |= {(one, other): totals[one] for one, other in asked.pairs if one == other and one in asked.flags}
        found.append(_Sums({key: levels[key] for key in each}, numbers[0], totals, products))
    return found


def _missing(keys: By, present: By) -> int:
    """What DuckDB's `grouping` says of a set: a bit for every key that it does not group by."""
    return sum(1 << place for place, key in enumerate(reversed(keys)) if key not in present)


def _product(asked: Asked, apart: Mapping[str, str], each: Pair) -> str:
    one, other = (apart[name] for name in each)
    if set(each) <= set(asked.flags):
        return f"sum({one}::UTINYINT & {other}::UTINYINT)"
    return f"sum({one}::DOUBLE * {other}::DOUBLE)"  # products of integers would overflow


def _apart(sql: str, pivot: float) -> str:
    return sql if pivot == 0 else f"({sql} - '{pivot!r}'::DOUBLE)"


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


def _conditioned(
    connection: duckdb.DuckDBPyConnection, asked: Asked, cells: Cells, pivots: Mapping[str, float | Array]
) -> Cells:
    """The cells, scanned again where pivots were far off."""
    for _ in range(RESCANS):
        again, columns = _ill_conditioned(cells, pivots, asked.flags)
        if not columns:
            break
        means = cells.means
        cells = _rescanned(connection, asked, cells, again, columns)
        pivots = {**pivots, **{name: np.where(again, means[name], pivots[name]) for name in columns}}
    return cells


def _ill_conditioned(
    cells: Cells, pivots: Mapping[str, float | Array], flags: Collection[str]
) -> tuple[NDArray[np.bool_], list[str]]:
    """Which cells, and which columns, have pivots so far off that their squares lost digits that count."""
    again, columns = np.zeros(len(cells), dtype=bool), []
    for name in (one for one, other in cells.products if one == other and one not in flags):
        with np.errstate(all="ignore"):
            shift = cells.n * (cells.means[name] - pivots[name]) ** 2
            bad = (cells.n > 1) & np.isfinite(shift) & (shift > CONDITION_MAX * cells.product(name, name))
        if bad.any():
            again |= bad
            columns.append(name)
    return again, columns


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
    chosen = cells.where(again)
    _write_pivots(connection, chosen, names)
    apart = {name: f"({asked.at[name]} - p{at})" for at, name in enumerate(names)}
    sums = [f"sum({apart[name]})" for name in names] + [_product(asked, apart, each) for each in pairs]
    match = " AND ".join(f"{asked.key_at[key]} IS NOT DISTINCT FROM of_{at}" for at, key in enumerate(cells.keys))
    rows = connection.execute(f"""
        SELECT pivot_cell, {", ".join(sums)} FROM {asked.rows} JOIN pivots ON {match or "true"}
        GROUP BY pivot_cell ORDER BY pivot_cell
    """).fetchall()
    connection.execute("DROP TABLE pivots")
    numbers = _split(rows, 1, len(sums))[1]
    totals = dict(zip(names, numbers, strict=False))
    n = chosen.n.astype(float)
    means = {name: _mean(chosen.means[name], totals[name], n) for name in names}
    products = _centred(dict(zip(pairs, numbers[len(names) :], strict=True)), totals, n)
    return Cells(
        keys=cells.keys,
        n=cells.n,
        means={**cells.means, **{name: _put(cells.means[name], again, means[name]) for name in columns}},
        products={**cells.products, **{each: _put(cells.products[each], again, products[each]) for each in pairs}},
        least=cells.least,
        most=cells.most,
    )


def _write_pivots(connection: duckdb.DuckDBPyConnection, cells: Cells, names: Sequence[str]) -> None:
    kinds = ", ".join(f"of_{index} {_kind(values)}" for index, values in enumerate(cells.keys.values()))
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
