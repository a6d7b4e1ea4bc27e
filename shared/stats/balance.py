"""Balance before the pilot: were the arms as alike in what was known of their units as chance makes them?

The arms are drawn again and again for the same units, or the same clusters, as they were drawn the first time: each by
itself, with the chances that were planned. What is found is held against what these draws say, so that no column need
be normal, and no cell large.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Short = NDArray[np.float32]
Codes = NDArray[np.int8]
# A p-value needs no more precision once so many draws were as far apart (Besag and Clifford 1991, "Sequential Monte
# Carlo p-values", Biometrika 78, take 10 to 20).
FURTHER_ENOUGH = 20
# So many draws at a time, and so many numbers at most.
DRAWS_AT_ONCE, CELLS_MAX = 100, 4_000_000
# Chances are to the nearest of so many steps.
_STEPS = 1 << 16
# Directions in which units differ by less than this share of the widest one are rounding errors.
_RANK = 1e-9
# Sums of single precision differ in what is smaller than this share of them.
_ROUNDING = 1e-5


@dataclass(frozen=True, slots=True)
class Balance:
    """How unusual the arms' differences are.

    Attributes:
        largest: p of the largest difference of any column and arm; the largest one of every draw is what it is held
            against, so it is corrected for their number (Westfall and Young 1993, "Resampling-based multiple testing";
            never above Bonferroni's).
        together: p of all columns at once, by their Mahalanobis distance (Morgan and Rubin 2012, "Rerandomization to
            improve covariate balance in experiments", Annals of Statistics 40).
        column, arm: where the largest difference is, by number.
        draws: how many were made.
    """

    largest: float
    together: float
    column: int
    arm: int
    draws: int


def balance(arms: Codes, columns: Array, shares: Sequence[float], *, times: int, seed: int) -> Balance:
    """Compares the arms.

    Args:
        arms: of each unit (or cluster) the number of its arm, from 0.
        columns: a row for each, a column for each thing known of it, none of them constant. Of a cluster it is the sum
            over its units of their distances from the mean over all units.
        shares: the chance of each arm.
        times: at most so many draws.
        seed: of the draws.
    """
    units = len(arms)
    centred = columns - columns.mean(axis=0)
    scaled = centred / np.sqrt((centred**2).sum(axis=0) / (units - 1))
    # One product per draw yields all: how many, the columns one by one, and without what they have in common.
    known = np.hstack([np.ones((units, 1)), scaled, _apart(scaled)]).astype(np.float32)
    split = 1 + scaled.shape[1]
    found = _distances([known[arms == arm].sum(axis=0, keepdims=True) for arm in range(len(shares))], split)
    arm, column = found.where
    rng, passed, made = np.random.default_rng(seed), (_Sequence(), _Sequence()), 0
    ends = np.round(np.cumsum(shares) / sum(shares) * _STEPS).astype(np.int64)
    while made < times and not all(each.settled for each in passed):
        size = min(DRAWS_AT_ONCE, max(1, CELLS_MAX // units), times - made)
        again = _distances(_sums(rng.integers(0, _STEPS, (size, units), dtype=np.uint16), ends, known), split)
        passed[0].take(again.largest >= found.largest[0] * (1 - _ROUNDING))
        passed[1].take(again.together >= found.together[0] * (1 - _ROUNDING))
        made += size
    return Balance(passed[0].p, passed[1].p, column, arm, made)


def _sums(drawn: NDArray[np.uint16], ends: NDArray[np.int64], known: Short) -> list[Short]:
    """For each arm, the sums of every column over its units: a row for each draw. Arms own ranges up to their end."""
    whole = known.sum(axis=0, dtype=np.float64).astype(np.float32)
    below = [(drawn < end).astype(np.float32) @ known for end in ends[:-1]]
    reached = [np.zeros_like(whole), *below, np.broadcast_to(whole, (len(drawn), len(whole)))]
    return [after - before for before, after in pairwise(reached)]


@dataclass(frozen=True, slots=True)
class _Distances:
    """Of each draw the largest distance of a column and arm, and all together; of the first one, where the largest is.

    Attributes:
        where: the numbers of arm and column.
    """

    largest: Short
    together: Short
    where: tuple[int, int]


def _distances(sums: Sequence[Short], split: int) -> _Distances:
    sizes = [part[:, :1] for part in sums]
    whole = np.sum(sizes, axis=0)
    # Given its size, an arm's sum of a column has this variance over all draws, the column's own being 1.
    ones = np.stack([
        part[:, 1:split] ** 2 / np.maximum(size * (whole - size) / whole, 1)
        for part, size in zip(sums, sizes, strict=True)
    ])  # fmt: skip
    together = np.sum(
        [
            (part[:, split:] ** 2).sum(axis=1) / np.maximum(size[:, 0], 1)
            for part, size in zip(sums, sizes, strict=True)
        ],
        axis=0,
    )
    # Of two arms one is as far from the mean of both as the other: the first one is named.
    arm, column = np.argwhere(ones[:, 0] >= ones[:, 0].max() * (1 - _ROUNDING))[0]
    return _Distances(ones.max(axis=(0, 2)), together, (int(arm), int(column)))


def _apart(scaled: Array) -> Array:
    """The same rows in directions that have nothing in common, each of variance 1; those without width are left out."""
    widths, directions = np.linalg.eigh(scaled.T @ scaled / (len(scaled) - 1))
    wide = widths > _RANK * widths.max()
    return np.asarray(scaled @ (directions[:, wide] / np.sqrt(widths[wide])))


class _Sequence:
    """Counts the draws that were as far apart, until there are enough of them."""

    def __init__(self) -> None:
        self.draws = self.further = 0

    @property
    def settled(self) -> bool:
        return self.further >= FURTHER_ENOUGH

    @property
    def p(self) -> float:
        # What was found is one of the draws as well, so no p is 0 (Phipson and Smyth 2010).
        return self.further / self.draws if self.settled else (self.further + 1) / (self.draws + 1)

    def take(self, further: NDArray[np.bool_]) -> None:
        if self.settled:
            return
        reached = self.further + np.cumsum(further)
        enough = np.flatnonzero(reached >= FURTHER_ENOUGH)
        last = int(enough[0]) + 1 if len(enough) else len(further)
        self.draws += last
        self.further = int(reached[last - 1])
