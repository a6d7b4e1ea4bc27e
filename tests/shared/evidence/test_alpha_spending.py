"""Spending: boundaries are those of published tables and of scipy's multivariate normal distribution."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import multivariate_normal, norm

from shared.stats.alpha_spending import Schedule

FIVE = ((0.2, 0.4, 0.6, 0.8, 1.0), (200.0, 400.0, 600.0, 800.0, 1_000.0))
UNEVEN = ((0.15, 0.5, 0.6, 1.0), (100.0, 700.0, 750.0, 2_000.0))
KINDS = ("obrien_fleming", "pocock")


def plan(looks=FIVE, spending="obrien_fleming", sides=2):
    return Schedule(*looks, spending, sides)


def crossing(bounds, information, sides):
    """The chance that any look crosses, by scipy's integration over a box of correlated normals."""
    i = np.asarray(information)
    correlations = np.sqrt(np.minimum.outer(i, i) / np.maximum.outer(i, i))
    low = np.full(len(bounds), -np.inf) if sides == 1 else -np.asarray(bounds)
    inside = multivariate_normal(cov=correlations, abseps=1e-6, releps=1e-6)
    return 1 - inside.cdf(np.asarray(bounds), lower_limit=low, rng=np.random.default_rng(1))


@pytest.mark.parametrize(
    ("spending", "published"),
    [
        # Five equal looks, two-sided .05, as in Lan and DeMets' programs and the R packages ldbounds and gsDesign
        # (sfLDOF, sfLDPocock).
        ("obrien_fleming", (4.877, 3.357, 2.680, 2.290, 2.031)),
        ("pocock", (2.438, 2.427, 2.410, 2.397, 2.386)),
    ],
)
def test_the_boundaries_of_five_equal_looks_are_the_published_ones(spending, published):
    assert plan(spending=spending).boundaries(0.05) == pytest.approx(published, abs=6e-4)


def test_the_last_of_two_looks_halfway_is_the_published_one():
    # gsDesign(k = 2, test.type = 2, sfu = sfLDOF) at one-sided .025: 2.963 and 1.969.
    half = plan(((0.5, 1.0), (1.0, 2.0)))
    assert half.boundaries(0.05) == pytest.approx((2.963, 1.969), abs=6e-4)


@pytest.mark.parametrize("spending", KINDS)
@pytest.mark.parametrize("sides", [1, 2])
@pytest.mark.parametrize("looks", [FIVE, UNEVEN])
@pytest.mark.parametrize("alpha", [0.05, *(pytest.param(alpha, marks=pytest.mark.proof) for alpha in (0.3, 0.001))])
def test_each_look_spends_its_part_by_scipys_multivariate_normal(spending, sides, looks, alpha):
    of = plan(looks, spending, sides)
    bounds, spent = of.boundaries(alpha), of.spent(alpha)
    for k in range(1, len(bounds) + 1):
        assert crossing(bounds[:k], looks[1][:k], sides) == pytest.approx(spent[k - 1], abs=5e-6)


def test_what_is_spent_is_lan_and_demets_functions():
    # Lan and DeMets 1983, alpha_1* and alpha_2*, each side with half of a two-sided alpha.
    t = np.asarray(FIVE[0])
    expected = 4 * norm.sf(norm.isf(0.05 / 4) / np.sqrt(t))
    assert plan().spent(0.05) == pytest.approx(expected, rel=1e-12)
    assert plan(sides=1).spent(0.05) == pytest.approx(2 * norm.sf(norm.isf(0.05 / 2) / np.sqrt(t)), rel=1e-12)
    assert plan(spending="pocock").spent(0.05) == pytest.approx(0.05 * np.log(1 + (math.e - 1) * t), rel=1e-12)
    assert plan().spent(0.05)[-1] == pytest.approx(0.05)


@pytest.mark.parametrize("spending", KINDS)
@pytest.mark.parametrize("sides", [1, 2])
def test_the_p_value_is_the_alpha_at_which_a_look_crosses(spending, sides):
    of = plan(UNEVEN, spending, sides)
    for alpha in (0.2, 0.05, 0.01, 1e-4):
        bounds = of.boundaries(alpha)
        for k in range(len(bounds)):
            z = np.full((len(bounds), 1), np.nan)
            z[k] = bounds[k]
            assert of.levels(z)[-1, 0] == pytest.approx(alpha, abs=2e-6, rel=1e-3)


def test_the_p_value_is_that_of_the_look_that_crosses_first_as_alpha_grows():
    of, bounds = plan(), plan().boundaries(0.03)
    z = np.column_stack([bounds * (1, 0.9, 0.9, 0.9, 0.9), bounds * (0.9, 0.9, 0.9, 0.9, 1)])
    assert of.levels(z)[-1] == pytest.approx([0.03, 0.03], abs=2e-6)


@pytest.mark.parametrize("spending", KINDS)
@pytest.mark.parametrize("sides", [1, 2])
def test_far_out_a_p_value_is_small_and_not_none(spending, sides):
    z = np.repeat([[8.0, 12.0, 20.0, 30.0]], 5, axis=0)
    p = plan(spending=spending, sides=sides).levels(z)[-1]
    nominal = sides * norm.sf(z[0])
    # Never below one look's own tail, and never above what Bonferroni's bound makes of it.
    assert (p >= nominal).all()
    assert (p <= 20 * nominal).all()
    assert (np.diff(p) < 0).all()


