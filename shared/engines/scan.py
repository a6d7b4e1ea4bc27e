"""Moments of a table's cells by sums around a pivot: one scan for all columns, and for as many groupings as fit.

A plain sum of squares loses the variance of what is large and hardly varies; Welford's recurrence keeps it at nearly
twice the cost. Sums of deviations from any number near the mean keep it too (Chan, Golub and LeVeque 1983, "Algorithms
for computing the sample variance", eq. 2.3). That number is zero where values surround it or reach near it. Whether the
pivot was near is seen afterwards, and cells for which it was not are scanned again around the means just found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from math import prod

import duckdb
import numpy as np

from shared.engines.rescan import conditioned
from shared.engines.sums import Asked, Sums, deviation, of_flags, product, split
from shared.stats.moments import Array, Cells

# Rows at a table's beginning from which pivots and the number of levels are guessed; a wrong guess costs time alone.
SAMPLE = 2_000
# More cells than these no longer fit the processor's cache, and every row then waits for memory.
CELLS_MAX = 2_000

By = tuple[str, ...]
Pivots = dict[str, float]


def moments(connection: duckdb.DuckDBPyConnection, asked: Asked, by: Sequence[By]) -> list[Cells]:
    """The cells of each grouping, in the order of its keys, from one scan.

    Groupings share a set of cells as long as these are few: the cells of a set are those of all its keys, and each
    grouping adds their sums up.
    """
    alone = len(by) == 1  # and a set by itself, whatever its levels
    levels, pivots = _guessed(connection, asked, () if alone else _keys(by))
    sets = [list(by)] if alone else _packed(by, levels)
    found: dict[By, Cells] = {}
    for sums, groupings in zip(_scanned(connection, asked, list(map(_keys, sets)), pivots), sets, strict=True):
        for grouping in groupings:
            found[grouping] = conditioned(connection, asked, sums.added(grouping).centred(pivots), pivots)
    return [_in_order(found[grouping], grouping) for grouping in by]


def extremes(connection: duckdb.DuckDBPyConnection, asked: Asked, key: str) -> tuple[Mapping[str, Array], ...]:
    """The least and the most of every column, by the levels of a key in their order; NaN is more than any number."""
    reads = [f"{which}({sql})" for which in ("min", "max") for sql in asked.columns.values()]
    query = f"SELECT {asked.keys[key]}, {', '.join(reads)} FROM {asked.table} GROUP BY 1 ORDER BY 1"
    numbers = split(connection.execute(query).fetchall(), 1, len(reads))[1]
    count = len(asked.columns)
    return tuple(dict(zip(asked.columns, part, strict=True)) for part in (numbers[:count], numbers[count:]))


def _guessed(connection: duckdb.DuckDBPyConnection, asked: Asked, keys: By) -> tuple[dict[str, int], Pivots]:
    """How many levels each key has, and a pivot for each column, as far as the table's first rows tell."""
    columns = {name: at for name, at in asked.at.items() if name not in asked.flags}
    levels = [f"count(DISTINCT {asked.key_at[key]}) + 1" for key in keys]
    reads = [f"{which}({at})::DOUBLE" for which in ("min", "max") for at in columns.values()]
    rows = f"(FROM {asked.rows} LIMIT {SAMPLE})"
    row = connection.execute(f"SELECT {', '.join(['1', *levels, *reads])} FROM {rows}").fetchone() or ()
    told = row[1 + len(keys) :]
    pivots = dict.fromkeys(asked.columns, 0.0)
    pivots |= dict(zip(columns, map(_pivot, told[: len(columns)], told[len(columns) :]), strict=True))
    return dict(zip(keys, row[1:], strict=False)), pivots


def _pivot(least: float | None, most: float | None) -> float:
    """What to count from: the value nearest to zero where all lie farther from it than they are apart; else zero."""
    if least is None or most is None or not math.isfinite(most - least):
        return 0.0
    nearest = least if least > 0 else most
    return nearest if least * most > 0 and abs(nearest) > most - least else 0.0


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
) -> list[Sums]:
    """The sums of each set of keys, from one scan of the table."""
    apart = {name: deviation(column, pivots[name]) for name, column in asked.at.items()}
    pairs = [(one, other) for one, other in asked.pairs if one != other or one not in asked.flags]
    sums = ["count(*)", *(f"sum({apart[name]})" for name in apart), *(product(asked, apart, each) for each in pairs)]
    keys, at = _keys(sets), asked.key_at
    listed = ", ".join(at[key] for key in keys)
    together = ", ".join(f"({', '.join(at[key] for key in each)})" for each in sets)
    rows = connection.execute(f"""
        SELECT {f"grouping({listed}), {listed}" if keys else "0"}, {", ".join(sums)} FROM {asked.rows}
        GROUP BY GROUPING SETS ({together}) HAVING count(*) > 0 ORDER BY {listed or "1"}
    """).fetchall()
    found = []
    for each in sets:
        chosen = [row[1:] for row in rows if row[0] == _missing(keys, each)]
        told, numbers = split(chosen, len(keys), len(sums))
        levels = dict(zip(keys, told, strict=True))
        totals = dict(zip(asked.columns, numbers[1:], strict=False))
        products = dict(zip(pairs, numbers[1 + len(totals) :], strict=True))
        products |= {each: of_flags(each, totals, products) for each in asked.pairs if asked.flagged(each)}
        found.append(Sums({key: levels[key] for key in each}, numbers[0], totals, products))
    return found


def _missing(keys: By, present: By) -> int:
    """What DuckDB's `grouping` says of a set: a bit for every key that it does not group by."""
    return sum(1 << place for place, key in enumerate(reversed(keys)) if key not in present)


def _in_order(cells: Cells, by: Sequence[str]) -> Cells:
    """Cells in the order of their keys; what has no value of one comes last."""
    told = list(zip(*(cells.keys[key].tolist() for key in by), strict=True)) or [()] * len(cells)
    order = sorted(range(len(cells)), key=lambda at: [(value is None, value) for value in told[at]])
    return cells.where(np.array(order, dtype=np.int64))
