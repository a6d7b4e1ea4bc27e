"""Sampling: the share of the units that could take part which a plan needs, where it bounds them."""

from __future__ import annotations

import math
from decimal import ROUND_CEILING, Decimal
from fractions import Fraction

from lab.pilots.eligibility import Pool
from shared.core.sql import identifier
from shared.data.snapshot import Snapshot
from shared.data.tabular import connect
from shared.experiment.charter import Charter, Promise
from shared.experiment.draw import Draw

# By so many standard deviations more units are drawn than are needed on average: one pilot in 700 then falls short.
DEVIATIONS = 3
STEP = Decimal("0.000001")


def bounded(promise: Promise, snapshot: Snapshot, pool: Pool) -> Promise:
    """The same with the share of units that takes part, where its plan bounds them and the pool has more."""
    if promise.charter.sample.attrition is None:
        return promise
    frac = sampled_frac(promise.charter, *_able(promise, snapshot, pool))
    return promise.model_copy(update={"sampled_frac": frac})


def sampled_frac(charter: Charter, able: float, size: float) -> Decimal | None:
    """The share of `able` units that brings every arm its planned units all but surely; None where that is all.

    How many units an arm gets varies as draws of clusters of `size` units do, as a Poisson number at most: with the
    mean m it is m - z sqrt(size m) or more in all but 1 - Phi(z) of the pilots. What is asked is that this be the plan.
    """
    plan, weights = charter.sample, charter.weights
    spread = DEVIATIONS * math.sqrt(size)
    exposed = ((spread + math.sqrt(spread * spread + 4 * plan.units_per_arm)) / 2) ** 2
    wanted = exposed / (1 - (plan.attrition or 0.0)) * float(sum(weights.values()) / min(weights.values()))
    if not able or wanted >= able:
        return None
    frac = Decimal(wanted / able).quantize(STEP, rounding=ROUND_CEILING)
    return frac if frac < 1 else None


def _able(promise: Promise, snapshot: Snapshot, pool: Pool) -> tuple[float, float]:
    """How many units could take part, and the size of their clusters as units see it; 1 without clusters."""
    charter, draw = promise.charter, Draw.of(promise, snapshot.manifest.workspace, None)
    rows, size = Fraction(pool.units), 1.0
    columns = {column.name for column in snapshot.contract(charter.population).columns}
    if charter.cluster in columns:
        with connect() as connection:
            found = connection.execute(
                "SELECT coalesce(sum(n), 0), coalesce(sum(n * n) / sum(n), 1) FROM (SELECT count(*) AS n FROM "
                f"{pool.sql} "
                f"WHERE {identifier(str(charter.cluster))} IS NOT NULL GROUP BY {identifier(str(charter.cluster))})"
            ).fetchone()
        rows, size = Fraction(int((found or (0, 1))[0])), float((found or (0, 1))[1])
    return float(rows * draw.able_frac), size
