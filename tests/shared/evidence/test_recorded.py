"""Means read back from evidence are those of the cells that the moments came from."""

from __future__ import annotations

import numpy as np
import pytest

from shared.evidence.recorded import recorded
from shared.stats.estimates import Quantity, means
from shared.stats.problems import Problem
from shared.stats.quantiles import means as quantile_means
from shared.stats.summaries import Moments, QuantileMoments, RatioMoments
from tests.shared.cells import drawn_cells

RNG = np.random.default_rng(20260309)
CELLS = drawn_cells({"v": RNG.normal(5, 2, (1, 80)), "d": RNG.gamma(9, 1, (1, 80))})
MEAN = Moments(n=80, mean=CELLS.means["v"][0], m2=CELLS.product("v", "v")[0])
RATIO = RatioMoments(
    n=80,
    value=CELLS.means["v"][0],
    per=CELLS.means["d"][0],
    value_m2=CELLS.product("v", "v")[0],
    per_m2=CELLS.product("d", "d")[0],
    co=CELLS.product("v", "d")[0],
)
QUANTILE = QuantileMoments(n=500, quantile=0.5, value=3.0, low=2.0, high=4.5)


@pytest.mark.parametrize(
    ("moments", "expected"),
    [
        (MEAN, means(CELLS, [Quantity("v")]).at((0, 0))),
        (RATIO, means(CELLS, [Quantity("v", "d")]).at((0, 0))),
        (QUANTILE, quantile_means([QUANTILE]).at(0)),
    ],
)
def test_recorded_moments_are_the_means_they_came_from(moments, expected):
    found = recorded([moments]).at(0)
    assert (found.mean, found.variance, found.df, found.n) == (
        expected.mean, expected.variance, expected.df, expected.n,
    )  # fmt: skip


def test_several_keep_their_order_and_problems():
    found = recorded([QUANTILE, Moments(n=1, mean=4.0, m2=0.0), MEAN])
    assert found.problem.tolist() == [Problem.NONE, Problem.TOO_FEW, Problem.NONE]
    assert found.n.tolist() == [500, 1, 80]
    assert np.isnan(found.mean).tolist() == [False, True, False]


def test_of_nothing_there_is_nothing():
    assert recorded([]).mean.shape == (0,)
