"""Replay: what cannot be evaluated is named, and every crossing is recorded at its look."""

from __future__ import annotations

import math
import os
from pathlib import Path

import duckdb
import numpy as np
import pytest
from scipy.signal import fftconvolve
from scipy.stats import norm, t

from shared.evidence.replay import Series, first_crossing, replay_any_time, replay_looks, series_of
from shared.stats.alpha_spending import Schedule
from shared.stats.test_methods import SEQUENCE_UNITS_MIN

REAL = os.environ.get("PILOTPLANT_REAL_DATA")
on_real_data = pytest.mark.skipif(not REAL, reason="PILOTPLANT_REAL_DATA does not name the folder of real data")
SHARES = (0.25, 0.5, 0.75, 1.0)
UNITS = np.array([2_500.0, 5_000.0, 7_500.0, 10_000.0])


def arms(means, variance=1.0):
    """A control at zero and a treatment with these means; 2,500 to 10,000 units per arm."""
    spread = np.broadcast_to(np.asarray(variance, dtype=float), 4)
    return Series(UNITS, np.asarray(means, dtype=float), spread), Series(UNITS, np.zeros(4), np.ones(4))


def test_a_crossing_is_recorded_at_its_look_and_not_before():
    # Five times the third look's standard error of sqrt(2 / 7,500): far beyond its boundary, the others' are far off.
    looks = replay_looks(*arms([0.0, 0.0, 5 * math.sqrt(2 / 7_500), 0.0]), SHARES, "obrien_fleming", 0.05)
    assert [look.crossed for look in looks] == [False, False, True, False]
    assert first_crossing(looks) == 2
    assert looks[2].z == pytest.approx(norm.isf(t.sf(5, 2 * 7_499)))
    assert looks[2].low > 0 > looks[1].low


def test_the_interval_at_a_look_leaves_zero_out_where_it_crosses():
    bounds = Schedule(SHARES, tuple(2 * UNITS), "pocock").boundaries(0.05)
    for nudge, crossed in ((1.001, True), (0.999, False)):
        means = bounds * np.sqrt(2 / UNITS) * nudge
        looks = replay_looks(*arms(means), SHARES, "pocock", 0.05)
        assert [look.low > 0 for look in looks] == [look.crossed for look in looks] == [crossed] * 4


@pytest.mark.parametrize("gone", [math.nan, None, -1.0])
def test_a_checkpoint_without_a_variance_is_unevaluable_and_named(gone):
    treated = series_of(UNITS, [1.0] * 4, [1.0, gone, 1.0, 1.0])
    for looks in (
        replay_looks(treated, arms([0.0] * 4)[1], SHARES, "pocock", 0.05),
        replay_any_time(treated, arms([0.0] * 4)[1], 10_000, 0.05),
    ):
        assert looks[1].problem == "the treatment arm has no variance"
        assert {looks[1].estimate, looks[1].low, looks[1].high, looks[1].z, looks[1].crossed} == {None}
        assert [look.crossed for look in looks] == [True, None, True, True]


def test_a_look_that_could_not_be_evaluated_lightens_no_other():
    full = replay_looks(*arms([0.0] * 4), SHARES, "pocock", 0.05)
    some = replay_looks(*arms([0.0] * 4, [1.0, math.nan, 1.0, 1.0]), SHARES, "pocock", 0.05)
    assert [some[k].boundary for k in (0, 2, 3)] == [full[k].boundary for k in (0, 2, 3)]


def test_a_metric_that_does_not_vary_is_unevaluable():
    constant = Series(UNITS, np.ones(4), np.zeros(4))
    looks = replay_looks(constant, constant, SHARES, "pocock", 0.05)
    assert {look.problem for look in looks} == {"the metric does not vary in either arm"}


def test_at_any_time_begins_with_units_enough():
    units = np.array([10.0, SEQUENCE_UNITS_MIN - 1, SEQUENCE_UNITS_MIN, 10_000.0])
    few = Series(units, np.ones(4), np.ones(4))
    looks = replay_any_time(few, Series(units, np.zeros(4), np.ones(4)), 10_000, 0.05)
    assert [look.problem for look in looks] == ["an arm has fewer than 1,000 units"] * 2 + [None] * 2
    assert [look.crossed for look in looks] == [None, None, True, True]


