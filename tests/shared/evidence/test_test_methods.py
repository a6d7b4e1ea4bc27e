"""Test methods: each says what the charter's looks ask for, of all effects at once."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest
from scipy.stats import multivariate_normal, norm, t, ttest_ind_from_stats

from shared.experiment.sample_plan import SamplePlan
from shared.stats.alpha_spending import Schedule
from shared.stats.test_methods import AlwaysValid, EveryLook, FixedHorizon, GroupSequential, method_of
from tests.proof import looking, sequential

SHARES, INFORMATION = (0.3, 0.6, 1.0), (3_000.0, 6_000.0, 10_000.0)
MANY = 1e9


@dataclass(frozen=True, slots=True)
class Found:
    """Effects as arrays."""

    estimate: np.ndarray
    se: np.ndarray
    df: np.ndarray


def effects(*z, se=1.0, df=MANY):
    return Found(np.array(z, dtype=float) * se, np.full(len(z), se), np.full(len(z), df))


def looked(*looks, spending="obrien_fleming"):
    """A test method after these looks, and the effects at the last of them."""
    k = len(looks)
    return GroupSequential(Schedule(SHARES[:k], INFORMATION[:k], spending), looks[:-1]), looks[-1]


def plan(looks, **changes):
    return SamplePlan.model_validate({"units_per_arm": 5_000, "looks": looks, **changes})


def test_one_look_is_scipys_welch_test():
    test = ttest_ind_from_stats(1.2, 3.0, 40, 0.1, 2.0, 55, equal_var=False)
    se = math.sqrt(9 / 40 + 4 / 55)
    df = se**4 / ((9 / 40) ** 2 / 39 + (4 / 55) ** 2 / 54)  # Welch 1947
    found = Found(np.array([1.1]), np.array([se]), np.array([df]))
    given = FixedHorizon()
    assert given.p_two_sided(found)[0] == pytest.approx(test.pvalue, rel=1e-12)
    assert given.half_width(found.se, found.df, 0.05)[0] == pytest.approx(se * t.isf(0.025, df))
    assert given.p_one_sided(found, 0.0, 1)[0] == pytest.approx(test.pvalue / 2)
    assert given.bound(found, 0.05, 1)[0] == pytest.approx(1.1 - se * t.isf(0.05, df))
    assert given.bound(found, 0.05, -1)[0] == pytest.approx(1.1 + se * t.isf(0.05, df))


def test_a_p_value_over_looks_is_the_alpha_at_which_scipys_multivariate_normal_has_them_crossed():
    """At the p-value as alpha, the present look's boundary is z, and scipy finds that the looks then spend it."""
    given, now = looked(effects(1.0, 0.2), effects(0.4, 1.1), effects(2.3, 2.6), spending="pocock")
    for p, z in zip(given.p_two_sided(now), now.estimate, strict=True):
        bounds = given.schedule.boundaries(float(p))
        assert bounds[-1] == pytest.approx(z, abs=1e-4)
        i = np.asarray(INFORMATION)
        joint = multivariate_normal(cov=np.sqrt(np.minimum.outer(i, i) / np.maximum.outer(i, i)))
        inside = joint.cdf(bounds, lower_limit=-bounds, rng=np.random.default_rng(1))
        assert 1 - inside == pytest.approx(p, abs=2e-5)


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
def test_an_interval_leaves_zero_out_exactly_where_the_present_look_crosses(spending):
    c = float(Schedule(SHARES, INFORMATION, spending).boundaries(0.05)[-1])
    given, now = looked(effects(0, 0), effects(0, 0), effects(c - 1e-3, c + 1e-3), spending=spending)
    low = now.estimate - given.half_width(now.se, now.df, 0.05)
    assert [bool(one) for one in low > 0] == [False, True]
    assert [bool(one) for one in given.p_two_sided(now) <= 0.05] == [False, True]


