"""Adjustments for several tests, against statsmodels and hand arithmetic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from shared.stats.multiplicity import benjamini_hochberg, corrected_power, holm

families = st.lists(st.floats(0, 1), min_size=1, max_size=8)
METHODS = [(holm, "holm"), (benjamini_hochberg, "fdr_bh")]


@pytest.fixture(scope="module", autouse=True)
def _no_collection():
    """statsmodels collects garbage at every Holm adjustment: half a second each beside what other tests have loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gc.collect", lambda: 0)
        yield


@pytest.mark.parametrize(("adjust", "method"), METHODS)
@given(p_values=families)
def test_adjusted_p_values_are_statsmodels(adjust, method, p_values):
    expected = multipletests(p_values, method=method)[1]
    assert adjust(p_values).tolist() == pytest.approx(expected.tolist(), rel=1e-12, abs=1e-300)


def test_holms_adjustment_by_hand():
    # Three tests: 3 x .01, then 2 x .03, then the running maximum over 1 x .04.
    assert holm([0.04, 0.01, 0.03]).tolist() == pytest.approx([0.06, 0.03, 0.06])


def test_benjamini_and_hochbergs_adjustment_by_hand():
    # Four tests: from the largest, 4/4 x .5, then 4/3 x .04, 4/2 x .03, which is more, and 4/1 x .005.
    assert benjamini_hochberg([0.03, 0.5, 0.005, 0.04]).tolist() == pytest.approx([0.16 / 3, 0.5, 0.02, 0.16 / 3])


@pytest.mark.parametrize(("adjust", "method"), METHODS)
@given(p_values=families, gaps=st.integers(1, 3))
def test_what_has_no_p_value_keeps_its_place_and_gets_none(adjust, method, p_values, gaps):
    found = adjust([*p_values, *[math.nan] * gaps])
    expected = multipletests([*p_values, *[1.0] * gaps], method=method)[1][: len(p_values)]
    assert found[: len(p_values)].tolist() == pytest.approx(expected.tolist(), rel=1e-12, abs=1e-300)
    assert np.isnan(found[len(p_values) :]).all()


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_each_row_is_a_family_of_its_own(adjust):
    rows = np.random.default_rng(3).random((4, 50, 5))
    rows[0, 0, 0] = math.nan
    alone = [[adjust(row).tolist() for row in block] for block in rows]
    assert np.array_equal(adjust(rows), np.array(alone), equal_nan=True)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
def test_nothing_adjusted_is_nothing(adjust):
    assert adjust([]).tolist() == []


@pytest.mark.parametrize(
    ("power", "guardrails", "expected"), [(0.8, 0, 0.8), (0.8, 1, 0.9), (0.8, 3, 0.95), (0.9, 4, 0.98)]
)
def test_the_chance_to_miss_is_split_among_the_tests_by_hand(power, guardrails, expected):
    assert corrected_power(power, guardrails) == pytest.approx(expected)


def test_with_that_power_each_all_tests_pass_together_with_the_wanted_one():
    # 200,000 simulated decisions on four independent normal tests, one two-sided and three one-sided at 5 %.
    rng, each = np.random.default_rng(20260305), corrected_power(0.8, 3)
    primary = rng.normal(norm.ppf(0.975) + norm.ppf(each), 1, 200_000) > norm.ppf(0.975)
    rails = rng.normal(norm.ppf(0.95) + norm.ppf(each), 1, (200_000, 3)) > norm.ppf(0.95)
    assert 0.8 <= np.mean(primary & rails.all(axis=1)) == pytest.approx(each**4, abs=0.004)
