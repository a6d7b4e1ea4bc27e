"""Moments of a table's cells by sums and sums of products: one scan for all columns, and for as many groupings as fit.

A plain sum of squares loses the variance of what is large and hardly varies; Welford's recurrence keeps it at nearly
twice the cost. Sums of deviations from any number near the mean keep it too (Chan, Golub and LeVeque 1983, "Algorithms
for computing the sample variance", eq. 2.3). Zero is near enough for most of what is measured. Where it was not is seen
afterwards, and those cells are scanned again around the means just found.

Threads take row groups as they come, and floating-point numbers added in another order give another sum. So each row
group is summed for itself, by the one thread that reads it, and their sums are added in the table's order: the same
table gives the same moments to the last bit on any number of threads.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod

import duckdb
import numpy as np

from shared.engines.rescan import conditioned
from shared.engines.sums import Asked, Sums, of_flags, product, split
from shared.stats.moments import Array, Cells, Pair

# Rows at a table's beginning from which the number of levels is guessed; a wrong guess costs time alone.
SAMPLE = 2_000
# More cells than these no longer fit the processor's cache, and every row then waits for memory.
CELLS_MAX = 2_000

By = tuple[str, ...]


def moments(connection: duckdb.DuckDBPyConnection, asked: Asked, by: Sequence[By]) -> list[Cells]:
    """The cells of each grouping, in the order of its keys, from one scan.

    Groupings share a set of cells as long as these are few: the cells of a set are those of all its keys, and each
    grouping adds their sums up.
    """
    sets = [list(by)] if len(by) == 1 else _packed(by, _levels(connection, asked, _keys(by)))
    found: dict[By, Cells] = {}
    for sums, groupings in zip(_scanned(connection, asked, list(map(_keys, sets))), sets, strict=True):
        for grouping in groupings:
            found[grouping] = conditioned(connection, asked, sums.added(grouping).centred())
    return [_in_order(found[grouping], grouping) for grouping in by]


def extremes(connection: duckdb.DuckDBPyConnection, asked: Asked, key: str) -> tuple[Mapping[str, Array], ...]:
    """The least and the most of every column, by the levels of a key in their order; NaN is more than any number."""
    reads = [f"{which}({sql})" for which in ("min", "max") for sql in asked.columns.values()]
    query = f"SELECT {asked.keys[key]}, {', '.join(reads)} FROM {asked.table} GROUP BY 1 ORDER BY 1"
    numbers = split(connection.execute(query), 1)[1]
    count = len(asked.columns)
    return tuple(dict(zip(asked.columns, part, strict=True)) for part in (numbers[:count], numbers[count:]))


def _levels(connection: duckdb.DuckDBPyConnection, asked: Asked, keys: By) -> dict[str, int]:
    """How many levels each key has, as far as the table's first rows tell."""
    counts = ", ".join(f"count(DISTINCT {asked.key_at[key]}) + 1" for key in keys)
    [row] = connection.execute(f"SELECT {counts} FROM (FROM {asked.rows} LIMIT {SAMPLE})").fetchall()
    return dict(zip(keys, row, strict=True))


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


def _scanned(connection: duckdb.DuckDBPyConnection, asked: Asked, sets: Sequence[By]) -> list[Sums]:
    """The sums of each set of keys, from one scan of the table."""
    pairs = [(one, other) for one, other in asked.pairs if one != other or one not in asked.flags]
    sums = ["count(*)", *(f"sum({column})" for column in asked.at.values())]
    sums += [_product(asked, each) for each in pairs]
    keys, at = _keys(sets), asked.key_at
    listed = ", ".join(["block", *(at[key] for key in keys)])
    together = ", ".join(f"({', '.join(['block', *(at[key] for key in each)])})" for each in sets)
    rows = connection.execute(f"""
        SELECT {", ".join([*(at[key] for key in keys), f"grouping({listed})", *(f"{each}::DOUBLE" for each in sums)])}
        FROM {asked.rows} GROUP BY GROUPING SETS ({together}) ORDER BY {listed}
    """)
    told, (of_set, *numbers) = split(rows, len(keys))
    found = []
    for each in sets:
        here = of_set == _missing(keys, each)
        n, *sums_here = (values[here] for values in numbers)
        totals = dict(zip(asked.at, sums_here, strict=False))
        products = dict(zip(pairs, sums_here[len(totals) :], strict=True))
        products |= {each: of_flags(each, totals, products) for each in asked.pairs if asked.flagged(each)}
        levels = {key: values[here] for key, values in zip(keys, told, strict=True) if key in each}
        found.append(Sums(levels, n, totals, products).added(each))
    return found


def _product(asked: Asked, each: Pair) -> str:
    """The SQL of a sum of products; of two flags, how often they differ, which is found faster."""
    one, other = (asked.at[name] for name in each)
    return f"count_if({one} <> {other})" if asked.flagged(each) else product(one, other)


def _missing(keys: By, present: By) -> int:
    """What DuckDB's `grouping` says of a set: a bit for every key that it does not group by."""
    return sum(1 << place for place, key in enumerate(reversed(keys)) if key not in present)


def _in_order(cells: Cells, by: Sequence[str]) -> Cells:
    """Cells in the order of their keys; what has no value of one comes last."""
    told = list(zip(*(cells.keys[key].tolist() for key in by), strict=True)) or [()] * len(cells)
    order = sorted(range(len(cells)), key=lambda at: [(value is None, value) for value in told[at]])
    return cells.where(np.array(order, dtype=np.int64))