@pytest.mark.parametrize("spending", ["obrien_fleming", "pocock"])
def test_every_look_at_once_is_each_look_as_the_present_one(spending):
    z = np.random.default_rng(1).normal(1.5, 1, (3, 40))
    z[1, 7] = np.nan
    looks = [effects(*row, df=50) for row in z]
    together = EveryLook(Schedule(SHARES, INFORMATION, spending))
    found = Found(z, np.ones_like(z), np.full_like(z, 50))
    for k in range(3):
        alone, now = looked(*looks[: k + 1], spending=spending)
        for one, all_ in (
            (alone.p_two_sided(now), together.p_two_sided(found)[k]),
            (alone.p_one_sided(now, -0.3, 1), together.p_one_sided(found, -0.3, 1)[k]),
            (alone.half_width(now.se, now.df, 0.05), together.half_width(found.se, found.df, 0.05)[k]),
            (alone.bound(now, 0.05, -1), together.bound(found, 0.05, -1)[k]),
        ):
            assert one == pytest.approx(all_, abs=1e-9, nan_ok=True)


def test_what_crossed_at_an_earlier_look_has_crossed():
    given, now = looked(effects(6.0), effects(0.0), effects(0.0))
    first = GroupSequential(Schedule(SHARES[:1], INFORMATION[:1], "obrien_fleming"))
    assert given.p_two_sided(now) == first.p_two_sided(effects(6.0))
    # By hand, from O'Brien and Fleming's spending: 4 sf(z(p / 4) / sqrt(.3)) = 2 sf(6).
    assert given.p_two_sided(now) == pytest.approx(4 * norm.sf(norm.isf(norm.sf(6) / 2) * math.sqrt(0.3)), rel=1e-3)


def test_an_earlier_look_that_could_not_be_evaluated_has_not_crossed_and_keeps_its_place():
    silent = looked(effects(np.nan), effects(np.nan), effects(2.1))
    quiet = looked(effects(0.0), effects(0.0), effects(2.1))
    assert silent[0].p_two_sided(silent[1]) == quiet[0].p_two_sided(quiet[1])
    assert silent[0].half_width(1.0, MANY, 0.05) == quiet[0].half_width(1.0, MANY, 0.05)
    assert silent[0].p_two_sided(silent[1]) > FixedHorizon().p_two_sided(effects(2.1))


@pytest.mark.parametrize("given", [FixedHorizon(), looked(effects(0), effects(0))[0], AlwaysValid(5_000, 5_000, 0.05)])
def test_what_cannot_be_evaluated_now_is_not_a_number(given):
    for found in (
        effects(np.nan),
        effects(np.inf),
        Found(np.array([1.0]), np.array([np.nan]), np.array([np.nan])),
        Found(np.array([1.0]), np.array([0.0]), np.array([np.nan])),
        Found(np.array([1.0]), np.array([np.inf]), np.array([5.0])),
    ):
        answers = (
            given.p_two_sided(found),
            given.p_one_sided(found, 0.0, 1),
            given.bound(found, 0.05, 1),
            found.estimate - given.half_width(found.se, found.df, 0.05),
        )
        assert np.isnan(answers[:2]).all()
        assert not np.isfinite(answers[2:]).any()


def test_few_degrees_of_freedom_are_judged_by_their_own_tail():
    # Jennison and Turnbull 2000, sect. 3.8: t crosses where its tail is lighter than the boundary's.
    given, now = looked(effects(0.0, df=10), effects(0.0, df=10), effects(2.4, df=10))
    z = norm.isf(t.sf(2.4, 10))
    other = looked(effects(0.0), effects(0.0), effects(z))
    assert given.p_two_sided(now) == pytest.approx(other[0].p_two_sided(other[1]))
    c = given.schedule.boundaries(0.05)[-1]
    assert given.half_width(2.0, 10.0, 0.05) == pytest.approx(2 * t.isf(norm.sf(c), 10))


@pytest.mark.parametrize("sign", [1, -1])
def test_a_guardrails_bound_is_at_its_margin_where_its_p_value_is_alpha(sign):
    given, _ = looked(*(effects(0.0, 0.0) for _ in SHARES))
    for method in (FixedHorizon(), given, AlwaysValid(4_000, 5_000, 0.05)):
        now = effects(0.3, -0.2)
        margins = method.bound(now, 0.05, sign)
        assert method.p_one_sided(now, margins, sign) == pytest.approx([0.05, 0.05], abs=2e-6)
        assert (method.p_one_sided(now, margins - sign * 0.1, sign) < 0.05).all()


def test_margins_and_signs_may_differ_between_effects():
    given, now = looked(effects(0.5, 0.5, 0.5), effects(1.0, 1.0, 1.0))
    together = given.p_one_sided(now, np.array([-1.0, 2.0, np.nan]), np.array([1, -1, 1]))
    assert together[0] == given.p_one_sided(now, -1.0, 1)[0]
    assert together[1] == given.p_one_sided(now, 2.0, -1)[1]
    assert np.isnan(together[2])


