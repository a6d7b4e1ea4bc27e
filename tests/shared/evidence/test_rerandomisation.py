"""Re-randomisation against numpy on the same split, scipy's Welch test, and tests that are known to be broken."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from shared.stats.rerandomisation import CONTROL, TREATED, coins, p_values, splits

TIMES, SEED = 2_000, 7
PAIRS = [("a", "a"), ("b", "b"), ("a", "b")]


def batches(columns, rows):
    units = len(next(iter(columns.values())))
    for start in range(0, units, rows):
        yield {name: values[start : start + rows] for name, values in columns.items()}


def two_columns(units):
    rng = np.random.default_rng(1)
    # Far from zero and hardly varying: what naive sums of squares would lose.
    return {"a": 1e7 + rng.normal(size=units), "b": rng.lognormal(0, 1, units)}


def rate(values, draw, alpha=0.05):
    cells = splits([{"x": values}], {"x": values.mean()}, [("x", "x")], draw)
    return float(np.mean(p_values(cells, "x") <= alpha))


@pytest.mark.parametrize("frac", [0.5, 0.3])
def test_moments_of_every_split_are_those_that_numpy_finds_in_its_units(frac):
    columns, times = two_columns(1_000), 70
    means = {name: values.mean() for name, values in columns.items()}
    cells = splits(batches(columns, 128), means, PAIRS, coins(times, frac, SEED))
    treated = coins(times, frac, SEED)(1_000).astype(bool)
    assert treated.mean() == pytest.approx(frac, abs=0.01)
    for split in range(times):
        for arm, chosen in ((TREATED, treated[:, split]), (CONTROL, ~treated[:, split])):
            cell = cells.of(arm=arm, split=split)
            a, b = columns["a"][chosen], columns["b"][chosen]
            assert cell.n.tolist() == [chosen.sum()]
            assert cell.means["a"][0] == pytest.approx(a.mean(), rel=1e-14)
            assert cell.means["b"][0] == pytest.approx(b.mean(), rel=1e-12)
            co = np.cov(a, b, ddof=0) * len(a)
            assert cell.product("a", "a")[0] == pytest.approx(co[0, 0], rel=1e-7)
            assert cell.product("b", "b")[0] == pytest.approx(co[1, 1], rel=1e-11)
            assert cell.product("b", "a")[0] == pytest.approx(co[0, 1], rel=1e-7, abs=1e-5)


def test_splits_do_not_depend_on_how_units_come_in_batches():
    whole = coins(70, 0.3, SEED)(100)
    draw = coins(70, 0.3, SEED)
    assert np.array_equal(np.vstack([draw(33), draw(67)]), whole)
    fair = coins(70, 0.5, SEED)
    assert np.array_equal(np.vstack([fair(1), fair(99)]), coins(70, 0.5, SEED)(100))
    assert not np.array_equal(coins(70, 0.5, SEED + 1)(100), coins(70, 0.5, SEED)(100))


def test_p_values_are_those_of_scipys_welch_test():
    values, times = two_columns(500)["b"], 50
    cells = splits([{"b": values}], {"b": values.mean()}, [("b", "b")], coins(times, 0.3, SEED))
    treated = coins(times, 0.3, SEED)(500).astype(bool)
    expected = [stats.ttest_ind(values[t], values[~t], equal_var=False).pvalue for t in treated.T]
    assert p_values(cells, "b") == pytest.approx(expected, rel=1e-9)


def test_p_values_of_a_ratio_are_those_of_scipys_welch_test_on_its_linearised_units():
    columns, times = {"a": two_columns(500)["a"] - 1e7, "b": two_columns(500)["b"]}, 50
    cells = splits([columns], {"a": 0.0, "b": 1.0}, PAIRS, coins(times, 0.5, SEED))
    treated = coins(times, 0.5, SEED)(500).astype(bool)

    def linearised(chosen):  # Deng, Knoblich and Lu 2018, eq. 4
        a, b = columns["a"][chosen], columns["b"][chosen]
        ratio = a.sum() / b.sum()
        return ratio + (a - ratio * b) / b.mean()

    expected = [stats.ttest_ind(linearised(t), linearised(~t), equal_var=False).pvalue for t in treated.T]
    assert p_values(cells, "a", "b") == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(2).normal(size=2_000),
        (np.random.default_rng(3).random(2_000) < 0.1).astype(float),
        np.random.default_rng(4).poisson(3, 2_000).astype(float),
    ],
    ids=["normal", "share", "count"],
)
def test_a_sound_test_is_wrong_as_often_as_it_says(values):
    # Three standard errors of 2,000 splits around alpha.
    assert rate(values, coins(TIMES, 0.5, SEED)) == pytest.approx(0.05, abs=3 * (0.05 * 0.95 / TIMES) ** 0.5)


def test_units_finer_than_what_was_drawn_raise_false_alarms():
    """Every unit counts twice and moves with its double: the test believes in twice the units that there are.

    Its z is then sqrt(2) too large, and 2 * (1 - Phi(1.96 / sqrt(2))) = 16.6 % of all splits pass 1.96.
    """
    households = coins(TIMES, 0.5, SEED)
    values = np.repeat(np.random.default_rng(2).normal(size=2_000), 2)
    found = rate(values, lambda units: np.repeat(households(units // 2), 2, axis=0))
    expected = 2 * stats.norm.sf(stats.norm.isf(0.025) / 2**0.5)
    assert found == pytest.approx(expected, abs=3 * (expected * (1 - expected) / TIMES) ** 0.5)


def test_a_skewed_metric_in_a_small_arm_comes_out_as_it_is():
    values = np.random.default_rng(3).lognormal(0, 1.5, 200)
    assert rate(values, coins(TIMES, 0.1, SEED)) > 0.1  # the t-test's known weakness in small arms
    assert rate(values, coins(TIMES, 0.5, SEED)) < 0.06


def test_where_the_test_has_no_answer_there_is_none():
    few = coins(200, 0.5, SEED)
    lonely = splits([{"x": np.array([1.0, 2.0, 4.0])}], {"x": 2.0}, [("x", "x")], few)
    assert np.isnan(p_values(lonely, "x")).all()  # one arm always has fewer than two of three units
    same = splits([{"x": np.ones(100)}], {"x": 1.0}, [("x", "x")], few)
    assert np.isnan(p_values(same, "x")).all()
    rng = np.random.default_rng(5)
    around_zero = {"a": rng.normal(size=100), "b": rng.normal(size=100)}
    assert np.isnan(p_values(splits([around_zero], {"a": 0.0, "b": 0.0}, PAIRS, few), "a", "b")).mean() > 0.9
