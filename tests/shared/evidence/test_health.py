"""Health: the joint sample-ratio test against scipy, and what cannot be evaluated."""

from __future__ import annotations

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chisquare

from shared.evidence.health import sample_ratio
from shared.evidence.model import SampleRatio

NOTHING = SampleRatio(chi2=None, p=None, deviation=None)
HALVES = {"a": 0.5, "b": 0.5}


@given(st.lists(st.tuples(st.integers(0, 10_000), st.integers(1, 20)), min_size=2, max_size=5))
def test_the_joint_chi_square_is_scipys(arms):
    units = {str(number): count for number, (count, _) in enumerate(arms)}
    total, weights = sum(units.values()), sum(weight for _, weight in arms)
    assume(total)
    planned = {str(number): weight / weights for number, (_, weight) in enumerate(arms)}
    expected = chisquare(list(units.values()), [total * share for share in planned.values()])
    found = sample_ratio(units, planned)
    assert (found.chi2, found.p) == pytest.approx((expected.statistic, expected.pvalue), rel=1e-9, abs=1e-300)


def test_the_published_split_of_a_real_experiment_is_no_mismatch():
    # Hillstrom (2008): 21,306, 21,307 and 21,387 units for three equal arms; the p-value is scipy's.
    units = {"control": 21306, "mens": 21307, "womens": 21387}
    found = sample_ratio(units, dict.fromkeys(units, 1 / 3))
    assert found.p == pytest.approx(chisquare(list(units.values())).pvalue, rel=1e-9)


def test_the_deviation_is_the_largest_by_hand():
    # 60 of 100 where 50 were planned.
    assert sample_ratio({"a": 60, "b": 40}, HALVES).deviation == pytest.approx(0.1)


def test_units_as_planned_are_no_mismatch():
    assert sample_ratio({"a": 500, "b": 500}, HALVES) == SampleRatio(chi2=0.0, p=1.0, deviation=0.0)


def test_a_planned_arm_without_units_counts_as_zero_by_scipy():
    assert sample_ratio({"a": 100}, HALVES).p == pytest.approx(chisquare([100, 0]).pvalue, rel=1e-9)


def test_a_mismatch_far_out_has_a_small_p_that_is_not_zero():
    assert 0 < sample_ratio({"a": 6000, "b": 5000}, HALVES).p < 1e-20


@pytest.mark.parametrize("units", [{}, {"a": 0, "b": 0}])
def test_no_units_cannot_be_evaluated(units):
    assert sample_ratio(units, HALVES) == NOTHING


@pytest.mark.parametrize("units", [{"a": 50, "b": 50, "x": 1}, {"a": 50, "x": 50}, {"x": 100}])
def test_units_in_an_arm_that_was_not_planned_cannot_be_evaluated(units):
    assert sample_ratio(units, HALVES) == NOTHING


def test_a_single_arm_cannot_be_evaluated():
    assert sample_ratio({"a": 100}, {"a": 1.0}) == NOTHING
