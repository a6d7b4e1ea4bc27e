"""Lee's bounds against a small implementation of their own, by weights, and by hand."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.engines.by_arm_queries import excess, trimmed_mean


def test_the_excess_is_the_share_to_be_trimmed_for_both_to_have_kept_as_much():
    """Lee 2009, prop. 1a: p0 = (.95 - .76) / .95."""
    assert excess(0.95, 0.76) == pytest.approx(0.2)
    assert excess(0.76, 0.95) == 0.0
    assert excess(0.0, 0.5) == 0.0


def weighted(values, frac):
    """The mean with so much of the weight taken from the front, a value at a time."""
    gone, kept = frac * len(values), []
    for _ in values:
        kept.append(1 - min(1.0, max(gone, 0.0)))
        gone -= 1
    return math.fsum(w * v for w, v in zip(kept, values, strict=True)) / math.fsum(kept)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.floats(0, 0.9))
def test_a_trimmed_mean_takes_whole_values_and_of_the_next_one_a_part(values, frac):
    ordered = sorted(values)
    whole = int(frac * len(values))
    cut, edge = math.fsum(ordered[:whole]), ordered[whole]
    found = trimmed_mean(len(values), math.fsum(values), frac, cut, edge)
    assert found == pytest.approx(weighted(ordered, frac), rel=1e-6, abs=1e-3)
