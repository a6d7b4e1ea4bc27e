"""Scans: moments of hard columns against exact arithmetic, groupings that share a scan, pivots that were far off."""

from __future__ import annotations

import math
from fractions import Fraction

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from shared.engines.scan import CELLS_MAX, SAMPLE, _packed, extremes, moments
from shared.engines.sums import Asked
from shared.stats.moments import pair

N = 6_000
RNG = np.random.default_rng(11)
ARM = np.array(["control", "letter", "card"])[np.arange(N) % 3]
HARD = {
    "around a billion": 1e9 + RNG.normal(0.0, 2.0, N),
    "sorted": np.sort(RNG.lognormal(3.0, 2.0, N)),
    "arms far apart": np.select([ARM == "control", ARM == "letter"], [1e9, -1e6], 3.0) + RNG.normal(0.0, 1.0, N),
    "constant at first": np.where(np.arange(N) < SAMPLE, 7.5, 1e7 + RNG.random(N)),
    "mostly zero": np.where(RNG.random(N) < 0.02, RNG.lognormal(3.0, 1.5, N).round(2), 0.0),
    "tiny": RNG.random(N) * 1e-120,
    "prices": np.array([9.99, 19.99, 0.1])[RNG.integers(0, 3, N)],
}
OTHER = RNG.normal(5e6, 3.0, N)
REL = 1e-12


def table(connection, **columns):
    connection.register("rows", pa.table({"arm": ARM, "other": OTHER, **columns}))
    connection.execute("CREATE TABLE t AS FROM rows")


def asked(*columns, keys=("arm",), **more):
    pairs = {pair(one, other) for one in columns for other in columns}
    return Asked("t", {name: name for name in columns}, sorted(pairs), {key: key for key in keys}, **more)


def exactly(one, other):
    """Means and the sum of products of deviations, in rational numbers."""
    a, b = ([Fraction(float(x)) for x in values] for values in (one, other))
    mean_a, mean_b = sum(a) / len(a), sum(b) / len(b)
    return float(mean_a), float(sum((x - mean_a) * (y - mean_b) for x, y in zip(a, b, strict=True)))


@pytest.fixture
def connection():
    with duckdb.connect(config={"threads": 1}) as connection:
        yield connection


@pytest.mark.parametrize("what", HARD)
def test_moments_are_right_whatever_the_data(connection, what):
    table(connection, x=HARD[what])
    [cells] = moments(connection, asked("x", "other"), [("arm",)])
    for at, arm in enumerate(cells.keys["arm"]):
        x, other = HARD[what][arm == ARM], OTHER[arm == ARM]
        mean, square = exactly(x, x)
        assert cells.n[at] == x.size
        assert cells.means["x"][at] == pytest.approx(mean, rel=REL, abs=0.0)
        assert cells.product("x", "x")[at] == pytest.approx(square, rel=REL, abs=0.0)
        size = math.sqrt(square * exactly(other, other)[1])
        assert cells.product("x", "other")[at] == pytest.approx(exactly(x, other)[1], abs=REL * size)


def test_a_constant_has_no_variance_in_any_cell_however_far_from_the_others(connection):
    # Each arm has its own constant, which no single pivot is near; 0.1 and the like are not exact.
    table(connection, x=np.select([ARM == "control", ARM == "letter"], [0.1, 1e9 + 0.1], -1234567.89))
    [cells] = moments(connection, asked("x"), [("arm",)])
    assert cells.product("x", "x").tolist() == [0.0, 0.0, 0.0]
    assert dict(zip(cells.keys["arm"], cells.means["x"], strict=True)) == {
        "control": 0.1, "letter": 1e9 + 0.1, "card": -1234567.89,
    }  # fmt: skip


