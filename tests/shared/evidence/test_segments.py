"""Effects in segments against scipy and statsmodels, and what cannot be said of a level."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.multitest import multipletests

from shared.evidence.compute import compute
from tests.shared.pilot_data import promised, two_arms, with_traits

RNG = np.random.default_rng(20260106)
UNITS = 300
SPEND = RNG.gamma(2.0, 10.0, 2 * UNITS)
PLACE = RNG.choice(["Rural", "Urban"], 2 * UNITS)
NAMES = [f"u{number}" for number in range(2 * UNITS)]


def evidence(folder, place, **charter):
    found = two_arms(folder, SPEND[:UNITS].tolist(), SPEND[UNITS:].tolist())
    return compute(promised(segments=["place"], **charter), with_traits(found, unit=NAMES, place=list(place)))


def test_each_level_has_scipys_effect_and_statsmodels_adjusted_p(tmp_path):
    found = evidence(tmp_path, PLACE.tolist()).segments
    control, letter = np.arange(2 * UNITS) < UNITS, np.arange(2 * UNITS) >= UNITS
    tests = [
        stats.ttest_ind(SPEND[letter & (place == PLACE)], SPEND[control & (place == PLACE)], equal_var=False)
        for place in ("Rural", "Urban")
    ]
    adjusted = multipletests([each.pvalue for each in tests], method="fdr_bh")[1]
    assert [(each.level, each.arm, each.metric) for each in found] == [
        ("Rural", "letter", "spend"), ("Urban", "letter", "spend"),
    ]  # fmt: skip
    assert [each.p for each in found] == pytest.approx([each.pvalue for each in tests], rel=1e-9)
    assert [each.p_adjusted for each in found] == pytest.approx(adjusted.tolist(), rel=1e-9)
    assert [(each.low, each.high) for each in found] == [
        pytest.approx(tuple(each.confidence_interval()), rel=1e-9) for each in tests
    ]
    assert [sum(each.units) for each in found] == [(PLACE == "Rural").sum(), (PLACE == "Urban").sum()]


def test_units_that_have_no_value_are_a_level_of_their_own(tmp_path):
    found = evidence(tmp_path, [None, *PLACE.tolist()[1:]]).segments
    assert [each.level for each in found] == ["Rural", "Urban", None]
    assert found[-1].problem.startswith("arm letter has 0 units")


def test_a_segment_of_names_says_so_and_has_no_number(tmp_path):
    [found] = evidence(tmp_path, NAMES).segments
    assert (found.level, found.estimate, "too many levels" in found.problem) == (None, None, True)


def test_what_cannot_be_said_of_a_level_lightens_no_other(tmp_path):
    # One unit of the letter alone: its p counts as 1, so that the family still has three tests.
    places = PLACE.tolist()
    places[-1] = "Moon"
    found = {each.level: each for each in evidence(tmp_path, places).segments}
    known = [found[level].p for level in ("Rural", "Urban")]
    expected = multipletests([*known, 1.0], method="fdr_bh")[1][:2]
    assert [found[level].p_adjusted for level in ("Rural", "Urban")] == pytest.approx(expected.tolist(), rel=1e-9)
    assert found["Moon"].p_adjusted is None
