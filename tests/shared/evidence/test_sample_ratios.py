"""Sample ratios: the joint test against scipy, by groups, on a real archive, and what cannot be evaluated."""

from __future__ import annotations

import duckdb
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.stats import chisquare

from shared.evidence.health.sample_ratios import mismatched, of_groups, sample_ratio, thin_ones_together
from shared.evidence.model import RATIO_P_MIN, SampleRatio
from tests.real_data import FOLDER, on_real_data

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


def test_each_group_is_tested_at_its_part_of_the_error_rate_by_scipy():
    # The first day is as planned; the second is off by a p that alone would be small enough, and of two days is not.
    units = {("a", "mon"): 500, ("b", "mon"): 500, ("a", "tue"): 1104, ("b", "tue"): 1254}
    found = of_groups(units, HALVES)
    p = chisquare([1104, 1254]).pvalue
    assert p / 0.5 > RATIO_P_MIN
    assert p > RATIO_P_MIN / 2
    assert found["tue"].p == pytest.approx(p, rel=1e-9)
    assert mismatched(found) == {}
    assert set(mismatched({"tue": sample_ratio({"a": 1100, "b": 1300}, HALVES)})) == {"tue"}


def test_a_group_too_small_for_a_chi_square_is_left_out():
    # 15 units are 7.5 in each arm, below Eppo's 8; 16 are 8.
    assert of_groups({("a", 1): 15, ("b", 2): 16}, HALVES).keys() == {2}


def test_a_deviation_below_the_floor_is_no_mismatch_however_sure():
    # 0.05 % of a hundred million units: chi-square 100, and no harm to anybody.
    units = {"a": 50_050_000, "b": 49_950_000}
    ratio = sample_ratio(units, HALVES)
    assert ratio.p < 1e-20
    assert mismatched({"all": ratio}) == {}


@on_real_data
def test_the_broken_weeks_of_a_real_archive_are_found_and_the_others_are_left_alone():
    """Upworthy Research Archive (Matias et al. 2021): its publishers say that 201325 to 201401 was not randomised well.

    They flag 78 % there and 2.3 % elsewhere on the whole archive, at p < .01 without a floor.
    """
    rows = (
        duckdb.connect()
        .execute(
            "SELECT clickability_test_id, min(test_week), list(impressions) FROM read_parquet(?) GROUP BY 1 "
            "HAVING count(*) > 1",
            [str(FOLDER / "upworthy_dev.parquet")],
        )
        .fetchall()
    )
    flagged = {True: [], False: []}
    for _, week, impressions in rows:
        units = {str(n): int(count) for n, count in enumerate(impressions)}
        ratio = sample_ratio(units, dict.fromkeys(units, 1 / len(units)))
        flagged[201325 <= int(week) <= 201401].append(ratio.p is not None and ratio.p < 0.01)
    assert len(flagged[True]) > 100
    assert len(flagged[False]) > 1000
    assert sum(flagged[True]) / len(flagged[True]) >= 0.70
    assert sum(flagged[False]) / len(flagged[False]) < 0.03


def test_groups_too_small_to_compare_are_joined_in_their_order_and_large_ones_stay():
    units = {("a", "1"): 5, ("b", "1"): 4, ("a", "2"): 4, ("b", "2"): 5, ("a", "3"): 30, ("b", "3"): 30, ("b", "4"): 2}
    # Sixteen units are the fewest: 1 and 2 have nine each, and 4 is left over.
    assert thin_ones_together(units, {"a": 0.5, "b": 0.5}) == {
        ("a", "1 to 4"): 9, ("b", "1 to 4"): 11, ("a", "3"): 30, ("b", "3"): 30,
    }  # fmt: skip


def test_joining_loses_no_unit_and_is_nothing_of_nobody():
    units = {(arm, day): 1 + day % 3 for day in range(40) for arm in "ab"}
    joined = thin_ones_together(units, {"a": 0.5, "b": 0.5})
    assert sum(joined.values()) == sum(units.values())
    groups = {group for _, group in joined}
    assert all(sum(n for (_, other), n in joined.items() if other == group) >= 16 for group in groups)
    assert thin_ones_together({}, {"a": 0.5, "b": 0.5}) == {}
