"""Sums that are the same in whatever order threads add: numbers become multiples of a power of two before.

Rounding once, to a unit that all share, leaves nothing that the order could change (Demmel and Nguyen 2015, "Parallel
reproducible summation", sect. 3). This serves the sums of many small groups, and single ones; over whole tables it
takes half as long again as sums by row group do (`shared.engines.scan`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import duckdb

# Of a HUGEINT's 127 bits, which leaves room for 2^26 numbers. One that is at least 2^-47 of the largest loses nothing.
BITS = 100
# Neither a power of two of this size nor its inverse is beyond what a DOUBLE holds in full.
EXPONENT_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Extent:
    """The least and the most of a column's finite values, zero without any; and whether all are finite."""

    least: float
    most: float
    finite: bool

    @property
    def largest(self) -> float:
        """The largest distance of a value from zero."""
        return max(-self.least, self.most)

    def total(self, value: str, within: str = "true") -> str:
        """The SQL of the exact sum of a value of this extent, rounded once to DOUBLE: NULL of nothing.

        Where there are numbers that are not finite, it is what these give.
        """
        exponent = BITS - math.frexp(self.largest)[1]
        factor = double(math.ldexp(1.0, max(-EXPONENT_MAX, min(EXPONENT_MAX, exponent))))
        exact = f"(sum(TRY_CAST({value} * {factor} AS HUGEINT)) FILTER ({within}))::DOUBLE / {factor}"
        if self.finite:
            return exact
        return f"coalesce(sum({value}) FILTER (({within}) AND NOT isfinite({value})), {exact})"


def extents(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str]) -> list[Extent]:
    """The extents of a relation's columns, all as SQL."""
    if not columns:
        return []
    ends = _ends(connection, table, columns)
    odd = [at for at, each in enumerate(ends) if not all(map(math.isfinite, each))]
    if odd:
        finite = _ends(connection, table, [f"CASE WHEN isfinite({columns[at]}) THEN {columns[at]} END" for at in odd])
        for at, each in zip(odd, finite, strict=True):
            ends[at] = each
    return [Extent(float(least), float(most), finite=at not in odd) for at, (least, most) in enumerate(ends)]


def _ends(connection: duckdb.DuckDBPyConnection, table: str, columns: Sequence[str]) -> list[tuple[float, float]]:
    # Of a file nothing is read for this but what it says of itself.
    reads = ", ".join(f"min({column}), max({column})" for column in columns)
    [row] = connection.execute(f"SELECT {reads} FROM {table}").fetchall()
    found = [0.0 if end is None else end for end in row]
    return list(zip(found[::2], found[1::2], strict=True))


def double(number: float) -> str:
    """A number as SQL: DuckDB would read `0.1` as a decimal, and has no other way to write NaN."""
    return f"'{number!r}'::DOUBLE"
