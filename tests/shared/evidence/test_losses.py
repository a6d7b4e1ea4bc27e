"""How uneven losses are, by scipy's exact test, and which of them are held against a pilot."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from shared.engines.by_arm import TOGETHER, ByArm
from shared.engines.protocol import EARLY
from shared.evidence.health.losses import losses, uneven, uneven_ones

HALF = {"control": 0.5, "letter": 0.5}


def told(lost, assigned=(1_000, 1_000), answering=(1_000, 1_000), unattributed=None):
    """What an engine tells of two arms that lost something."""
    arms = ("control", "letter")
    return ByArm(
        assigned=dict(zip(arms, assigned, strict=True)),
        answering=dict(zip(arms, answering, strict=True)),
        lost={what: dict(zip(arms, units, strict=True)) for what, units in lost.items()},
        unattributed=unattributed or {},
        unattributed_values={}, unread={}, streams={}, last={}, after={}, follow_up={}, times={}, cut_short={},
    )  # fmt: skip


@pytest.mark.parametrize(("one", "other"), [(7, 0), (0, 7), (30, 12), (200, 160), (5, 5)])
def test_of_two_arms_the_p_value_is_scipys_binomial_one(one, other):
    expected = min(1.0, 2 * min(binomtest(one, one + other, 0.5, side).pvalue for side in ("less", "greater")))
    assert uneven({"control": one, "letter": other}, HALF) == pytest.approx(expected)


def test_of_three_arms_it_is_the_least_of_theirs_times_three():
    units, planned = {"a": 2, "b": 30, "c": 10}, {"a": 0.5, "b": 0.25, "c": 0.25}
    each = [min(1.0, 2 * min(binomtest(units[arm], 42, planned[arm], side).pvalue for side in ("less", "greater")))
            for arm in planned]  # fmt: skip
    assert uneven(units, planned) == pytest.approx(3 * min(each))


def test_losses_of_outcomes_have_to_be_uneven_by_units_and_by_outcomes():
    """60 against 20 where the letter has three times as many outcomes: one in a hundred of each arm's."""
    [found] = losses(told({"outcomes: late": (20, 60)}, (10_000, 10_000), (2_000, 6_000)), HALF)
    assert found.p == 1.0
    [found] = losses(told({"exposures: late": (20, 60)}, (10_000, 10_000), (2_000, 6_000)), HALF)
    assert found.p == pytest.approx(2 * binomtest(20, 80, 0.5, "less").pvalue)


def test_each_kind_is_tested_at_its_part_and_above_the_floor():
    found = losses(told({"exposures: a": (14, 0), "exposures: b": (3, 4), TOGETHER: (17, 4)}), HALF)
    assert [loss.what for loss in uneven_ones(found)] == ["exposures: a"]  # 1.2e-4 < .001 / 3, and 7e-3 of the whole
    assert uneven_ones(found, floor=0.02) == []
    many = losses(told({"exposures: a": (14, 0)}, (100_000, 100_000)), HALF)
    assert uneven_ones(many) == []  # 7e-5 of all units


def test_one_kind_alone_is_not_asked_twice_and_early_outcomes_are_a_kind_of_their_own():
    found = losses(told({"exposures: a": (3, 4), TOGETHER: (3, 4), EARLY: (40, 50)}), HALF)
    assert [loss.what for loss in found] == [EARLY, "exposures: a"]


def test_what_is_of_no_known_arm_is_told_and_not_tested():
    [found] = losses(told({}, unattributed={"outcomes: unknown unit": 12}), HALF)
    assert (found.unattributed, found.units, found.p) == (12, {}, None)
