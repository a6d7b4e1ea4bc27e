"""Moments: merging, and the variance that a naive sum of squares loses."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.stats.summaries import Moments

NONE = Moments(n=0, mean=0.0, m2=0.0)
samples = st.lists(st.floats(-1e6, 1e6), max_size=30)


def of(values):
    """Moments by numpy: the mean, and the sum of squared deviations from it."""
    array = np.asarray(values, dtype=float)
    if not array.size:
        return NONE
    return Moments(n=array.size, mean=float(array.mean()), m2=float(((array - array.mean()) ** 2).sum()))


def same(one, other):
    scale = max(1.0, abs(one.mean))
    return (
        one.n == other.n
        and math.isclose(one.mean, other.mean, rel_tol=1e-9, abs_tol=1e-6)
        and math.isclose(one.m2, other.m2, rel_tol=1e-9, abs_tol=1e-6 * scale)
    )


@given(samples, samples)
def test_merged_moments_are_the_moments_of_the_union(one, other):
    assert same(of(one).merge(of(other)), of(one + other))


@given(samples, samples)
def test_merging_does_not_depend_on_the_order(one, other):
    assert same(of(one).merge(of(other)), of(other).merge(of(one)))


@given(samples, samples, samples)
def test_merging_does_not_depend_on_the_grouping(one, two, three):
    assert same(of(one).merge(of(two)).merge(of(three)), of(one).merge(of(two).merge(of(three))))


@given(samples)
def test_merging_with_nobody_changes_nothing(values):
    assert of(values).merge(NONE) == of(values) == NONE.merge(of(values))


def test_merged_moments_keep_a_small_variance_around_a_huge_mean():
    halves = [of([1e9 - 2.0, 1e9 + 2.0] * 500), of([1e9 - 2.0, 1e9 + 2.0] * 500)]
    assert halves[0].merge(halves[1]).m2 / 2000 == pytest.approx(4.0, rel=1e-12)


@pytest.mark.parametrize(("mean", "m2"), [(math.nan, 1.0), (math.inf, 1.0), (1.0, math.nan), (1.0, math.inf)])
def test_moments_of_values_without_end_are_not_finite(mean, m2):
    assert not Moments(n=2, mean=mean, m2=m2).finite


def test_moments_of_numbers_are_finite():
    assert of([1.0, 2.0]).finite
