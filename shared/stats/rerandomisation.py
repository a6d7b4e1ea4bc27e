"""Re-randomisation: the same units split at random again and again, and what the test says of every split.

No unit is treated in any of them, so that each "significant" difference is a false one. A split is a row of coins; all
of them together are a matrix, and the arms' sums of every split are one matrix product per batch of units.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from shared.stats.estimates import Quantity, differences, means
from shared.stats.moments import Array, Cells, Pair, pair

TREATED, CONTROL = "treated", "control"
# From a number of units, one row for each, with 1 for every split in which it is treated and 0 where it is not.
Draw = Callable[[int], Array]
HALF = 0.5
_STEPS = 1 << 16


def coins(times: int, frac: float, seed: int) -> Draw:
    """Independent coins: a unit is treated with chance `frac`, to the nearest of 65,536 steps, in each of the splits.

    They depend on the seed and the units' order, not on how units come in batches.
    """
    rng = np.random.default_rng(seed)

    def words(units: int, per_word: int) -> NDArray[np.uint64]:
        # Whole words for each unit: what is left of one is nobody else's.
        return rng.integers(0, 1 << 64, (units, -(-times // per_word)), dtype=np.uint64)

    def fair(units: int) -> Array:
        return np.unpackbits(words(units, 64).view(np.uint8), axis=1, count=times).astype(np.float64)

    def biased(units: int) -> Array:
        return (words(units, 4).view(np.uint16)[:, :times] < round(frac * _STEPS)).astype(np.float64)

    return fair if frac == HALF else biased


def splits(
    batches: Iterable[Mapping[str, Array]], pivots: Mapping[str, float], pairs: Sequence[Pair], draw: Draw
) -> Cells:
    """Moments of both arms in every split, from one pass over the units: cells by `arm` and `split`.

    All treated arms come first, then all controls. Sums are of distances from the pivots: the nearer those are to the
    columns' means, the fewer digits are lost.
    """
    columns = list(pivots)
    treated = whole = np.zeros((1 + len(columns) + len(pairs), 1))
    for batch in batches:
        apart = {name: batch[name] - pivots[name] for name in columns}
        units = len(apart[columns[0]])
        rows = np.stack([np.ones(units), *apart.values(), *(apart[one] * apart[other] for one, other in pairs)])
        treated = treated + rows @ draw(units)
        whole = whole + rows.sum(axis=1, keepdims=True)
    return _cells(np.hstack([treated, whole - treated]), pivots, pairs)


def _cells(sums: Array, pivots: Mapping[str, float], pairs: Sequence[Pair]) -> Cells:
    n, some = sums[0], np.maximum(sums[0], 1)
    totals = dict(zip(pivots, sums[1:], strict=False))
    products = dict(zip(pairs, sums[1 + len(pivots) :], strict=True))
    times = len(n) // 2
    return Cells(
        keys={"arm": np.repeat([TREATED, CONTROL], times), "split": np.tile(np.arange(times), 2)},
        n=n.astype(np.int64),
        means={name: pivots[name] + total / some for name, total in totals.items()},
        products={
            pair(one, other): _not_below_zero(product - totals[one] * totals[other] / some, square=one == other)
            for (one, other), product in products.items()
        },
        least={},
        most={},
    )


def _not_below_zero(product: Array, *, square: bool) -> Array:
    return np.maximum(product, 0.0) if square else product


def p_values(cells: Cells, value: str, per: str | None = None) -> NDArray[np.float64]:
    """The two-sided p-value of every split, of a mean or of a ratio; NaN where the test has no answer."""
    found = means(cells, [Quantity(value, per)]).at(np.s_[:, 0])
    half = len(cells) // 2
    return differences(found.at(np.s_[:half]), found.at(np.s_[half:])).p()
