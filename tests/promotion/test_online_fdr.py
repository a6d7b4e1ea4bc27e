"""Levels against numbers that others published, and laws that make them a bound."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import zeta

from promotion.registry.online_fdr import GAMMA_EXPONENT, GAMMA_SCALE, gamma, level, wealth

# The example of onlineFDR's `LORD(sample.df, random=FALSE)` (Robertson et al. 2019, its reference page): bound 0.05,
# initial wealth 0.005; p-values, levels, discoveries.
PUBLISHED = [
    (2.90e-08, 0.0002675839, True),
    (0.06743, 0.0024664457, False),
    (0.01514, 0.0005732818, False),
    (0.08174, 0.0004872805, False),
    (0.00171, 0.0004059066, False),
    (3.60e-05, 0.0003447286, True),
    (0.79149, 0.0029745013, False),
    (0.27201, 0.0008450114, False),
    (0.28295, 0.0007305648, False),
    (7.59e-08, 0.0006243143, True),
    (0.69274, 0.0032185913, False),
    (0.30443, 0.0010617227, False),
    (0.00136, 0.0009256825, False),
    (0.72342, 0.0008019657, False),
    (0.54757, 0.0007059610, False),
]


def theirs(place):
    """Javanmard and Montanari (2018), eq. 31, by onlineFDR's constant."""
    return 0.07720838 * math.log(max(place, 2)) / (place * math.exp(math.sqrt(math.log(place))))


def test_levels_are_those_of_a_published_example():
    known = []
    for place, (p, published, discovery) in enumerate(PUBLISHED, start=1):
        found = level(place, known, bound=0.05, initial=0.005, by=theirs)
        assert found == pytest.approx(published, abs=5e-11)
        assert (p <= found) is discovery
        if discovery:
            known.append(place)


def test_by_hand_the_first_levels_are_shares_of_half_the_bound_and_of_each_reward():
    first = 1 / zeta(1.6)
    assert level(1, [], bound=0.2) == pytest.approx(0.1 * first)
    assert level(3, [], bound=0.2) == pytest.approx(0.1 * first * 3**-1.6)
    # The first discovery brings the other half; the second one, known when five tests had begun, all of the bound.
    want = 0.1 * first * 7**-1.6 + 0.1 * first * 5**-1.6 + 0.2 * first * 2**-1.6
    assert level(7, [2, 5], bound=0.2) == pytest.approx(want)


def test_the_shares_of_a_reward_sum_to_one():
    assert pytest.approx(1 / zeta(GAMMA_EXPONENT), abs=1e-10) == GAMMA_SCALE
    assert sum(map(gamma, range(1, 100_000))) < 1


@given(
    st.floats(0.01, 0.5),
    st.lists(st.tuples(st.booleans(), st.integers(0, 5)), min_size=1, max_size=60),
)
def test_all_levels_together_never_exceed_the_bound_times_the_discoveries(bound, tests):
    """Whatever is discovered, and however long after its test began: the estimate that LORD++ keeps below its bound."""
    spent, known, pending = 0.0, [], []
    for place, (discovered, lag) in enumerate(tests, start=1):
        known += [place - 1 for due in pending if due < place]
        pending = [due for due in pending if due >= place]
        spent += level(place, known, bound=bound)
        if discovered:
            pending.append(place + lag)
        assert spent <= bound * max(1, len(known)) + 1e-12
        assert wealth([spent], len(known), bound) >= -1e-12
