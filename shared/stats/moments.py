"""Moments of many cells at once: what every engine computes, and all statistics start from.

A cell is an arm, or the units of an arm that share a day, a stratum or a segment's level. Its moments are the number
of units, the means of their quantities, and the centred sums of squares and products that were asked for. They merge,
so that a scan over small cells answers for every larger one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Pair = tuple[str, str]
# The column that holds a cluster's units, where clusters were drawn.
SIZE = "size"


def pair(one: str, other: str) -> Pair:
    """The name of a product, whichever way round; a column with itself is its sum of squares."""
    return (one, other) if one <= other else (other, one)


@dataclass(frozen=True, slots=True)
class Cells:
    """Moments, one row per cell.

    Attributes:
        keys: what tells the cells apart, like `arm` and `day`: per key the cells' values.
        n: the cells' units, or clusters where these were drawn.
        means: per column, the cells' means.
        products: per pair of columns, the cells' sums of products of deviations from the means.
        least, most: per column, the smallest and the largest value; empty where nobody asked.
    """

    keys: Mapping[str, NDArray[Any]]
    n: NDArray[np.int64]
    means: Mapping[str, Array]
    products: Mapping[Pair, Array]
    least: Mapping[str, Array]
    most: Mapping[str, Array]

    def __len__(self) -> int:
        return len(self.n)

    def product(self, one: str, other: str) -> Array:
        """The cells' sums of products of two columns' deviations; raises KeyError where nobody asked for them."""
        return self.products[pair(one, other)]

    def where(self, chosen: NDArray[np.bool_] | NDArray[np.int64] | Sequence[int]) -> Cells:
        """The chosen cells, by a mask or in the order of their positions."""
        at = np.asarray(chosen)
        return Cells(*(_each(part, lambda values: values[at]) for part in self.parts))

    def of(self, **keys: Any) -> Cells:
        """The cells with these values of these keys, like `of(arm="letter")`."""
        mask = np.ones(len(self), dtype=bool)
        for name, value in keys.items():
            mask &= self.keys[name] == value
        return self.where(mask)

    def aligned(self, **keys: Sequence[Any]) -> Cells:
        """One cell for each row of these keys' values, in their order; one without units where there is none."""
        wanted = list(zip(*keys.values(), strict=True))
        told = zip(*(self.keys[name].tolist() for name in keys), strict=True)
        at = {key: row for row, key in enumerate(told)}
        found = self.joined([self._nothing()]).where([at.get(key, len(self)) for key in wanted])
        named = {name: np.array(list(values), dtype=object) for name, values in keys.items()}
        return replace(found, keys={**found.keys, **named})

    def _nothing(self) -> Cells:
        """A cell without units."""
        unknown = np.array([np.nan])
        columns, nowhere = dict.fromkeys(self.means, unknown), {name: np.array([None]) for name in self.keys}
        extremes = dict.fromkeys(self.least, unknown), dict.fromkeys(self.most, unknown)
        return Cells(nowhere, np.array([0]), columns, dict.fromkeys(self.products, unknown), *extremes)

    def merged(self, *by: str) -> Cells:
        """One cell per combination of these keys' values, in the order of their first cells; all in one without keys.

        A union's moments follow from its parts' (Chan, Golub and LeVeque 1979, eq. 2.1; Pébay 2008, eq. 3.6).
        """
        with np.errstate(all="ignore"):  # infinities make NaN, which are found where they are judged
            return self._merged(by)

    def _merged(self, by: Sequence[str]) -> Cells:
        group, first = self.grouped(*by)
        count = len(first)
        n = np.bincount(group, weights=self.n, minlength=count).astype(np.int64)
        some = np.maximum(n, 1)
        means: dict[str, Array] = {}
        apart: dict[str, Array] = {}
        for name, values in self.means.items():
            # From the group's first mean: what is far from zero and hardly varies would lose its digits in a sum.
            filled = np.where(self.n > 0, values, 0.0)
            pivot = _first_filled(filled, self.n, group, count)
            means[name] = pivot + summed(self.n * (filled - pivot[group]), group, count) / some
            apart[name] = np.where(self.n > 0, filled - means[name][group], 0.0)
        products = {
            (one, other): summed(np.where(self.n > 0, values, 0.0), group, count)
            + summed(self.n * apart[one] * apart[other], group, count)
            for (one, other), values in self.products.items()
        }
        return Cells(
            keys={name: self.keys[name][first] for name in by},
            n=n,
            means=means,
            products=products,
            least={name: _reduced(np.fmin, values, group, count) for name, values in self.least.items()},
            most={name: _reduced(np.fmax, values, group, count) for name, values in self.most.items()},
        )

    def grouped(self, *by: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Per cell the number of its combination of these keys' values, and per combination its first cell."""
        return grouped([self.keys[name] for name in by], len(self))

    def joined(self, others: Iterable[Cells]) -> Cells:
        """These cells and the others' below them; all have the same keys, columns and products."""
        every = (self, *others)
        return Cells(*(_stacked(part) for part in zip(*(cells.parts for cells in every), strict=True)))

    @property
    def parts(self) -> tuple[Any, ...]:
        """Every attribute, in order."""
        return self.keys, self.n, self.means, self.products, self.least, self.most


def grouped(keys: Sequence[NDArray[Any]], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Per row the number of its combination of keys, in the order of their first rows, and per combination that row."""
    told = zip(*(values.tolist() for values in keys), strict=True) if keys else [()] * count
    groups: dict[tuple[Any, ...], int] = {}
    group = np.array([groups.setdefault(key, len(groups)) for key in told], dtype=np.int64)
    return group, np.unique(group, return_index=True)[1]


def _each(part: Any, change: Callable[[Any], Any]) -> Any:
    return {name: change(values) for name, values in part.items()} if isinstance(part, Mapping) else change(part)


def _stacked(parts: Sequence[Any]) -> Any:
    if isinstance(parts[0], Mapping):
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return np.concatenate(parts)


def summed(values: Array, group: NDArray[np.int64], count: int) -> Array:
    """The sums of values by their groups, of which there are so many."""
    # Of no weights at all numpy makes integers.
    return np.bincount(group, weights=values, minlength=count).astype(np.float64)


def _first_filled(values: Array, n: NDArray[np.int64], group: NDArray[np.int64], count: int) -> Array:
    found = np.zeros(count)
    filled = np.flatnonzero(n > 0)[::-1]
    found[group[filled]] = values[filled]
    return found


def _reduced(reduce: Any, values: Array, group: NDArray[np.int64], count: int) -> Array:
    found = np.full(count, np.nan)
    reduce.at(found, group, values)
    return found
