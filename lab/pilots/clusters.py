"""Clusters: who takes part where arms are drawn by household, say, and what that costs in precision."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lab.pilots.promise import Frozen
from shared.core.sql import identifier
from shared.data.tabular import connect
from shared.experiment.draw import Draw
from shared.experiment.metrics import Metric

Array = NDArray[np.float64]
_NUMBERS = {"integer", "number"}


def taking_part(frozen: Frozen) -> int:
    """How many units to expect: those in the pilot's slice, in no holdout of the workspace, and in a cluster if any."""
    draw = Draw.of(frozen.promise, frozen.snapshot.manifest.workspace, None)
    rows = frozen.pool.units
    if draw.cluster is not None and draw.cluster in _columns(frozen):
        rows = _fetch(frozen, f"SELECT count({identifier(draw.cluster)}) AS n")["n"][0]
    return int(int(rows) * draw.frac)


@dataclass(frozen=True, slots=True)
class Spread:
    """How the units of a population lie in clusters, and how alike those of one are.

    Attributes:
        clusters: how many there are.
        size: units in the cluster of a unit, on average over the units: the sum of squared sizes over that of sizes.
        intra_cluster_correlation: that of the history, from 0 (no more alike than others) to 1 (the same).
    """

    clusters: int
    size: float
    intra_cluster_correlation: float

    @property
    def design_effect(self) -> float:
        """By how much the variance of a mean is that of as many units drawn one by one.

        1 + (m - 1) ICC (Kish 1965, "Survey Sampling", 5.4), with the size as units see it where sizes differ
        (Kerry and Bland 2001, "Unequal cluster sizes for trials", Statistics in Medicine 20).
        """
        return 1 + (self.size - 1) * self.intra_cluster_correlation


def spread_of(frozen: Frozen, metric: Metric) -> Spread | str:
    """How alike units of one cluster are in the metric's history, or why that is not known."""
    charter = frozen.promise.charter
    cluster, history = charter.cluster or "", metric.history
    unknown = f"how alike the units of one `{cluster}` are is not known"
    columns = _columns(frozen)
    if cluster not in columns or history is None or columns.get(history) not in _NUMBERS:
        return f"{unknown}: the metric has no number in table `{charter.population}` as history"
    value = f"CAST({identifier(history)} {'> 0' if metric.kind == 'proportion' else ''} AS DOUBLE)"
    found = _fetch(
        frozen,
        f"SELECT count(*) AS m, count(v) AS valued, avg(v) AS mean, var_pop(v) * count(v) AS m2 "
        f"FROM (SELECT {identifier(cluster)} AS c, {value} AS v",
        ") WHERE c IS NOT NULL GROUP BY c ORDER BY c",
    )
    sizes = found["m"].astype(float)
    if found["valued"].sum() < sizes.sum():
        return f"{unknown}: its history `{history}` has gaps"
    if len(sizes) < 2 or not (found["m2"].sum() or np.ptp(found["mean"])):  # noqa: PLR2004 - nothing to compare
        return f"{unknown}: its history `{history}` does not vary, or there is one cluster only"
    return Spread(
        len(sizes), float((sizes**2).sum() / sizes.sum()), intra_cluster_correlation(sizes, found["mean"], found["m2"])
    )


def intra_cluster_correlation(sizes: Array, means: Array, m2: Array) -> float:
    """The intra-cluster correlation by analysis of variance, from each cluster's units, mean and squared deviations.

    Donner and Koval 1980, "The estimation of intraclass correlation in the analysis of family data", Biometrics 36,
    eq. 2.1. Where units of one cluster are less alike than chance would have it, 0: no plan counts on that.
    """
    k, n = len(sizes), sizes.sum()
    if n == k:
        return 0.0  # every unit is a cluster of its own
    between = float((sizes * (means - (sizes * means).sum() / n) ** 2).sum()) / (k - 1)
    within = float(m2.sum()) / (n - k)
    size = (n - (sizes**2).sum() / n) / (k - 1)
    return max(0.0, float((between - within) / (between + (size - 1) * within)))


def _columns(frozen: Frozen) -> dict[str, str]:
    """What the population's table publishes, with its types."""
    contract = frozen.snapshot.contract(frozen.promise.charter.population)
    return {c.name: c.type for c in contract.columns if c.classification in {"public", "identifier"}}


def _fetch(frozen: Frozen, select: str, rest: str = "") -> dict[str, Any]:
    with connect() as connection:
        found: dict[str, Any] = connection.execute(f"{select} FROM {frozen.pool.sql}{rest}").fetchnumpy()
    return found
