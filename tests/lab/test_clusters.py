"""Clusters: how alike units of one are, against scipy's analysis of variance, and what that costs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import f_oneway

from lab.pilots.clusters import Spread, intra_cluster_correlation, spread_of, taking_part
from lab.pilots.promise import freeze
from shared.experiment.metrics import Metric
from tests.lab_makers import CARD, PILOT, draft

SPENT = Metric(kind="mean", column="spend", unit="USD", history="history")


def of(groups):
    """What `intra_cluster_correlation` is given of each cluster."""
    return (
        np.array([len(group) for group in groups], dtype=float),
        np.array([np.mean(group) for group in groups]),
        np.array([np.var(group) * len(group) for group in groups]),
    )


@pytest.mark.parametrize("sizes", [(3,) * 40, tuple(range(2, 30)), (1, 1, 5, 80, 2)])
@pytest.mark.parametrize("between", [0.5, 1.0, 5.0])
def test_likeness_is_that_of_the_f_statistic_of_scipy(sizes, between):
    rng = np.random.default_rng(4)
    groups = [rng.normal(rng.normal(0, between), 1.0, size) for size in sizes]
    f = f_oneway(*groups).statistic
    n, k = sum(sizes), len(sizes)
    size = (n - sum(m * m for m in sizes) / n) / (k - 1)
    # Donner and Koval (1980): (F - 1) / (F + m0 - 1).
    assert intra_cluster_correlation(*of(groups)) == pytest.approx(max(0.0, (f - 1) / (f + size - 1)), rel=1e-9)


def test_units_that_are_the_same_in_a_cluster_are_worth_one_of_them():
    groups = [[1.0] * 4, [2.0] * 4, [5.0] * 4]
    assert intra_cluster_correlation(*of(groups)) == pytest.approx(1)
    assert Spread(clusters=3, size=4.0, intra_cluster_correlation=1.0).design_effect == 4


def test_units_that_are_less_alike_than_chance_count_as_not_alike():
    assert intra_cluster_correlation(*of([[0.0, 10.0], [0.1, 10.0], [0.0, 10.1]])) == 0


def test_clusters_of_one_cost_nothing():
    assert intra_cluster_correlation(*of([[1.0], [2.0], [5.0]])) == 0


def frozen(workspace, cluster):
    draft(workspace, PILOT, (CARD, ""), ("population: customers", f"population: customers\ncluster: {cluster}"))
    return freeze(workspace, PILOT)


def test_the_spread_is_that_of_the_snapshots_rows(loaded):
    # Of 600 customers n the place is n % 3 and the history 10 + n / 4, so that places differ by nothing but chance.
    found = spread_of(frozen(loaded, "zip_code"), SPENT)
    assert (found.clusters, found.size, found.intra_cluster_correlation) == (3, 200, 0)
    # Months are n % 12: each is a cluster of 50.
    found = spread_of(frozen(loaded, "recency"), SPENT)
    assert (found.clusters, found.size) == (12, 50)


@pytest.mark.parametrize(
    ("history", "told"),
    [(None, "has no number"), ("zip_code", "has no number"), ("email", "has no number"), ("mens", "has gaps")],
)
def test_what_is_not_known_is_said(loaded, history, told):
    found = spread_of(frozen(loaded, "zip_code"), SPENT.model_copy(update={"history": history}))
    assert "how alike the units of one `zip_code` are is not known" in found
    if history == "mens":
        assert told in found
    else:
        assert "as history" in found


def test_who_has_no_cluster_is_not_counted_on(loaded):
    assert taking_part(frozen(loaded, "zip_code")) == 600
    # No customer of the stage says how they buy.
    assert taking_part(frozen(loaded, "channel")) == 0
    assert taking_part(frozen(loaded, "shoe_size")) == 600  # an obstacle, which is said elsewhere
