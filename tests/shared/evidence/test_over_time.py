"""Looks that were agreed on, and days: from rows to evidence."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from shared.core.clock import parse_rfc3339
from shared.evidence.compute import compute
from tests.shared.pilot_data import pilot_data, promised

RNG = np.random.default_rng(20260107)
PER_DAY, DAYS = 60, 14
AGREED = {"units_per_arm": 10, "looks": {"method": "group_sequential", "at": [0.5, 1]}}
ALWAYS = {"units_per_arm": 2_000, "looks": {"method": "always_valid"}}
# Lan and DeMets's boundaries of the O'Brien-Fleming type for two equal looks at two-sided .05, as in Jennison and
# Turnbull (2000), "Group sequential methods", ch. 7.
FIRST, LAST = 2.963, 1.969
HALF, END = parse_rfc3339("2026-01-12T00:00:00Z"), parse_rfc3339("2026-01-19T00:00:00Z")


def rows(effect_by_day, per_day=PER_DAY):
    """Units of fourteen days in two arms; each answers an hour after its exposure."""
    exposures, outcomes, values = [], [], {}
    for day in range(DAYS):
        for number in range(2 * per_day):
            arm = ("control", "letter")[number % 2]
            unit, value = f"u{day}-{number}", float(RNG.normal(10, 2) + effect_by_day(day) * (arm == "letter"))
            exposures.append((unit, arm, f"2026-01-{5 + day:02} 09:00:00+00"))
            outcomes.append((unit, f"2026-01-{5 + day:02} 10:00:00+00", 1, value))
            values.setdefault((arm, day), []).append(value)
    return exposures, outcomes, values


def until(values, arm, day):
    return np.concatenate([values[arm, each] for each in range(day)])


@pytest.fixture(scope="module")
def strong(tmp_path_factory):
    exposures, outcomes, values = rows(lambda _day: 1.0)
    return pilot_data(tmp_path_factory.mktemp("strong"), exposures, outcomes), values


def test_a_look_is_taken_as_the_data_stood_then_by_scipy(strong):
    data, values = strong
    evidence = compute(promised(sample=AGREED), data, parse_rfc3339("2026-01-15T12:00:00Z"))
    assert (evidence.method, evidence.standing, evidence.until) == (
        "group_sequential",
        "decisive",
        "2026-01-12T00:00:00Z",
    )
    [look] = evidence.looks
    expected = stats.ttest_ind(until(values, "letter", 7), until(values, "control", 7), equal_var=False)
    [primary] = [each for each in look.effects if each.metric == "spend"]
    # t to z by the same tail.
    assert primary.z == pytest.approx(stats.norm.isf(stats.t.sf(expected.statistic, expected.df)), rel=1e-6)
    assert (look.at_frac, look.at, look.units) == (0.5, "2026-01-12T00:00:00Z", 7 * 2 * PER_DAY)
    assert (primary.boundary, primary.crossed) == (pytest.approx(FIRST, abs=0.002), True)
    # What came in after the look is not in it.
    assert sum(arm.units for arm in evidence.arms) == 7 * 2 * PER_DAY


def test_at_the_end_every_look_is_there_with_its_own_boundary(strong):
    data, _ = strong
    found = compute(promised(sample=AGREED), data, END)
    assert [look.effects[0].boundary for look in found.looks] == pytest.approx([FIRST, LAST], abs=0.002)
    assert [look.alpha_spent for look in found.looks] == pytest.approx([0.00305, 0.05], abs=1e-4)
    # The repeated confidence interval: as far as the last boundary reaches.
    effect = found.effect("letter", "spend")
    reach = stats.t.isf(stats.norm.sf(found.looks[1].effects[0].boundary), effect.df)
    assert (effect.high - effect.estimate) == pytest.approx(reach * effect.se, rel=1e-6)


def test_before_the_first_look_the_numbers_only_describe(strong):
    data, _ = strong
    found = compute(promised(sample=AGREED), data, parse_rfc3339("2026-01-10T00:00:00Z"))
    assert (found.standing, found.looks, found.until) == ("descriptive", (), None)


def test_what_crossed_at_a_look_stays_crossed_when_it_fades(tmp_path):
    """An effect of the first week that turns in the second: the p-value is of the look at which it crossed."""
    exposures, outcomes, _ = rows(lambda day: 1.2 if day < 7 else -1.2)
    found = compute(promised(sample=AGREED), pilot_data(tmp_path, exposures, outcomes), END)
    assert [look.effects[0].crossed for look in found.looks] == [True, False]
    effect = found.effect("letter", "spend")
    assert effect.p < 0.05
    # The interval is the present one, and holds zero: the gate asks for more than p.
    assert effect.low < 0 < effect.high


def test_one_look_pays_nothing_for_looks_that_nobody_agreed_on(strong):
    data, values = strong
    found = compute(promised(), data, END)
    expected = stats.ttest_ind(until(values, "letter", 14), until(values, "control", 14), equal_var=False)
    assert (found.method, found.looks) == ("fixed", ())
    assert found.effect("letter", "spend").p == pytest.approx(expected.pvalue, rel=1e-6)


@pytest.mark.proof
def test_a_confidence_sequence_is_wider_than_one_look_and_the_same_whenever(tmp_path):
    exposures, outcomes, _ = rows(lambda _day: 0.5, per_day=150)
    data = pilot_data(tmp_path, exposures, outcomes)
    once = compute(promised(), data, END).effect("letter", "spend")
    always = compute(promised(sample=ALWAYS), data, parse_rfc3339("2026-01-18T20:00:00Z"))
    assert always.standing == "decisive"
    sequence = always.effect("letter", "spend")
    assert 1.4 < (sequence.high - sequence.low) / (once.high - once.low) < 1.8
    assert sequence.p > once.p


def test_days_accumulate_and_are_scipys(strong):
    data, values = strong
    found = compute(promised(), data, END).days
    assert [day.day for day in found] == [f"2026-01-{5 + day:02}" for day in range(DAYS)]
    assert found[3].units == {"control": PER_DAY, "letter": PER_DAY}
    assert found[3].p == 1.0
    expected = stats.ttest_ind(until(values, "letter", 4), until(values, "control", 4), equal_var=False)
    [effect] = found[3].effects
    assert (effect.low, effect.high) == pytest.approx(tuple(expected.confidence_interval()), rel=1e-9)


def test_a_day_begins_where_the_charter_says(tmp_path):
    data = pilot_data(
        tmp_path,
        [("a", "control", "2026-01-05 23:30:00+00"), ("b", "letter", "2026-01-05 22:30:00+00")],
        [("a", "2026-01-06 00:00:00+00", 1, 1.0), ("b", "2026-01-06 00:00:00+00", 1, 2.0)],
    )
    box = {"start": "2026-01-05", "end": "2026-01-19", "timezone": "Europe/Berlin"}
    found = compute(promised(time_box=box), data).days
    assert [(day.day, day.units) for day in found] == [
        ("2026-01-05", {"control": 0, "letter": 1}), ("2026-01-06", {"control": 1, "letter": 0}),
    ]  # fmt: skip


def test_a_look_so_early_that_its_boundary_has_no_end_says_so_and_keeps_its_digest(tmp_path):
    early = [(f"e{n}", ("control", "letter")[n % 2], "2026-01-05 00:00:10+00") for n in range(4)]
    late = [(f"l{n}", ("control", "letter")[n % 2], "2026-01-12 00:00:00+00") for n in range(200)]
    answers = [(unit, at.replace(":00+00", ":30+00"), 1, float(n % 7)) for n, (unit, _, at) in enumerate(early + late)]
    answers = [(unit, at.replace(":10+00", ":30+00"), visit, spend) for unit, at, visit, spend in answers]
    agreed = {"units_per_arm": 10, "looks": {"method": "group_sequential", "at": [0.001, 1]}}
    evidence = compute(promised(sample=agreed), pilot_data(tmp_path, early + late, answers))
    assert [each.problem for each in evidence.looks[0].effects] == ["too few units for this method of looks"]
    assert evidence.digest.startswith("sha256:")