@pytest.fixture(scope="module")
def asos():
    """Every series of checkpoints of the ASOS experiments (Liu et al. 2021): columns of numbers, None for none."""
    with duckdb.connect() as connection:
        rows = connection.execute(
            "SELECT list(time_since_start ORDER BY time_since_start), "
            + ", ".join(
                f"list({name} ORDER BY time_since_start)"
                for name in ("count_t", "mean_t", "variance_t", "count_c", "mean_c", "variance_c")
            )
            + f" FROM '{Path(REAL) / 'asos_dev.parquet'}' GROUP BY experiment_id, variant_id, metric_id ORDER BY ALL"
        ).fetchall()
    return [(np.array(at), series_of(*row[:3]), series_of(*row[3:])) for at, *row in rows]


@on_real_data
def test_every_real_checkpoint_without_a_variance_is_unevaluable(asos):
    silent = 0
    for at, treated, control in asos:
        for looks in (
            replay_looks(treated, control, at / at[-1], "obrien_fleming", 0.05),
            replay_any_time(treated, control, int(min(treated.n[-1], control.n[-1])), 0.05),
        ):
            for look, variances in zip(looks, zip(treated.variance, control.variance, strict=True), strict=True):
                without = bool(np.isnan(variances).any())
                assert (look.problem is not None) == without or look.problem == "an arm has fewer than 1,000 units"
                assert (look.crossed is None) == (look.problem is not None)
                silent += without
    assert (len(asos), silent) == (200, 2 * 522)


@on_real_data
@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
def test_real_crossings_are_at_the_looks_that_a_direct_computation_finds(asos, spending):
    """Ten checkpoints of each series, z and boundaries computed anew."""
    crossings, near = [], 0
    for at, treated, control in asos:
        pick = np.unique(np.linspace(0, len(at) - 1, 10).astype(int))
        t_arm, c_arm = (Series(s.n[pick], s.mean[pick], s.variance[pick]) for s in (treated, control))
        looks = replay_looks(t_arm, c_arm, at[pick] / at[-1], spending, 0.05)
        z = np.abs(t_arm.mean - c_arm.mean) / np.sqrt(t_arm.variance / t_arm.n + c_arm.variance / c_arm.n)
        bounds = direct(at[pick] / at[-1], t_arm.n + c_arm.n, spending)
        told = [look.crossed for look in looks]
        expected = [None if np.isnan(one) else bool(one >= bound) for one, bound in zip(z, bounds, strict=True)]
        close = np.abs(z - bounds) < 0.003  # the direct computation's own error
        near += close.sum()
        if not close.any():
            assert told == expected
            crossings.append(first_crossing(looks))
    assert near < 10
    # There are effects among them, found at early looks and at late ones.
    assert {1, 9} < set(crossings)


def direct(shares, information, spending):
    """Boundaries by convolving the score's density on a plain grid (Jennison and Turnbull 2000, ch. 19)."""
    if spending == "pocock":
        spent = 0.05 * np.log(1 + (math.e - 1) * shares)
    else:
        spent = 4 * norm.sf(norm.isf(0.05 / 4) / np.sqrt(shares))
    grid = np.linspace(-9, 9, 18_001)
    width, density, last, bounds = grid[1] - grid[0], None, 0.0, []
    for part, now in zip(np.diff(spent, prepend=0), information / information[-1], strict=True):
        nominal = norm.isf(part / 2)
        if now - last < 0.005 * now:  # no new units to speak of: by its own tail, and the paths stay as they are
            bounds.append(nominal)
            continue
        step = norm.pdf(grid, scale=math.sqrt(now - last))
        density = step if density is None else fftconvolve(density, step, mode="same") * width
        beyond = 2 * np.cumsum(np.maximum(density, 0)[::-1])[::-1] * width
        inside = np.flatnonzero(beyond <= part)[0] if part > 1e-9 else None
        bounds.append(nominal if inside is None else grid[inside] / math.sqrt(now))
        density = np.where(np.abs(grid) < bounds[-1] * math.sqrt(now), density, 0.0)
        last = now
    return np.array(bounds)