@pytest.mark.parametrize("sides", [1, 2])
def test_what_could_not_be_evaluated_has_not_crossed(sides):
    of = plan(sides=sides)
    silent, low = np.full((5, 1), np.nan), np.full((5, 1), np.nan)
    silent[4], low[4] = 2.0, 2.0
    low[:4] = -1.0 if sides == 1 else 0.0
    assert of.levels(silent)[-1] == of.levels(low)[-1]


@pytest.mark.parametrize(
    "information", [(5, 5, 5, 5, 5), (0, 0, 0, 0, 9), (5, 4, 3, 2, 1), (100, 100.1, 900, 900, 901)]
)
@pytest.mark.parametrize("spending", KINDS)
def test_looks_without_new_units_keep_alpha(spending, information):
    """Where the information stands still, estimates may still move: whatever goes together, alpha is kept."""
    of = plan((FIVE[0], tuple(map(float, information))), spending)
    bounds = of.boundaries(0.05)
    assert np.isfinite(bounds).all()
    # Each look's own tail and no more: never above alpha by Bonferroni, and at least what the looks would have alone.
    own = 2 * norm.sf(bounds)
    parts = np.diff(of.spent(0.05), prepend=0)
    fresh = [True, *(now - before >= 0.005 * now for before, now in pairwise(information))]
    stale = ~np.asarray(fresh)
    assert own[stale] == pytest.approx(parts[stale], rel=1e-9)
    assert of.boundaries(0.05)[0] == pytest.approx(norm.isf(parts[0] / 2))


@settings(max_examples=25, deadline=None)
@given(
    steps=st.lists(st.floats(0.02, 1), min_size=2, max_size=7),
    units=st.lists(st.floats(1, 1000), min_size=7, max_size=7),
    spending=st.sampled_from(KINDS),
    sides=st.sampled_from([1, 2]),
)
def test_less_alpha_never_makes_a_boundary_nearer(steps, units, spending, sides):
    """So that rejection at one level is rejection at every larger one, and a p-value says all."""
    shares = np.cumsum(steps) / sum(steps)
    of = Schedule((*shares[:-1].tolist(), 1.0), tuple(np.cumsum(units[: len(steps)]).tolist()), spending, sides)
    bounds = np.array([of.boundaries(alpha) for alpha in (0.3 * sides, 0.2, 0.1, 0.05, 0.01, 1e-3, 1e-6)])
    assert (np.diff(bounds, axis=0) > -1e-9).all()
    z = np.full((len(steps), 1), np.nan)
    z[-1] = bounds[2, -1]
    assert of.levels(z)[-1, 0] == pytest.approx(0.1, abs=1e-5)


@pytest.mark.parametrize(
    ("spending", "alpha", "wanted", "inflation"),
    [
        # Jennison and Turnbull 2000 tabulate the inflation of O'Brien and Fleming's and of Pocock's own tests (tables
        # 2.2 and 2.4: for five looks 1.028 and 1.229 at .05 and power .8, 1.026 and 1.207 at .9), which the spending
        # functions imitate to within about .02.
        ("obrien_fleming", 0.05, 0.8, 1.028),
        ("obrien_fleming", 0.05, 0.9, 1.026),
        ("pocock", 0.05, 0.8, 1.229),
        ("pocock", 0.05, 0.9, 1.207),
    ],
)
def test_the_sample_grows_by_the_published_factor(spending, alpha, wanted, inflation):
    fixed = norm.isf(alpha / 2) + norm.ppf(wanted)
    power = plan(spending=spending).power(fixed * math.sqrt(inflation), alpha)
    assert power == pytest.approx(wanted, abs=0.007)


@pytest.mark.parametrize("spending", KINDS)
@pytest.mark.parametrize("sides", [1, 2])
def test_the_power_is_that_of_scipys_multivariate_normal(spending, sides):
    of = plan(UNEVEN, spending, sides)
    i = np.asarray(UNEVEN[1])
    correlations = np.sqrt(np.minimum.outer(i, i) / np.maximum.outer(i, i))
    bounds = of.boundaries(0.05)
    low = np.full(4, -np.inf) if sides == 1 else -bounds
    for drift in (0.0, 1.5, 3.0):
        inside = multivariate_normal(mean=drift * np.sqrt(i / i[-1]), cov=correlations, abseps=1e-6, releps=1e-6)
        expected = 1 - inside.cdf(bounds, lower_limit=low, rng=np.random.default_rng(2))
        assert of.power(drift, 0.05) == pytest.approx(expected, abs=2e-5)


@pytest.mark.check
@pytest.mark.parametrize("spending", KINDS)
@pytest.mark.parametrize("sides", [2, pytest.param(1, marks=pytest.mark.proof)])
def test_fifty_looks_have_boundaries_and_p_values(spending, sides):
    shares = tuple((np.arange(50) + 1.0) / 50)
    of = Schedule(shares, tuple(1_000 * s for s in shares), spending, sides)
    # A Brownian motion's 50 looks, crossing as often as alpha says; by simulation.
    paths = np.random.default_rng(3).standard_normal((50, 40_000)).cumsum(axis=0)
    z = paths / np.sqrt(np.arange(1, 51))[:, None]
    z = np.abs(z) if sides == 2 else z
    crossed = (z >= of.boundaries(0.05)[:, None]).any(axis=0)
    assert crossed.mean() == pytest.approx(0.05, abs=3 * math.sqrt(0.05 * 0.95 / 40_000))
    p = of.levels(z)[-1]
    assert ((p <= 0.05) == crossed).mean() > 1 - 1e-4
    for alpha in (0.5, 0.2, 0.01):
        assert (p <= alpha).mean() == pytest.approx(alpha, abs=3 * math.sqrt(alpha * (1 - alpha) / 40_000))
