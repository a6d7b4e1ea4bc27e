"""A second look at cells whose means turned out to be far from zero, or from the pivots of the look before."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import date
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from shared.engines.sums import Asked, centred, mean, product, split
from shared.stats.moments import Array, Cells, summed

# The largest n (mean - pivot)^2 over the sum of squared deviations with which no more than three digits are lost.
CONDITION_MAX = 1e3
# The first scan around a cell's own mean may start from a mean that itself lost digits; the second one does not.
RESCANS = 2


def conditioned(connection: duckdb.DuckDBPyConnection, asked: Asked, cells: Cells) -> Cells:
    """The cells, whose sums are around zero, scanned again around their means where that is far off."""
    pivots: Mapping[str, float | Array] = dict.fromkeys(cells.means, 0.0)
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
    sums = [*(f"sum({apart[name]})" for name in names), *(product(apart[one], apart[other]) for one, other in pairs)]
    match = " AND ".join(f"{asked.key_at[key]} IS NOT DISTINCT FROM of_{at}" for at, key in enumerate(cells.keys))
    rows = connection.execute(f"""
        SELECT pivot_cell, {", ".join(sums)} FROM {asked.rows} JOIN pivots ON {match or "true"}
        GROUP BY block, pivot_cell ORDER BY block, pivot_cell
    """)
    [cell], found = split(rows, 1)
    connection.execute("DROP TABLE pivots")
    numbers = [summed(values, cell.astype(np.int64), len(chosen)) for values in found]
    totals = dict(zip(names, numbers, strict=False))
    n = chosen.n.astype(float)
    means = {name: mean(chosen.means[name], totals[name], n) for name in names}
    products = centred(dict(zip(pairs, numbers[len(names) :], strict=True)), totals, n)
    return Cells(
        keys=cells.keys,
        n=cells.n,
        means={**cells.means, **{name: _put(cells.means[name], again, means[name]) for name in columns}},
        products={**cells.products, **{each: _put(cells.products[each], again, products[each]) for each in pairs}},
        least=cells.least,
        most=cells.most,
    )


def _write_pivots(connection: duckdb.DuckDBPyConnection, cells: Cells, names: Sequence[str]) -> None:
    """The table of these cells, numbered, with what tells them apart and their means."""
    columns = [("pivot_cell", "BIGINT", list(range(len(cells))))]
    columns += [(f"of_{at}", _kind(values), values.tolist()) for at, values in enumerate(cells.keys.values())]
    columns += [(f"p{at}", "DOUBLE", cells.means[name].tolist()) for at, name in enumerate(names)]
    read = ", ".join(f"unnest(?::{kind}[]) AS {name}" for name, kind, _ in columns)
    connection.execute(f"CREATE TEMP TABLE pivots AS SELECT {read}", [values for _, _, values in columns])


def _kind(values: NDArray[Any]) -> str:
    return "DATE" if any(isinstance(value, date) for value in values) else "VARCHAR"


def _put(values: Array, where: NDArray[np.bool_], chosen: Array) -> Array:
    changed = values.copy()
    changed[where] = chosen
    return changed