def test_far_out_p_values_are_small_and_not_none():
    given, now = looked(effects(20.0), effects(20.0), effects(20.0))
    for method in (FixedHorizon(), given, AlwaysValid(5_000, 5_000, 0.05)):
        p = method.p_two_sided(now)[0]
        assert 2 * norm.sf(20) * 0.999 <= p < 1e-50
        assert 0 < method.p_one_sided(now, 0.0, 1)[0] < 1e-50


def test_a_sequence_is_the_papers_at_the_planned_units_and_silent_below_a_thousand():
    given = AlwaysValid(np.array([999.0, 1_000.0, 5_000.0]), 5_000, 0.05)
    half = given.half_width(1.0, MANY, 0.05)
    assert np.isnan(half[0])
    for z in (-2.0, 0.0, 2.0):
        now = effects(z, z, z)
        for answer in (given.p_two_sided(now), given.p_one_sided(now, 0.0, 1), given.bound(now, 0.05, 1)):
            assert np.isnan(answer).tolist() == [True, False, False]
    # Waudby-Smith et al., eq. 9, with rho^2 = 8.2 / 5,000 (their approximation: 5.99 + log(6.99) = 7.94).
    assert half[2] == pytest.approx(math.sqrt((1 + 1 / 8.2) * math.log(9.2 / 0.05**2)), rel=1e-3)
    assert half[1] > half[2]


def test_the_charter_says_which():
    assert method_of(plan({"method": "fixed"})) == FixedHorizon()
    looks = {"method": "group_sequential", "at": [0.5, 1], "spending": "pocock"}
    history = (effects(1.0),)
    found = method_of(plan(looks), shares=(0.5, 1.0), information=(10, 20), history=history)
    assert found == GroupSequential(Schedule((0.5, 1.0), (10.0, 20.0), "pocock"), history)
    assert method_of(plan({"method": "always_valid"}, alpha=0.1), units=70) == AlwaysValid(70, 5_000, 0.1)


@pytest.mark.parametrize(
    ("shares", "information", "told"),
    [((0.5, 0.5), (1.0, 2.0), "rise"), ((0.5, 1.1), (1.0, 2.0), "rise"), ((0.5, 1.0), (1.0,), "2 looks, but 1 number")],
)
def test_looks_that_cannot_be_are_an_error(shares, information, told):
    with pytest.raises(ValueError, match=told):
        Schedule(shares, information, "pocock")


def test_a_history_of_the_wrong_length_is_an_error():
    given = GroupSequential(Schedule(SHARES, INFORMATION, "pocock"), (effects(1.0),))
    with pytest.raises(ValueError, match="longer"):
        given.p_two_sided(effects(1.0))


# `make proof` does the same with 20,000 pilots a line, and with more laws.
METHODS = {sequential.OBF, sequential.POCOCK, sequential.ANY_TIME}


@pytest.mark.proof
@pytest.mark.parametrize("of", [sequential.false_positives, sequential.margins])
@pytest.mark.parametrize("law", [looking.share(0.1), looking.gamma_spend(0.05, 2, 50)])
def test_looking_fifty_times_misleads_no_more_often_than_alpha_says(of, law):
    rows = list(of(np.random.default_rng(20260104), law, 2_000))
    assert {row.method for row in rows if row.limit} == METHODS
    assert all(row.holds for row in rows)
    # What the methods are for: the same looks by a test for one. And spending leaves nothing of alpha unused.
    assert next(row.rate for row in rows if row.method == sequential.MISUSED) > 0.2
    assert all(row.rate > 0.03 for row in rows if row.method in {sequential.OBF, sequential.POCOCK})


def test_wherever_a_pilot_is_stopped_its_interval_misses_no_more_often_than_alpha_says():
    rows = list(sequential.coverage(np.random.default_rng(20260105), 2_000))
    assert {row.method for row in rows if row.limit} == METHODS
    assert all(row.holds for row in rows)


def test_planned_units_find_and_rule_out_as_often_as_the_planner_says():
    rows = list(sequential.powers(np.random.default_rng(20260106), 2_000))
    assert {row.method for row in rows} == METHODS
    assert all(row.holds for row in rows)
