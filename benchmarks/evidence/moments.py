"""Moments of ten million units against a bare scan of the same file, and their answers against tea-tasting's.

Ours are means, sums of squares and the products with each metric's covariate, by arm, and by arm and level of eight
segments. The bare scan only adds each column up. tea-tasting computes variances and covariances by its own SQL over the
same DuckDB relation (through narwhals: its way through ibis does not run on DuckDB 2.0), once for all units and once
for each level of each segment; both then estimate every metric's covariate-adjusted difference with its interval.

Both have as many threads as DuckDB takes by itself, or one where a line says so. Before anything is measured, the
moments by arm and by segment are computed on 1, 2, 4 and 8 threads and have to be equal to the last bit.
"""

from __future__ import annotations

import tempfile
from itertools import chain
from pathlib import Path

import numpy as np
import tea_tasting as tt
from numpy.typing import NDArray

from benchmarks.evidence.stage import ARMS, COVARIATES, LEVELS, UNITS, asked, connect, write_units
from benchmarks.measure import Line, compared
from shared.core.sql import literal
from shared.engines.scan import moments
from shared.stats.adjustment import adjusted, centres, slopes
from shared.stats.estimates import Means, Quantity, differences
from shared.stats.moments import Cells

BARE_MAX, BARE_SEGMENTS_MAX, EXTRA_MIB_MAX = 1.4, 3.5, 500
TEA_MAX, TEA_SEGMENTS_MAX = 1.0, 0.2
CONTROL = ARMS[0]
SEGMENTS = tuple(LEVELS)


def run(repeats: int = 5, units: int = UNITS) -> list[Line]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "units.parquet"
        write_units(path, units)
        require_equal_bits(path)
        bare = "DuckDB: the sum of each column by arm"
        tea = "tea-tasting, over the same connection"
        return [
            compared(
                what,
                lambda _, ours=ours, given=given: (ours, (path, *given)),
                peer,
                lambda _, theirs=theirs, given=given: (theirs, (path, *given)),
                repeats=rounds,
                limit=limit,
                extra_mib=extra,
            )
            for what, ours, given, peer, theirs, rounds, limit, extra in (
                (f"moments of {units:,} units, 6 metrics and covariates, 3 arms", scan, ((),), bare, add_up, repeats,
                 BARE_MAX, EXTRA_MIB_MAX),
                ("the same, with 8 segments of 29 levels", scan, (SEGMENTS,), bare, add_up, repeats,
                 BARE_SEGMENTS_MAX, EXTRA_MIB_MAX),
                ("without segments, on one core", scan, ((), 1), f"{bare}, on one core", add_up, repeats,
                 None, EXTRA_MIB_MAX),
                ("with segments, on one core", scan, (SEGMENTS, 1), f"{bare}, on one core", add_up, repeats,
                 None, EXTRA_MIB_MAX),
                ("adjusted differences of all metrics", answer, ((),), tea, experiment, repeats, TEA_MAX, None),
                ("the same, with 8 segments of 29 levels", answer, (SEGMENTS,), tea, experiment, 1,
                 TEA_SEGMENTS_MAX, None),
            )
        ]  # fmt: skip


def require_equal_bits(path: Path) -> None:
    """Ends the benchmark where the number of threads changes a bit of any moment."""
    found = {threads: scan(path, SEGMENTS, threads) for threads in (1, 2, 4, 8)}
    for threads, cells in found.items():
        for one, other in zip(found[1], cells, strict=True):
            bits = [[*each.n, *chain(*each.means.values()), *chain(*each.products.values())] for each in (one, other)]
            if bits[0] != bits[1]:
                raise SystemExit(f"moments on {threads} threads are not those on one")


def add_up(path: Path, _: tuple[str, ...], threads: int | None = None) -> None:
    sums = ", ".join(f"sum({column})" for column in asked(path).columns)
    with connect(threads) as connection:
        connection.execute(f"SELECT arm, {sums} FROM read_parquet({literal(str(path))}) GROUP BY arm").fetchall()


def scan(path: Path, segments: tuple[str, ...], threads: int | None = None) -> list[Cells]:
    with connect(threads) as connection:
        return moments(connection, asked(path), [("arm",), *(("arm", segment) for segment in segments)])


def answer(path: Path, segments: tuple[str, ...]) -> None:
    """Of each treatment in each cell, every metric's difference with its interval and p-value."""
    for cells in scan(path, segments):
        group = cells.grouped(*(key for key in cells.keys if key != "arm"))[0]
        arms = {arm: np.flatnonzero(cells.keys["arm"] == arm) for arm in ARMS}
        for metric, before in COVARIATES.items():
            each = estimated(cells, metric, before, group)
            for arm in ARMS[1:]:
                found = differences(each.at(arms[arm]), each.at(arms[CONTROL]))
                assert found.known.all()
                found.interval(0.05)
                found.p()


def estimated(cells: Cells, metric: str, before: str, group: NDArray[np.int64]) -> Means:
    """The cells' means, adjusted by the covariate; cells of a group share the slope."""
    value, covariates = [Quantity(metric)], [Quantity(before)]
    slope, centre = slopes(cells, value, covariates, group), centres(cells, covariates, group)
    return adjusted(cells, value, covariates, slope, centre)


def experiment(path: Path, segments: tuple[str, ...]) -> list[object]:
    asked_of_it = tt.Experiment(
        metrics={metric: tt.Mean(metric, covariate=before) for metric, before in COVARIATES.items()}, variant="arm"
    )
    with connect() as connection:
        units = connection.read_parquet(str(path))
        cells = [units]
        for segment in segments:
            cells += [units.filter(f"{segment} = '{segment}-{level}'") for level in range(LEVELS[segment])]
        return [asked_of_it.analyze(cell, control=CONTROL, all_variants=True) for cell in cells]
