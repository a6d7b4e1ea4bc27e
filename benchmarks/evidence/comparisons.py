"""Twenty thousand comparisons from their moments, against two hundred of tea-tasting's from its aggregates.

A comparison is two arms of one metric with a covariate: the adjusted difference with its interval and p-value.
"""

from __future__ import annotations

import numpy as np
import tea_tasting as tt
from tea_tasting.aggr import Aggregates

from benchmarks.evidence.moments import estimated
from benchmarks.measure import Line, compared
from shared.stats.estimates import differences
from shared.stats.moments import Cells

COMPARISONS, TEAS = 20_000, 200
LIMIT = 0.2
COLUMNS = ("value", "before")


def run(repeats: int = 5) -> list[Line]:
    arms, few = drawn(COMPARISONS), [[aggregates(arm, at) for at in range(TEAS)] for arm in drawn(TEAS)]
    return [
        compared(
            f"{COMPARISONS:,} comparisons",
            lambda _: (estimate, (arms,)),
            f"tea-tasting: {TEAS} comparisons",
            lambda _: (analyse, (few,)),
            repeats=repeats,
            limit=LIMIT,
        )
    ]


def estimate(arms: list[Cells]) -> None:
    count = len(arms[0])
    each = estimated(arms[0].joined(arms[1:]), *COLUMNS, np.tile(np.arange(count), 2))
    found = differences(each.at(slice(count, None)), each.at(slice(count)))
    assert found.known.all()
    found.interval(0.05)
    found.p()


def analyse(arms: list[list[Aggregates]]) -> None:
    metric = tt.Mean("value", covariate="before")
    for control, treated in zip(*arms, strict=True):
        metric.analyze_aggregates(control, treated)


def drawn(count: int) -> list[Cells]:
    """Moments of two arms of so many comparisons, a cell for each."""
    rng = np.random.default_rng(7)
    arms = []
    for _ in range(2):
        n = rng.integers(500, 50_000, count)
        variance, before, slope = rng.uniform(1.0, 9.0, (3, count))
        arms.append(
            Cells(
                keys={},
                n=n,
                means={name: rng.normal(10.0, 0.1, count) for name in COLUMNS},
                products={
                    ("value", "value"): n * (variance + slope * slope * before),
                    ("before", "value"): n * slope * before,
                    ("before", "before"): n * before,
                },
                least={},
                most={},
            )
        )
    return arms


def aggregates(cells: Cells, at: int) -> Aggregates:
    n = int(cells.n[at])
    return Aggregates(
        count_=n,
        mean_={name: float(cells.means[name][at]) for name in COLUMNS},
        var_={name: float(cells.product(name, name)[at]) / (n - 1) for name in COLUMNS},
        cov_={COLUMNS: float(cells.product(*COLUMNS)[at]) / (n - 1)},
    )
