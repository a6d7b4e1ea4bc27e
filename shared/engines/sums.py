"""Sums of a table's columns: how they are asked for in SQL, and the moments that follow from them."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import duckdb
import numpy as np
from numpy.typing import NDArray

from shared.stats.moments import Array, Cells, Pair, grouped, summed

# One thread reads a row group, from its first row to its last.
ROW_GROUP = 122_880


@dataclass(frozen=True, slots=True)
class Asked:
    """What is wanted of a table.

    Attributes:
        table: a relation, as SQL: what follows FROM.
        columns: by name, numbers without NULL, as SQL over the table.
        pairs: the products.
        keys: by name, what tells cells apart, as SQL.
        flags: the columns that hold nothing but 0 and 1; their squares need no scan.
        position: the number of a row in the table, as SQL. Tables are in an order that follows from their content.
    """

    table: str
    columns: Mapping[str, str]
    pairs: Collection[Pair]
    keys: Mapping[str, str]
    flags: Collection[str] = ()
    position: str = "rowid"

    @property
    def rows(self) -> str:
        """The relation with its row groups as `block`, keys as `k0`, `k1`, … and columns as `c0`, `c1`, …."""
        keys = (f"{sql} AS k{at}" for at, sql in enumerate(self.keys.values()))
        columns = (f"{sql} AS c{at}" for at, sql in enumerate(self.columns.values()))
        return f"(SELECT {self.position} // {ROW_GROUP} AS block, {', '.join((*keys, *columns))} FROM {self.table})"

    def flagged(self, each: Pair) -> bool:
        """Whether both columns of a pair are flags."""
        return set(each) <= set(self.flags)

    @property
    def key_at(self) -> dict[str, str]:
        """By name, the keys as in `rows`."""
        return {name: f"k{at}" for at, name in enumerate(self.keys)}

    @property
    def at(self) -> dict[str, str]:
        """By name, the columns as in `rows`."""
        return {name: f"c{at}" for at, name in enumerate(self.columns)}


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of cells: by name of each column, and of products by pair."""

    keys: Mapping[str, NDArray[Any]]
    n: Array
    totals: Mapping[str, Array]
    products: Mapping[Pair, Array]

    def added(self, by: tuple[str, ...]) -> Sums:
        """Those of the unions by these keys."""
        group, first = grouped([self.keys[key] for key in by], len(self.n))
        count = len(first)
        return Sums(
            {key: self.keys[key][first] for key in by},
            summed(self.n, group, count),
            {name: summed(values, group, count) for name, values in self.totals.items()},
            {each: summed(values, group, count) for each, values in self.products.items()},
        )

    def centred(self) -> Cells:
        """The moments that follow."""
        return Cells(
            keys=self.keys,
            n=self.n.astype(np.int64),
            means={name: mean(0.0, total, self.n) for name, total in self.totals.items()},
            products=centred(self.products, self.totals, self.n),
            least={},
            most={},
        )


def product(one: str, other: str) -> str:
    """The SQL of a sum of products."""
    return f"sum({one}::DOUBLE * {other}::DOUBLE)"


def of_flags(each: Pair, totals: Mapping[str, Array], differing: Mapping[Pair, Array]) -> Array:
    """The sum of products of two flags: they are both 1 as often as half of what is left where they are equal."""
    one, other = each
    return totals[one] if one == other else (totals[one] + totals[other] - differing[each]) / 2


def split(answer: duckdb.DuckDBPyConnection, keys: int) -> tuple[list[NDArray[Any]], list[Array]]:
    """What a query has answered, by column: so many keys as text, dates or None, and after them numbers, none NULL."""
    # Not by way of Arrow, which would load pandas for this.
    columns = list(answer.fetchnumpy().values())
    return list(map(_objects, columns[:keys])), [np.asarray(each, dtype=np.float64) for each in columns[keys:]]


def _objects(values: NDArray[Any]) -> NDArray[Any]:
    told = np.empty(len(values), dtype=object)
    told[:] = (values.astype("datetime64[D]") if values.dtype.kind == "M" else values).tolist()
    return told


def mean(pivot: float | Array, total: Array, n: Array) -> Array:
    """The means of cells from their sums around a pivot."""
    with np.errstate(all="ignore"):
        return np.asarray(pivot + total / n, dtype=float)


def centred(products: Mapping[Pair, Array], totals: Mapping[str, Array], n: Array) -> dict[Pair, Array]:
    """Sums of products around the means from those around pivots; a square is not negative."""
    with np.errstate(all="ignore"):
        centred = {(one, other): raw - totals[one] * totals[other] / n for (one, other), raw in products.items()}
    return {(one, other): np.maximum(x, 0.0) if one == other else x for (one, other), x in centred.items()}
