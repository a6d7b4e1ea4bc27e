"""Outages: the tail by scipy, and how often they are found, and found where there are none, in simulated counts."""

from __future__ import annotations

from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pytest
from scipy.stats import hypergeom

from shared.engines.by_arm import ANY
from shared.engines.duckdb import DuckDB
from shared.engines.protocol import Question
from shared.evidence.health.outages import down, fewer, outages
from tests.shared.pilot_data import promised, two_arms

ARMS, DAYS = ("control", "letter"), 14
FIRST = date(2026, 1, 5)
# As many outcomes as units were exposed: evenly in the first week.
GROWN = np.minimum(np.arange(DAYS) + 1, 7) / 7


@pytest.mark.parametrize(
    ("k", "ours", "others", "drawn"), [(0, 50, 60, 12), (3, 50, 60, 12), (9, 10, 10, 18), (40, 400, 500, 120)]
)
def test_the_lower_tail_is_scipys_hypergeometric_one(k, ours, others, drawn):
    assert fewer(k, ours, others, drawn) == pytest.approx(hypergeom.cdf(k, ours + others, ours, drawn), rel=1e-9)


def test_of_many_it_is_the_normal_limit():
    exact = hypergeom.cdf(4_900, 40_000, 20_000, 10_000)
    assert fewer(4_900, 20_000, 20_000, 10_000) == pytest.approx(exact, rel=0.01)


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """A summary of two arms, whose counts each test writes anew."""
    data = two_arms(tmp_path_factory.mktemp("data"), [1.0, 2.0], [1.0, 3.0])
    return DuckDB().summarise(data, Question.of(promised()))


def with_counts(summary, outcomes, exposed=None):
    """The summary with these units by arm and day; by default all exposed evenly in the first week."""
    exposed = np.full((2, DAYS), 100) * (np.arange(DAYS) < 7) if exposed is None else exposed
    days = [(FIRST + timedelta(n)).isoformat() for n in range(DAYS)]

    def by_day(counts):
        return {(arm, day): int(row[at]) for arm, row in zip(ARMS, counts, strict=True) for at, day in enumerate(days)}

    streams = {ANY: {key: n for key, n in by_day(outcomes).items() if n}}
    return replace(summary, day_units=by_day(exposed), by_arm=replace(summary.by_arm, streams=streams))


def rate(summary, times, draw):
    rng = np.random.default_rng(20260105)
    return np.mean([bool(down(outages(with_counts(summary, draw(rng)), ARMS))) for _ in range(times)])


def test_half_of_an_arms_outcomes_lost_for_three_days_are_found_nine_times_in_ten(empty):
    """Of a hundred a day in each arm, from the fifth day on."""

    def draw(rng):
        counts = rng.poisson(np.outer([100, 100], GROWN))
        start = rng.integers(4, DAYS - 2)
        counts[0, start : start + 3] = rng.binomial(counts[0, start : start + 3], 0.5)
        return counts

    assert rate(empty, 40, draw) >= 0.9


def test_two_silent_days_are_found_from_twenty_outcomes_a_day_on(empty):
    def draw(rng):
        counts = rng.poisson(np.outer([20, 20], GROWN))
        start = rng.integers(4, DAYS - 2)
        counts[1, start : start + 2] = 0
        return counts

    assert rate(empty, 40, draw) >= 0.9


@pytest.mark.parametrize("effect", [1.0, 1.5, 4.0])
def test_arms_that_are_recorded_alike_have_no_outage_whatever_the_effect(empty, effect):
    """Weekends are quiet, the first days few, and one arm has more than the other."""
    shape = GROWN * np.where(np.arange(DAYS) % 7 >= 5, 0.4, 1.0)

    def draw(rng):
        return rng.poisson(np.outer([40, 40 * effect], shape))

    assert rate(empty, 40, draw) == 0.0


def test_a_burst_after_a_single_mail_is_no_outage_of_the_control_nor_its_end_one_of_the_mail(empty):
    def draw(rng):
        shape = np.where(np.arange(DAYS) < 2, 8.0, 1.0)
        return rng.poisson([np.full(DAYS, 30.0), 30 * shape])

    at_once = np.zeros((2, DAYS), dtype=int)
    at_once[:, 0] = 700
    rng = np.random.default_rng(1)
    for _ in range(20):
        assert down(outages(with_counts(empty, draw(rng), at_once), ARMS)) == []


def test_outcomes_of_one_arm_alone_tell_of_no_outage(empty):
    counts = np.zeros((2, DAYS), dtype=int)
    counts[1] = 20
    assert outages(with_counts(empty, counts), ARMS) == ()
