"""Cells: a union's moments are the merged ones, whatever the split, against numpy over all rows."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.stats.moments import Cells, pair

COLUMNS = ("x", "y")
PAIRS = (("x", "x"), ("x", "y"), ("y", "y"))
numbers = st.one_of(st.floats(-1e6, 1e6), st.sampled_from([0.0, 1.0, 1e9 + 0.5, 9.99]))
rows = st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["u", "v", None]), numbers, numbers), max_size=40)


def of(table, *by):
    """Cells by numpy: in the order of their keys' first rows."""
    groups = {}
    for row in table:
        groups.setdefault(tuple(row[("arm", "level").index(key)] for key in by), []).append(row[2:])
    arrays = [np.array(members, dtype=float) for members in groups.values()]
    with np.errstate(invalid="ignore"):
        apart = [array - array.mean(axis=0) for array in arrays]
    keys = {}
    for at, key in enumerate(by):
        keys[key] = np.empty(len(groups), dtype=object)
        keys[key][:] = [told[at] for told in groups]
    column = {name: at for at, name in enumerate(COLUMNS)}
    return Cells(
        keys=keys,
        n=np.array([len(array) for array in arrays], dtype=np.int64),
        means={name: np.array([a[:, at].mean() for a in arrays]) for name, at in column.items()},
        products={(a, b): np.array([d[:, column[a]] @ d[:, column[b]] for d in apart]) for a, b in PAIRS},
        least={"x": np.array([a[:, 0].min() for a in arrays])},
        most={"x": np.array([a[:, 0].max() for a in arrays])},
    )


def assert_same(one, other):
    assert {key: values.tolist() for key, values in one.keys.items()} == {
        key: values.tolist() for key, values in other.keys.items()
    }
    assert one.n.tolist() == other.n.tolist()
    for name, values in one.means.items():
        np.testing.assert_allclose(values, other.means[name], rtol=1e-9, atol=1e-6)
    for (a, b), values in one.products.items():
        size = np.sqrt(other.product(a, a) * other.product(b, b))
        # What numpy's own sums around a mean of a billion leave of a constant.
        left = 1e-14 * other.n * (np.abs(other.means[a] * other.means[b]) + 1)
        assert (np.abs(values - other.products[a, b]) <= 1e-9 * size + left).all()
    for mine, theirs in ((one.least, other.least), (one.most, other.most)):
        assert {name: values.tolist() for name, values in mine.items()} == {n: v.tolist() for n, v in theirs.items()}


@given(rows, st.sampled_from([(), ("arm",), ("level",), ("level", "arm")]))
def test_merged_cells_are_the_cells_of_the_union(table, by):
    assert_same(of(table, "arm", "level").merged(*by), of(table, *by))


@given(st.lists(rows, min_size=1, max_size=5))
def test_parts_of_any_split_join_and_merge_to_the_whole(parts):
    first, *others = (of(part, "arm", "level") for part in parts)
    whole = [row for part in parts for row in part]
    assert_same(first.joined(others).merged("arm"), of(whole, "arm"))


@given(rows)
def test_merging_in_two_steps_is_merging_in_one(table):
    cells = of(table, "arm", "level")
    assert_same(cells.merged("arm").merged(), cells.merged())


def test_a_cell_of_nobody_changes_nothing():
    nobody = Cells(
        {"arm": np.array(["a"], dtype=object)},
        np.array([0], dtype=np.int64),
        {name: np.array([math.nan]) for name in COLUMNS},
        {each: np.array([math.nan]) for each in PAIRS},
        {"x": np.array([math.nan])},
        {"x": np.array([math.nan])},
    )
    some = of([("a", None, 1.0, 2.0), ("a", None, 3.0, 5.0)], "arm")
    assert_same(nobody.joined([some]).merged("arm"), some)
    assert_same(some.joined([nobody]).merged("arm"), some)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_in_one_cell_is_not_finite_in_the_union(value):
    cells = of([("a", "u", value, 1.0), ("a", "v", 2.0, 4.0), ("b", "u", 1.0, 1.0)], "arm", "level").merged("arm")
    assert not np.isfinite(cells.means["x"][0])
    assert not np.isfinite(cells.product("x", "x")[0])
    assert np.isfinite(cells.means["x"][1])
    assert cells.means["y"].tolist() == [2.5, 1.0]


def test_a_constant_has_no_variance_in_any_union():
    cells = Cells({}, np.array([7, 3, 11]), {"x": np.full(3, 0.1)}, {("x", "x"): np.zeros(3)}, {}, {})
    merged = cells.merged()
    assert (merged.means["x"].tolist(), merged.product("x", "x").tolist()) == ([0.1], [0.0])


def test_cells_are_chosen_by_their_keys_and_none_is_a_value_too():
    cells = of([("a", None, 1.0, 0.0), ("b", None, 2.0, 0.0), ("b", "u", 3.0, 0.0)], "arm", "level")
    assert cells.of(arm="b", level=None).means["x"].tolist() == [2.0]


def test_a_product_has_one_name_whichever_way_round():
    assert pair("y", "x") == pair("x", "y") == ("x", "y")


def test_many_cells_merge_like_few():
    # 60,000 cells, each of one row, merge to what numpy says of all rows.
    x = np.random.default_rng(4).normal(5.0, 2.0, 60_000)
    ones = np.arange(x.size).astype(object)
    cells = Cells({"row": ones}, np.ones(x.size, np.int64), {"x": x}, {("x", "x"): np.zeros(x.size)}, {}, {})
    merged = cells.merged()
    assert merged.means["x"][0] == pytest.approx(x.mean(), rel=1e-12)
    assert merged.product("x", "x")[0] == pytest.approx(((x - x.mean()) ** 2).sum(), rel=1e-12)
