"""Recorded moments: means from those that evidence carries, for whoever reads it later."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shared.stats import quantiles
from shared.stats.estimates import Means, Quantity, means, stacked
from shared.stats.moments import Cells
from shared.stats.summaries import AnyMoments, Moments, RatioMoments


def recorded(found: Sequence[AnyMoments]) -> Means:
    """One mean for each of some moments, in one dimension."""
    every = stacked([_one(each) for each in found], 1)
    return every.at(0)


def _one(found: AnyMoments) -> Means:
    if isinstance(found, Moments):
        return means(_cell(found.n, {"v": found.mean}, {("v", "v"): found.m2}), [Quantity("v")]).at((slice(None), 0))
    if isinstance(found, RatioMoments):
        products = {("v", "v"): found.value_m2, ("d", "d"): found.per_m2, ("d", "v"): found.co}
        return means(_cell(found.n, {"v": found.value, "d": found.per}, products), [Quantity("v", "d")]).at(
            (slice(None), 0)
        )
    return quantiles.means([found])


def _cell(n: int, mean: dict[str, float], products: dict[tuple[str, str], float]) -> Cells:
    return Cells(
        keys={},
        n=np.array([n]),
        means={name: np.array([value]) for name, value in mean.items()},
        products={pair: np.array([value]) for pair, value in products.items()},
        least={},
        most={},
    )