def test_a_constant_has_no_variance_where_the_table_begins_with_another(connection):
    # Of 0.1 hardly a digit is left beside the first pivot; and what is not known is a level too.
    zone = np.where(np.arange(N) < N // 2, "Urban", None)
    table(connection, x=np.where(np.arange(N) < N // 2, 987_654_321.1, 0.1), zone=zone)
    [cells] = moments(connection, asked("x", keys=("zone",)), [("zone",)])
    assert cells.keys["zone"].tolist() == ["Urban", None]
    assert (cells.means["x"].tolist(), cells.product("x", "x").tolist()) == ([987_654_321.1, 0.1], [0.0, 0.0])


def test_a_flags_square_follows_from_its_mean_by_hand(connection):
    table(connection, x=(np.arange(N) % 4 == 0).astype(np.int8), y=(np.arange(N) % 8 == 0).astype(np.int8))
    [cells] = moments(connection, asked("x", "y", flags=("x", "y")), [()])
    # n p (1 - p) for each, and for both n (1/8 - 1/4 x 1/8).
    assert cells.product("x", "x").tolist() == pytest.approx([N * 0.25 * 0.75], rel=1e-15)
    assert cells.product("y", "y").tolist() == pytest.approx([N * 0.125 * 0.875], rel=1e-15)
    assert cells.product("x", "y").tolist() == pytest.approx([N * (0.125 - 0.25 * 0.125)], rel=1e-15)


def test_large_integers_do_not_overflow(connection):
    table(connection, x=(2_000_000_000 + np.arange(N) % 2).astype(np.int32))
    [cells] = moments(connection, asked("x"), [()])
    assert (cells.means["x"][0], cells.product("x", "x")[0]) == (2_000_000_000.5, N * 0.25)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, 1e200])
def test_what_is_no_number_is_found_in_its_own_cell_alone(connection, value):
    x = np.where((np.arange(N) == N - 3), value, 1.0)
    table(connection, x=x)
    [cells] = moments(connection, asked("x"), [("arm",)])
    finite = dict(zip(cells.keys["arm"], np.isfinite(cells.product("x", "x")), strict=True))
    assert finite == {arm: arm != ARM[N - 3] for arm in ("control", "letter", "card")}


def test_groupings_that_share_a_scan_say_what_their_own_scans_say(connection):
    # Levels without a name included, and more of them than the first rows show.
    zone = np.array(["Urban", "Rural", None, *(f"z{n}" for n in range(40))], dtype=object)[
        np.where(np.arange(N) < SAMPLE, np.arange(N) % 3, np.arange(N) % 43)
    ]
    channel = np.array(["web", "phone", None], dtype=object)[RNG.integers(0, 3, N)]
    table(connection, x=HARD["mostly zero"], zone=zone, channel=channel)
    question = asked("x", "other", keys=("arm", "zone", "channel"))
    groupings = [("arm",), ("arm", "zone"), ("channel",), ("arm", "channel"), ()]
    for grouping, together in zip(groupings, moments(connection, question, groupings), strict=True):
        [alone] = moments(connection, question, [grouping])
        assert {k: v.tolist() for k, v in together.keys.items()} == {k: v.tolist() for k, v in alone.keys.items()}
        assert together.n.tolist() == alone.n.tolist()
        for name, means in alone.means.items():
            np.testing.assert_allclose(together.means[name], means, rtol=1e-12)
        for name in ("x", "other"):
            np.testing.assert_allclose(together.product(name, name), alone.product(name, name), rtol=1e-12)


def test_sets_keep_cells_few_and_are_about_as_large():
    levels = {"arm": 3, "a": 6, "b": 5, "c": 4, "d": 4, "e": 3, "f": 3, "g": 2, "h": 2}
    by = [("arm",), *(("arm", name) for name in levels if name != "arm")]
    sets = _packed(by, levels)
    keys = [{key for grouping in groupings for key in grouping} for groupings in sets]
    assert sorted(grouping for groupings in sets for grouping in groupings) == sorted(by)
    sizes = [math.prod(levels[key] for key in each) for each in keys]
    assert (len(sets), max(sizes) <= CELLS_MAX, max(sizes) < 2 * min(sizes)) == (2, True, True)


def test_a_grouping_that_is_too_large_for_any_set_stands_alone():
    sets = _packed([("arm",), ("arm", "day"), ("arm", "zone")], {"arm": 3, "day": CELLS_MAX, "zone": 2})
    assert [("arm", "day")] in sets


def test_extremes_are_numpys(connection):
    table(connection, x=HARD["sorted"])
    least, most = extremes(connection, asked("x"), "arm")
    arms = ("card", "control", "letter")
    assert least["x"].tolist() == [HARD["sorted"][arm == ARM].min() for arm in arms]
    assert most["x"].tolist() == [HARD["sorted"][arm == ARM].max() for arm in arms]


def test_a_table_of_no_rows_has_no_cells(connection):
    connection.execute("CREATE TABLE t (arm VARCHAR, x DOUBLE)")
    assert [len(cells) for cells in moments(connection, asked("x"), [("arm",), ()])] == [0, 0]
